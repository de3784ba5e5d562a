"""Keras's training step with every real token weighing the same: across replicas, and across micro-batches.

Under `tf.distribute`, Keras averages the replicas' means, clips each replica's gradient by itself, and cannot
accumulate gradients at all (keras#20582). Here the loss and the update are those of one device with the whole
batch. This is the one place where the project reaches into Keras's trainer; on other backends than TensorFlow
it changes no update, and only takes `StepStatistics`.
"""

import contextlib
from typing import Any

import keras
from keras import ops

from keras_transformer import arguments
from keras_transformer.types import Tensor


class TokenMeanTrainer:
    """Mixed into a `keras.Model`: `class MyModel(TokenMeanTrainer, keras.Model)`.

    With L_i the loss (a mean) of micro-batch i and n_i what it is the mean of, the loss that is reported and
    minimised is sum_i n_i L_i / sum_i n_i, over all micro-batches of all replicas. n_i comes from the loss's
    `total_weight(y_true, sample_weight)` if it has one, see `losses.SmoothedCrossEntropy`; else it is the
    number of rows. Reported losses and losses of `evaluate` are weighted like this over the epoch too.
    """

    def compile(self, *args: Any, num_micro_batches: int = 1, r_drop: float = 0.0, **kwargs: Any) -> None:
        """As `keras.Model.compile`, and:

        Args:
            num_micro_batches: parts that a batch is split into, one after the other, their gradients added up
                for one update: less memory for the same step. The rows of a batch (on one replica) must be a
                multiple of it. It takes the place of Keras's `gradient_accumulation_steps`, which
                averages over micro-batches and not over tokens.
            r_drop: alpha of R-Drop (Liang et al. 2021, section 2.2), >= 0. A step reads each row twice, with
                other draws of dropout, and pulls the two distributions p, q of each token together:
                L = (L_p + L_q) / 2 + alpha / 4 (KL(p || q) + KL(q || p)), half of the paper's, so that 0 is
                the loss alone. It takes twice the time. The logged loss of the training includes it; metrics
                are of p. Evaluation is as without.

        Raises:
            ValueError: `num_micro_batches` is not a positive integer, or `r_drop` not a number from 0 on; one
                of them is used on a backend that is not TensorFlow; `num_micro_batches` together with
                `gradient_accumulation_steps`; or `r_drop` with a loss that is not
                `losses.SmoothedCrossEntropy`, from logits.
        """
        arguments.check_sizes(num_micro_batches=num_micro_batches)
        arguments.check_not_negative(r_drop=r_drop)
        for name, value, least in (("num_micro_batches", num_micro_batches, 1), ("r_drop", r_drop, 0)):
            if value > least and keras.backend.backend() != "tensorflow":
                raise ValueError(
                    f"`{name}` above {least} needs the TensorFlow backend. "
                    f"Received: {name}={value} on {keras.backend.backend()}."
                )
        super().compile(*args, **kwargs)
        if r_drop and not hasattr(self.loss, "divergence"):
            raise ValueError(
                "`r_drop` above 0 needs the loss `losses.SmoothedCrossEntropy`. "
                f"Received: r_drop={r_drop}, loss={self.loss!r}."
            )
        accumulates = getattr(self.optimizer, "gradient_accumulation_steps", None)
        if num_micro_batches > 1 and accumulates:
            raise ValueError(
                "Use `num_micro_batches` or the optimizer's `gradient_accumulation_steps`, not both. "
                f"Received: {num_micro_batches} and {accumulates}."
            )
        self.num_micro_batches = num_micro_batches
        self.r_drop = r_drop
        self.step_statistics = StepStatistics()

    def get_compile_config(self) -> dict[str, Any] | None:
        config = super().get_compile_config()
        if not config:
            return config
        return {**config, "num_micro_batches": self.num_micro_batches, "r_drop": self.r_drop}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.built and self.optimizer is not None:
            self.optimizer.build(self.trainable_variables)

    if keras.backend.backend() == "tensorflow":

        def train_step(self, data):
            total = _sum_over_replicas(_total_weight(self, data))
            gradients = self._gradients(data, total)
            gradients = _sum_over_replicas(gradients)
            scale = self.optimizer.scale_loss(ops.ones(()))  # 1, except for float16
            self.step_statistics.update(_global_norm(gradients) / scale, total)
            with _sums_are_done(self.optimizer):
                self.optimizer.apply(gradients, self.trainable_variables)
            return _as_keras_reduces(self.get_metrics_result())

        def test_step(self, data):
            self._loss(data, training=False)
            return _as_keras_reduces(self.get_metrics_result())

        def _maybe_symbolic_build(self, iterator=None, data_batch=None):
            # Keras takes the mean of the replicas' batches, which have several shapes, and in which several
            # workers would have to take part (keras#20585). One replica's batch tells as much.
            if self._distribute_strategy is not None and iterator is not None:
                _, _, batches = next(iter(iterator))
                local = self.distribute_strategy.experimental_local_results
                data_batch = keras.tree.map_structure(lambda values: local(values)[0], next(batches))
            super()._maybe_symbolic_build(data_batch=data_batch)

    if keras.backend.backend() == "jax":

        @property
        def metrics_variables(self):
            # Carried through the compiled step beside the metrics, though not among them.
            statistics = getattr(self, "step_statistics", None)
            return [*super().metrics_variables, *(statistics.variables if statistics else [])]

        def train_step(self, state, data):
            import jax

            trainable, others, optimizer_variables, metrics_variables = state
            x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
            batch = (x, y, sample_weight)
            find = jax.value_and_grad(self.compute_loss_and_updates, has_aux=True)
            (_, found), gradients = find(
                trainable,
                others,
                metrics_variables,
                *batch,
                training=True,
                optimizer_variables=optimizer_variables,
            )
            loss, predictions, others, metrics_variables = found

            with _state(self.optimizer.variables, optimizer_variables):
                scale = self.optimizer.scale_loss(ops.ones(()))
            with _state(self.metrics_variables, metrics_variables) as scope:
                self.step_statistics.update(_global_norm(gradients) / scale, _total_weight(self, data))
            metrics_variables = [scope.get_current_value(variable) for variable in self.metrics_variables]

            trainable, optimizer_variables = self.optimizer.stateless_apply(
                optimizer_variables, gradients, trainable
            )
            logs, metrics_variables = self._update_metrics_variables(
                metrics_variables, loss, x, y, predictions, sample_weight
            )
            return logs, (trainable, others, optimizer_variables, metrics_variables)

    if keras.backend.backend() == "torch":

        def train_step(self, data):
            scale = self.optimizer.scale_loss(ops.ones(()))
            logs = super().train_step(data)
            # They stay with the variables until the next step.
            gradients = [variable.value.grad for variable in self.trainable_variables]
            self.step_statistics.update(_global_norm(gradients) / scale, _total_weight(self, data))
            return logs

    def _gradients(self, data, total):
        """Gradients of this replica's share of the loss, added up over its micro-batches."""
        import tensorflow as tf

        def gradients(data, unconnected):
            with tf.GradientTape() as tape:
                share = self._loss(data, training=True) * ops.divide_no_nan(_total_weight(self, data), total)
                scaled = self.optimizer.scale_loss(share)
            found = tape.gradient(scaled, self.trainable_variables, unconnected_gradients=unconnected)
            # Those of embeddings are slices, of which a row occurs several times: no norm can be read from
            # them, and a loop cannot add them up.
            return [gradient if gradient is None else tf.convert_to_tensor(gradient) for gradient in found]

        if self.num_micro_batches == 1:
            return gradients(data, "none")  # Keras warns of variables without a gradient

        pieces = _split(data, self.num_micro_batches)

        def add(index, sums):
            piece = keras.tree.map_structure(lambda array: array[index], pieces)
            return index + 1, [a + b for a, b in zip(sums, gradients(piece, "zero"), strict=True)]

        zeros = [tf.zeros(variable.shape, variable.dtype) for variable in self.trainable_variables]
        _, sums = tf.while_loop(
            lambda index, sums: index < self.num_micro_batches,
            add,
            (tf.constant(0), zeros),
            parallel_iterations=1,
        )
        return sums

    def _loss(self, data, training):
        """The mean loss of a micro-batch on this replica; enters it and the metrics into the logs."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        if training and self.r_drop:
            predictions, loss = self._read_twice(x, y, sample_weight)
        else:
            predictions = self(x, training=training)
            loss = self.compute_loss(x, y, predictions, sample_weight, training=training)
            loss = loss * _num_replicas()  # Keras divides by it
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss, sample_weight=_total_weight(self, data))
        self.compute_metrics(x, y, predictions, sample_weight)
        return loss

    def _read_twice(self, x, y, sample_weight):
        """R-Drop: the first reading's logits, and the loss of both readings."""
        given = [_twice(values) for values in (x, y)]
        weights = None if sample_weight is None else _twice(sample_weight)
        logits = self(given[0], training=True)
        loss = self.compute_loss(*given, logits, weights, training=True) * _num_replicas()
        first, second = ops.split(logits, 2)
        return first, loss + self.r_drop / 4 * self.loss.divergence(y, first, second, sample_weight)


class StepStatistics:
    """What a training step tells besides its metrics; `callbacks.Throughput` puts it into the logs.

    Attributes:
        gradient_norm: mean over the steps of the norm of all gradients together, before clipping.
        weight: sum over the steps of what the loss is the mean of: real target tokens.
    """

    # No part of the model's metrics: those are of `evaluate` too.
    def __init__(self):
        self.gradient_norm = keras.metrics.Mean(name="gradient_norm")
        self.weight = keras.metrics.Sum(name="weight")

    def update(self, norm: Tensor, weight: Tensor) -> None:
        """Adds a step."""
        # Every replica adds the same, and the replicas' sums are added up.
        self.gradient_norm.update_state(norm)
        self.weight.update_state(weight / _num_replicas())

    @property
    def variables(self) -> list[keras.Variable]:
        """The variables that hold the sums."""
        return [*self.gradient_norm.variables, *self.weight.variables]

    def reset(self) -> None:
        """Forgets all steps."""
        self.gradient_norm.reset_state()
        self.weight.reset_state()


def _as_keras_reduces(logs):
    """Under several workers Keras takes the mean of each log along its first axis, which a scalar has not."""
    import tensorflow as tf

    if isinstance(tf.distribute.get_strategy(), tf.distribute.MultiWorkerMirroredStrategy):
        logs = {name: ops.reshape(value, [1]) for name, value in logs.items()}
    return logs


def _total_weight(model, data):
    """What the loss of a batch is the mean of, a float32 scalar."""
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    if hasattr(model.loss, "total_weight"):
        return model.loss.total_weight(y, sample_weight)
    return ops.cast(ops.shape(keras.tree.flatten(x)[0])[0], "float32")


def _split(data, count):
    """Each array (B, ...) as (count, B / count, ...)."""
    import tensorflow as tf

    def split(array):
        rows = array.shape[0]
        rule = "The rows of a batch must be a multiple of `num_micro_batches`"
        if rows is not None and rows % count:
            raise ValueError(f"{rule}. Received: {rows} rows, num_micro_batches={count}.")
        rows = tf.shape(array)[0]
        with tf.control_dependencies([tf.debugging.assert_equal(rows % count, 0, f"{rule}, {count}.")]):
            return tf.reshape(array, tf.concat([[count, rows // count], tf.shape(array)[1:]], axis=0))

    return keras.tree.map_structure(split, data)


def _twice(values):
    """Each array (B, ...) as (2 B, ...): all rows, and all rows again."""
    return keras.tree.map_structure(lambda array: ops.concatenate([array, array]), values)


def _state(variables, values):
    """A scope in which variables have these values, and changes stay in the scope."""
    return keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True)))


def _global_norm(gradients):
    squares = [ops.sum(ops.square(ops.cast(x, "float32"))) for x in gradients if x is not None]
    return ops.sqrt(sum(squares, ops.zeros(())))


def _num_replicas():
    """Of `tf.distribute`; on other backends a step sees the whole batch."""
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync


def _sum_over_replicas(tensors):
    """The sum of a tensor, or of each of a list, over all replicas."""
    import tensorflow as tf

    if _num_replicas() == 1:
        return tensors
    return tf.distribute.get_replica_context().all_reduce("sum", tensors)


@contextlib.contextmanager
def _sums_are_done(optimizer):
    """The gradients are sums over the replicas already: clipping needs the sum, and Keras clips before it."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    inner._all_reduce_sum_gradients = lambda gradients_and_variables: gradients_and_variables
    try:
        yield
    finally:
        vars(inner).pop(
            "_all_reduce_sum_gradients", None
        )  # the replicas' threads take turns: the first removes it

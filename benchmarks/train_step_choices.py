"""What two choices give a training step: python -m benchmarks.train_step_choices

Side by side in one process, in turns, so that the ratios hold on a shared machine: the model as it is, the
same with Keras's einsum in place of the flat projection, and with the loss left to automatic differentiation.
"""

import os
import platform
import statistics
import time
from unittest import mock

import command_line
from command_line import quiet

with quiet.start_up():
    import keras
    import numpy as np
    import tensorflow as tf
    from keras import ops

    from keras_transformer import losses, models
    from keras_transformer.layers.projection import HeadsProjection

BATCH, LENGTH, VOCABULARY = 128, 16, 6000
SIZES = {
    "3+3 layers, 256, 8 heads, 512": dict(num_layers=3, hidden_dim=256, num_heads=8, intermediate_dim=512),
    "4+4 layers, 128, 4 heads, 256": dict(num_layers=4, hidden_dim=128, num_heads=4, intermediate_dim=256),
}
ROUNDS, STEPS = 5, 4


class PlainSmoothedCrossEntropy(losses.SmoothedCrossEntropy):
    """The same value, its gradient left to the backend."""

    def call(self, y_true, y_pred):
        plain = ops.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True)
        uniform = ops.logsumexp(y_pred, axis=-1) - ops.mean(y_pred, axis=-1)
        return (1.0 - self.label_smoothing) * plain + self.label_smoothing * uniform


def make_step(sizes, loss):
    """A compiled model's training step on one random batch, traced and warm."""
    keras.utils.set_random_seed(0)
    model = models.Transformer(VOCABULARY, VOCABULARY, dropout=0.1, share_embeddings=True, **sizes)
    model.build()
    model.compile(optimizer=keras.optimizers.Adam(1e-4), loss=loss(label_smoothing=0.1), jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    ids = np.random.default_rng(0).integers(4, VOCABULARY, (BATCH, LENGTH)).astype("int32")
    batch = ({"source_ids": ids, "target_ids": ids}, ids)
    function = tf.function(model.train_step, autograph=False)
    batch = tf.nest.map_structure(tf.constant, batch)
    function(batch)
    return lambda: float(function(batch)["loss"])


def seconds(step):
    """Mean time of a few steps."""
    start = time.perf_counter()
    for _ in range(STEPS):
        step()
    return (time.perf_counter() - start) / STEPS


def main():
    """Measures and prints a table."""
    command_line.parser("benchmarks.train_step_choices", __doc__).parse_args()
    print(
        f"{platform.machine()}, {os.cpu_count()} CPUs, "
        f"TensorFlow {tf.__version__}, Keras {keras.__version__}; batch {BATCH} x {LENGTH}, "
        f"vocabulary {VOCABULARY}; median of {ROUNDS} rounds"
    )
    print(f"{'model':<32}{'variant':<34}{'tokens/s':>9}{'ratio':>7}")
    for name, sizes in SIZES.items():
        steps = {"as it is": make_step(sizes, losses.SmoothedCrossEntropy)}
        with mock.patch.object(HeadsProjection, "call", keras.layers.EinsumDense.call):
            steps["projections by einsum"] = make_step(sizes, losses.SmoothedCrossEntropy)
        steps["loss by automatic differentiation"] = make_step(sizes, PlainSmoothedCrossEntropy)
        rounds = [{key: seconds(step) for key, step in steps.items()} for _ in range(ROUNDS)]
        for key in steps:
            median = statistics.median(times[key] for times in rounds)
            ratio = statistics.median(times["as it is"] / times[key] for times in rounds)
            print(f"{name:<32}{key:<34}{BATCH * LENGTH / median:>9,.0f}{ratio:>7.2f}", flush=True)


if __name__ == "__main__":
    main()

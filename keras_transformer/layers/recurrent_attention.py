"""Attention of a recurrent decoder: one query at a time, keys projected once (Luong et al. 2015, section 3).

Legend: B batch, S source, R = B * W queries, of which row r belongs to source r // W, D width.
"""

from typing import Any, Self

import keras
from keras import ops

from keras_transformer import arguments, masks
from keras_transformer.layers.dot_product import masked_softmax
from keras_transformer.saving.quantization import KeepsQuantization
from keras_transformer.types import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_transformer")
class RecurrentAttention(KeepsQuantization, arguments.KnownArguments, keras.layers.Layer):
    """The mean of the values, weighted by how well their keys fit the query.

    global (section 3.1; Bahdanau et al. 2015, section 3.1): a = softmax over all s of score(h_t, h_s)
    local (section 3.2, local-p, equations 9 and 10):
        p_t = S * sigmoid(v_p^T tanh(W_p h_t)), S = number of real keys of the row
        a = softmax over |s - p_t| <= D_w of score(h_t, h_s), times exp(-(s - p_t)^2 / (2 sigma^2))
        with sigma = D_w / 2, and so no longer with sum one

    Positions s count from 0, which the paper leaves open; real keys come first.

    Args:
        score: a layer with the interface of `AttentionScore`.
        window: D_w of local attention, the largest distance from p_t, in positions, >= 1 (the paper's
            is 10); None for global attention.

    Call arguments:
        query: (R, D); R is a multiple of the sources' B.
        keys: (B, S, width of the keys).
        values: (B, S, V); the keys if None.
        keys_mask: bool, (B, S); True = may be attended to. Keras's implicit mask of the keys if None. A
            row with no True gives zeros.

    Returns:
        The context, (R, V), in the compute dtype. `attend` gives the weights as well.

    Raises:
        ValueError: `score` is no layer, or `window` is not a positive integer.
    """

    def __init__(self, score: keras.layers.Layer, window: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        arguments.check_layers(score=score)
        arguments.check_optional_sizes(window=window)
        self.score = score
        self.window = window

    def build(self, query_shape: Shape, keys_shape: Shape, values_shape: Shape | None = None) -> None:
        arguments.check_shapes(2, query=query_shape)
        arguments.check_shapes(3, keys=keys_shape, values=values_shape)
        width = query_shape[-1]
        self.query_width, self.key_width = width, keys_shape[-1]
        if not self.score.built:  # one made from a config is
            self.score.build((None, None, width), keys_shape)
        if self.window is not None:
            self.position_inner = self._dense("position_inner", width, width, "tanh")  # W_p
            self.position = self._dense("position", 1, width, "sigmoid")  # v_p

    def _dense(self, name, units, width, activation):
        dense = keras.layers.Dense(
            units, activation=activation, use_bias=False, name=name, dtype=self.dtype_policy
        )
        dense.build((None, width))
        return dense

    def call(
        self, query: Tensor, keys: Tensor, values: Tensor | None = None, keys_mask: Tensor | None = None
    ) -> Tensor:
        keys_mask = masks.implicit_mask(keys, keys_mask)
        arguments.check_vectors((None, self.query_width), query=query)
        arguments.check_vectors((None, None, self.key_width), keys=keys)
        _check_sources(query, keys, values, keys_mask)
        return self.attend(query, self.project(keys, keys_mask, values))[0]

    def project(
        self, keys: Tensor, keys_mask: Tensor | None = None, values: Tensor | None = None
    ) -> dict[str, Tensor]:
        """What depends on the source alone, once for any number of queries.

        Args:
            keys, keys_mask, values: as in a call; a mask of None is no restriction.

        Returns:
            {"key", "value", "mask"}, to be given to `attend`.
        """
        if keys_mask is None:
            keys_mask = ops.ones(ops.shape(keys)[:2], "bool")
        values = keys if values is None else values
        return {"key": self.score.project(keys), "value": values, "mask": ops.cast(keys_mask, "bool")}

    def attend(self, query: Tensor, projected: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Attends to what `project` made.

        Args:
            query: (R, D).
            projected: from `project`; B rows.

        Returns:
            The context (R, V), and the weights (R, S); both in the compute dtype.
        """
        value, mask = projected["value"], projected["mask"]
        # All queries of a source at once: what belongs to it is neither repeated nor read W times.
        folded = _folded(query, ops.shape(mask)[0])  # (B, W, D)
        # Soft-max in float32: in half precision small weights vanish.
        scores = ops.cast(self.score.compare(folded, projected["key"]), "float32")  # (B, W, S)
        if self.window is None:
            weights = masked_softmax(scores, mask[:, None])
        else:
            distance = self._distance(query, mask)
            weights = masked_softmax(scores, mask[:, None] & (ops.abs(distance) <= self.window))
            weights = weights * ops.exp(-2.0 * ops.square(distance / self.window))  # sigma = window / 2
        weights = ops.cast(weights, value.dtype)
        context = ops.reshape(ops.matmul(weights, value), (-1, value.shape[-1]))
        return context, ops.reshape(weights, (-1, ops.shape(mask)[1]))

    def _distance(self, query, mask):
        """s - p_t, float32, (B, W, S)."""
        share = ops.cast(self.position(self.position_inner(query)), "float32")
        share = _folded(share, ops.shape(mask)[0])
        length = ops.sum(ops.cast(mask, "float32"), axis=1)[:, None, None]
        return ops.arange(ops.shape(mask)[1], dtype="float32") - length * share

    def compute_output_shape(
        self, query_shape: Shape, keys_shape: Shape, values_shape: Shape | None = None
    ) -> Shape:
        return (query_shape[0], (values_shape or keys_shape)[-1])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "score": keras.saving.serialize_keras_object(self.score)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**{**config, "score": keras.saving.deserialize_keras_object(config["score"])})


@keras.saving.register_keras_serializable(package="keras_transformer")
class FinalState(arguments.KnownArguments, keras.layers.Layer):
    """No attention, with the interface of `RecurrentAttention`: the context is the last real key.

    Cho et al. 2014, section 2.2: one summary c of the source, the same at every step. No weights.

    Call arguments and returns: those of `RecurrentAttention`; the attention weights are zeros.
    """

    def build(self, query_shape: Shape, keys_shape: Shape, values_shape: Shape | None = None) -> None:
        arguments.check_shapes(2, query=query_shape)
        arguments.check_shapes(3, keys=keys_shape, values=values_shape)

    def call(
        self, query: Tensor, keys: Tensor, values: Tensor | None = None, keys_mask: Tensor | None = None
    ) -> Tensor:
        keys_mask = masks.implicit_mask(keys, keys_mask)
        arguments.check_vectors((None, None), query=query)
        arguments.check_vectors((None, None, None), keys=keys)
        _check_sources(query, keys, values, keys_mask)
        return self.attend(query, self.project(keys, keys_mask, values))[0]

    def project(
        self, keys: Tensor, keys_mask: Tensor | None = None, values: Tensor | None = None
    ) -> dict[str, Tensor]:
        """{"value": (B, V), "mask": (B, S)}: see `RecurrentAttention.project`."""
        if keys_mask is None:
            keys_mask = ops.ones(ops.shape(keys)[:2], "bool")
        values = keys if values is None else values
        mask = ops.cast(keys_mask, "bool")
        positions = ops.arange(ops.shape(mask)[1])
        last = ops.max(ops.where(mask, positions, -1), axis=1, keepdims=True, initial=-1)  # no row has -1
        is_last = ops.cast(positions == last, values.dtype)
        return {"value": ops.sum(values * is_last[..., None], axis=1), "mask": mask}

    def attend(self, query: Tensor, projected: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The same context (R, V) for every query, and zeros (R, S)."""
        value, mask = projected["value"], projected["mask"]
        folded = _folded(query, ops.shape(mask)[0])
        # A sum, since XLA cannot compile the gradient of a repetition in a loop.
        context = ops.reshape(value[:, None] + ops.zeros_like(folded[..., :1]), (-1, value.shape[-1]))
        return context, ops.zeros((ops.shape(query)[0], ops.shape(mask)[1]), value.dtype)

    def compute_output_shape(
        self, query_shape: Shape, keys_shape: Shape, values_shape: Shape | None = None
    ) -> Shape:
        return (query_shape[0], (values_shape or keys_shape)[-1])


def _folded(x, rows):
    """(R, D) -> (rows, R / rows, D)."""
    # No rows at all: -1 could be any number.
    return ops.reshape(x, (rows, 1 if isinstance(rows, int) and rows == 0 else -1, x.shape[-1]))


def _check_sources(query, keys, values, keys_mask):
    arguments.check_masks(keys.shape[:2], keys_mask=keys_mask)
    if values is not None:
        arguments.check_vectors((*keys.shape[:2], None), values=values)
    queries, sources = query.shape[0], keys.shape[0]
    if isinstance(queries, int) and isinstance(sources, int) and queries % max(1, sources):
        raise ValueError(
            "`query` must have as many rows as `keys`, or a multiple of it. "
            f"Received: {queries} rows of `query`, {sources} of `keys`."
        )

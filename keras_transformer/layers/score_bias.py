"""The bias of attention's scores: a tensor, or a function of positions."""

from typing import Any

from keras import ops

from keras_transformer.layers.position_bias import BiasAt, PositionBias
from keras_transformer.layers.positions import positions_from
from keras_transformer.types import Tensor


class ScoreBias:
    """A bias of all scores, of which some rows are asked for at a time.

    Args:
        bias: a `PositionBias`; a tensor broadcastable to (B, H, T, S); or a function or layer that returns
            one, `bias(query_length=T, key_length=S, start_index=0)`.
    """

    def __init__(self, bias: Any):
        self.bias = bias
        self.is_function = callable(bias)
        # What a function reads beside its arguments.
        self.variables = getattr(bias, "variables", []) if self.is_function else []

    def rows(self, query_length: int, key_length: int, start_index: int | Tensor = 0) -> Any:
        """The bias of the queries from `start_index` on: broadcastable to (B, H, T, S), or a `BiasAt`."""
        if isinstance(self.bias, PositionBias):
            return BiasAt(self.bias, positions_from(start_index, query_length), ops.arange(key_length))
        if self.is_function:
            # By keyword: Keras's layers take only tensors by position.
            return self.bias(query_length=query_length, key_length=key_length, start_index=start_index)
        bias = self.bias
        if bias.shape[-2] > 1:
            bias = ops.take(bias, start_index + ops.arange(query_length), axis=-2)
        return bias[..., :key_length] if bias.shape[-1] > 1 else bias

"""Position biases, added to attention's scores: the contract, ALiBi, and T5's relative bias.

Legend: B batch, H heads, T queries, S keys, K one head's keys, V one head's values.
"""

import dataclasses
import math
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_transformer import arguments


def distances(query_positions: Any, key_positions: Any) -> Any:
    """Position of the key minus that of the query: (T, S), or (B, T, S) if one of them has rows."""
    query_positions, key_positions = (ops.cast(x, "int32") for x in (query_positions, key_positions))
    # What ONNX knows, too: it has no slices with an ellipsis.
    return ops.expand_dims(key_positions, -2) - ops.expand_dims(query_positions, -1)


def clipped_distances(query_positions: Any, key_positions: Any, max_distance: int) -> Any:
    """`distances`, cut off at `max_distance` to both sides, as row numbers from 0 to 2 * max_distance."""
    distance = distances(query_positions, key_positions)
    return ops.clip(distance, -max_distance, max_distance) + max_distance


class PositionBias(arguments.KnownArguments, keras.layers.Layer):
    """Base of the layers for the `position_bias` of a `MultiHeadAttention`: what positions add to it.

    `bias` and `values` answer for any queries and keys, in blocks too, so nothing of the size (T, S) need be
    kept. A step of decoding is a block of one query: its position is the number of keys before it, not 0.

    Call arguments:
        query_positions: integers, (T,) or (B, T).
        key_positions: integers, (S,) or (B, S).
        query: (B, H, T, K), the query heads, for a bias that depends on them.

    Returns:
        `bias` of these: (1 or B, H, T, S) in the compute dtype.
    """

    adds_values = False  # whether `values` is asked, too

    def bias(self, query_positions: Any, key_positions: Any, query: Any = None) -> Any:
        """What is added to the scores.

        Args:
            query_positions: integers, (T,) or (B, T).
            key_positions: integers, (S,) or (B, S).
            query: (B, H, T, K), multiplied by the scale of the scores.

        Returns:
            (1 or B, H, T, S).
        """
        raise NotImplementedError

    def values(self, query_positions: Any, key_positions: Any, weights: Any) -> Any:
        """What is added to the attended values; linear in the weights, so that blocks of keys add up.

        Args:
            query_positions, key_positions: see `bias`.
            weights: (B, H, T, S), as they meet the values.

        Returns:
            (B, H, T, V).
        """
        raise NotImplementedError

    def check_heads(self, num_heads: int, value_dim: int) -> None:
        """Raises unless the bias is for heads of this number and for values of this width."""
        if self.num_heads != num_heads:
            raise ValueError(
                "`position_bias` must be for as many heads as the attention has. "
                f"Received: num_heads={num_heads}, position_bias.num_heads={self.num_heads}."
            )

    def build(
        self,
        query_positions_shape: Any = None,
        key_positions_shape: Any = None,
        query_shape: Any = None,
    ) -> None:
        """Makes the weights; the shapes of positions do not matter."""

    def call(self, query_positions: Any, key_positions: Any, query: Any = None) -> Any:
        _check_positions(query, query_positions=query_positions, key_positions=key_positions)
        bias = self.bias(query_positions, key_positions, query)
        return ops.cast(bias, self.compute_dtype)

    def compute_output_shape(
        self, query_positions_shape: Any, key_positions_shape: Any, query_shape: Any = None
    ) -> tuple:
        rows = [shape[0] for shape in (query_positions_shape, key_positions_shape) if len(shape) > 1]
        return (rows[0] if rows else 1, self.num_heads, query_positions_shape[-1], key_positions_shape[-1])


@dataclasses.dataclass(frozen=True)
class BiasAt:
    """What a `PositionBias` adds to the attention of certain queries to certain keys, all or a block of them.

    Args:
        layer: the `PositionBias`.
        query_positions: integers, (T,) or (B, T).
        key_positions: integers, (S,) or (B, S).
    """

    layer: PositionBias
    query_positions: Any
    key_positions: Any

    def scores(self, query: Any) -> Any:
        """See `PositionBias.bias`."""
        return self.layer.bias(self.query_positions, self.key_positions, query)

    def values(self, weights: Any) -> Any:
        """See `PositionBias.values`."""
        return self.layer.values(self.query_positions, self.key_positions, weights)


def _check_positions(query=None, **positions):
    for name, x in positions.items():
        dtype = keras.backend.standardize_dtype(x.dtype)
        if len(x.shape) not in (1, 2) or not dtype.startswith(("int", "uint")):
            raise ValueError(
                f"`{name}` must be integers with the shape (length,) or (batch, length). "
                f"Received: shape={tuple(x.shape)}, dtype={dtype}."
            )
    sizes = [x.shape[0] for x in positions.values() if len(x.shape) == 2]
    if sizes and query is not None:
        sizes.append(query.shape[0])
    if len({*sizes} - {None}) > 1:
        raise ValueError(f"Positions and queries must have one batch size. Received: {sizes}.")


@keras.saving.register_keras_serializable(package="keras_transformer")
class AlibiBias(PositionBias):
    """Minus the distance between query and key, times a slope for each head: ALiBi. No weights, any length.

    Press et al. 2022, "Train Short, Test Long", section 3. The slopes are 2^(-8 h / H); for a number of heads
    that is no power of two, those of the next smaller power and then every other one of the next larger, as
    in the authors' program. Of a key behind the query the distance counts as of one before it: the symmetric
    form, for encoders. With a causal mask it is the paper's.

    Args:
        num_heads: H, number of the attention's heads, >= 1.

    Call arguments, returns: see `PositionBias`.
    """

    def __init__(self, num_heads: int, **kwargs: Any):
        super().__init__(**kwargs)
        arguments.check_sizes(num_heads=num_heads)
        self.num_heads = num_heads
        power = 2 ** int(math.log2(num_heads))
        slopes = [2 ** (-8 * head / power) for head in range(1, power + 1)]
        slopes += [2 ** (-4 * head / power) for head in range(1, 2 * (num_heads - power), 2)]
        self._slopes = np.array(slopes, "float32")

    def bias(self, query_positions: Any, key_positions: Any, query: Any = None) -> Any:
        distance = ops.cast(ops.abs(distances(query_positions, key_positions)), "float32")
        distance = distance[:, None] if len(distance.shape) == 3 else distance[None, None]
        return ops.convert_to_tensor(-self._slopes[:, None, None]) * distance


@keras.saving.register_keras_serializable(package="keras_transformer")
class RelativePositionBias(PositionBias):
    """A learned number for each head and each bucket of distances: T5's positions.

    Raffel et al. 2020, section 2.1. Small distances have a bucket each; from half of the buckets on they grow
    by a factor, up to `max_distance`, and all beyond share the last. Several attentions may share one layer,
    as all of a stack do in T5.

    Args:
        num_heads: H, number of the attention's heads, >= 1.
        num_buckets: number of buckets; a multiple of 4, or if not `bidirectional` of 2.
        max_distance: distance from which on all is one bucket; above the number of single distances.
        bidirectional: whether keys behind the query have buckets of their own, half of all: for encoders.
            Else all of them share the query's own: for a causal mask.
        initializer: of the numbers.

    Call arguments, returns: see `PositionBias`.

    Raises:
        ValueError: a number is out of range.
    """

    def __init__(
        self,
        num_heads: int,
        num_buckets: int = 32,
        max_distance: int = 128,
        bidirectional: bool = True,
        initializer: Any = "glorot_uniform",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        arguments.check_sizes(num_heads=num_heads, num_buckets=num_buckets, max_distance=max_distance)
        multiple = 4 if bidirectional else 2
        if num_buckets % multiple:
            raise ValueError(
                f"`num_buckets` must be a multiple of {multiple}. Received: num_buckets={num_buckets}."
            )
        if max_distance <= num_buckets // multiple:
            raise ValueError(
                f"`max_distance` must be above {num_buckets // multiple}, the distances with a bucket each. "
                f"Received: max_distance={max_distance}."
            )
        self.num_heads = num_heads
        self.num_buckets = num_buckets
        self.max_distance = max_distance
        self.bidirectional = bidirectional
        self.initializer = keras.initializers.get(initializer)

    def build(
        self,
        query_positions_shape: Any = None,
        key_positions_shape: Any = None,
        query_shape: Any = None,
    ) -> None:
        self.embeddings = self.add_weight(
            name="embeddings",
            shape=(self.num_buckets, self.num_heads),
            initializer=self.initializer,
            autocast=False,  # added to scores in float32
        )

    def bias(self, query_positions: Any, key_positions: Any, query: Any = None) -> Any:
        rows = clipped_distances(query_positions, key_positions, self.max_distance)
        # Looked up once for each distance, then for each pair: in 2 * max_distance + 1 rows, not in T * S.
        by_distance = ops.take(self.embeddings, self._buckets(), axis=0)
        bias = ops.take(ops.transpose(by_distance), rows, axis=1)  # (H, T, S) or (H, B, T, S)
        return bias[None] if len(bias.shape) == 3 else ops.swapaxes(bias, 0, 1)

    def _buckets(self):
        """The bucket of each distance from -max_distance to max_distance, (2 * max_distance + 1,).

        In NumPy: a logarithm in float32 puts the limits of buckets elsewhere on each backend.
        """
        distance = np.arange(-self.max_distance, self.max_distance + 1)
        count = self.num_buckets // 2 if self.bidirectional else self.num_buckets
        first = count * (distance > 0) if self.bidirectional else 0
        distance = np.abs(distance) if self.bidirectional else np.maximum(-distance, 0)
        single = count // 2
        growth = np.log(np.maximum(distance, 1) / single) / math.log(self.max_distance / single)
        # A limit is a power of the factor: what float64 makes of it may be a hair below.
        shared = single + np.floor(growth * (count - single) + 1e-9).astype(int)
        return first + np.where(distance < single, distance, np.minimum(shared, count - 1))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "initializer": keras.saving.serialize_keras_object(self.initializer)}

"""Relative keys and values (Shaw et al. 2018, "Self-Attention with Relative Position Representations")."""

from typing import Any

import keras
from keras import ops

from keras_transformer import arguments
from keras_transformer.layers.position_bias import PositionBias, clipped_distances


@keras.saving.register_keras_serializable(package="keras_transformer")
class RelativeKeysAndValues(PositionBias):
    """A learned key and a learned value for each distance, added to those of the attention.

    Shaw et al. 2018, section 3.2, equations 3 and 4. Paper symbols: k = max_distance, a^K and a^V the rows of
    the two weights, from distance -k to k. All heads share them.

    Args:
        max_distance: distances beyond count as this one, >= 1; 16 in the paper.
        value_dim: V, width of one head's values; that of its keys if None.
        initializer: of both weights.

    Call arguments:
        query_positions: integers, (T,) or (B, T).
        key_positions: integers, (S,) or (B, S).
        query: (B, H, T, K), the query heads.

    Returns:
        query (a^K)^T, (B, H, T, S), in the compute dtype.
    """

    adds_values = True

    def __init__(
        self,
        max_distance: int = 16,
        value_dim: int | None = None,
        initializer: Any = "glorot_uniform",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        arguments.check_sizes(max_distance=max_distance)
        arguments.check_optional_sizes(value_dim=value_dim)
        self.max_distance = max_distance
        self.value_dim = value_dim
        self.initializer = keras.initializers.get(initializer)

    def check_heads(self, num_heads: int, value_dim: int) -> None:
        if self.value_vectors.shape[-1] != value_dim:
            raise ValueError(
                "`position_bias` must have the `value_dim` of the attention. "
                f"Received: value_dim={value_dim}, position_bias.value_dim={self.value_vectors.shape[-1]}."
            )

    def build(
        self,
        query_positions_shape: Any = None,
        key_positions_shape: Any = None,
        query_shape: Any = None,
    ) -> None:
        arguments.check_shapes(4, query=query_shape or ())
        key_dim = query_shape[-1]
        widths = {"keys": key_dim, "values": self.value_dim or key_dim}
        self.key_vectors, self.value_vectors = (
            self.add_weight(name=name, shape=(2 * self.max_distance + 1, width), initializer=self.initializer)
            for name, width in widths.items()
        )

    def call(self, query_positions: Any, key_positions: Any, query: Any = None) -> Any:
        if query is None:
            raise ValueError("Relative keys meet queries: `query` must be given. Received: query=None.")
        arguments.check_vectors(
            (None, None, query_positions.shape[-1], self.key_vectors.shape[-1]), query=query
        )
        return super().call(query_positions, key_positions, query)

    def bias(self, query_positions: Any, key_positions: Any, query: Any = None) -> Any:
        one_hot, axes = self._one_hot(query_positions, key_positions, query.dtype)
        # With each vector first, and then for each key the one of its distance: no vector for each pair.
        by_distance = ops.matmul(query, ops.transpose(ops.cast(self.key_vectors, query.dtype)))
        return ops.einsum(f"bhtr,{axes}->bhts", by_distance, one_hot)

    def values(self, query_positions: Any, key_positions: Any, weights: Any) -> Any:
        one_hot, axes = self._one_hot(query_positions, key_positions, weights.dtype)
        by_distance = ops.einsum(f"bhts,{axes}->bhtr", weights, one_hot)
        return ops.matmul(by_distance, ops.cast(self.value_vectors, weights.dtype))

    def _one_hot(self, query_positions, key_positions, dtype):
        """Which distance each pair has, (T, S, R) or (B, T, S, R), and its axes for `einsum`."""
        rows = clipped_distances(query_positions, key_positions, self.max_distance)
        one_hot = ops.one_hot(rows, 2 * self.max_distance + 1, dtype=dtype)
        return one_hot, "tsr" if len(rows.shape) == 2 else "btsr"

    def compute_output_shape(
        self, query_positions_shape: Any, key_positions_shape: Any, query_shape: Any = None
    ) -> tuple:
        return (*query_shape[:3], key_positions_shape[-1])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "initializer": keras.saving.serialize_keras_object(self.initializer)}

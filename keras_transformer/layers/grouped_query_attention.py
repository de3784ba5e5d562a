"""Grouped-query attention (Ainslie et al. 2023) under the names of Keras's layer."""

from collections.abc import Callable
from typing import Any, Unpack

import keras

from keras_transformer.arguments import check_sizes
from keras_transformer.layers.attention import MultiHeadAttention
from keras_transformer.layers.layer_config import KerasFields
from keras_transformer.types import Identifier, Shape, Tensor


class AttentionFields(KerasFields, total=False):
    """What both attentions take by name, see `MultiHeadAttention`."""

    sliding_window: int | None
    flash_attention: bool | None
    kernel_initializer: Identifier
    bias_initializer: Identifier
    kernel_regularizer: Identifier | None
    bias_regularizer: Identifier | None
    activity_regularizer: Identifier | None
    kernel_constraint: Identifier | None
    bias_constraint: Identifier | None
    use_gate: bool
    seed: int | None
    rotary: Callable[..., Tensor] | None
    position_bias: Any
    qk_norm: str | None


@keras.saving.register_keras_serializable(package="keras_transformer")
class GroupedQueryAttention(MultiHeadAttention):
    """Attention whose heads share keys and values in groups.

    Ainslie et al. 2023; with one head of keys and values the multi-query attention of Shazeer 2019. A drop-in
    for `keras.layers.GroupQueryAttention`: same arguments, weights and order, and its tests pass. It is
    `MultiHeadAttention` with `num_key_value_heads`, which says what the two have beyond Keras's.

    Args:
        head_dim: K, width of one head, >= 1.
        num_query_heads: H, >= 1.
        num_key_value_heads: G, number of heads of keys and values; H is a multiple of it.
        Others: see `MultiHeadAttention`.

    Call arguments, returns and errors: those of `MultiHeadAttention`; query and value have one width.
    """

    def __init__(
        self,
        head_dim: int,
        num_query_heads: int,
        num_key_value_heads: int,
        dropout: float = 0.0,
        use_bias: bool = True,
        **fields: Unpack[AttentionFields],
    ):
        check_sizes(
            head_dim=head_dim, num_query_heads=num_query_heads, num_key_value_heads=num_key_value_heads
        )
        sizes = num_query_heads, head_dim, None, dropout, use_bias
        super().__init__(*sizes, num_key_value_heads=num_key_value_heads, **fields)
        self.head_dim = head_dim
        self.num_query_heads = num_query_heads

    def _changed_attention(self, query, key, value, attention_mask, training, return_attention_scores):
        # In Keras's layer the method has no argument that says whether scores are wanted.
        self._return_attention_scores = return_attention_scores
        return super()._changed_attention(query, key, value, attention_mask, training)

    def compute_output_shape(
        self, query_shape: Shape, value_shape: Shape | None = None, key_shape: Shape | None = None
    ) -> Shape:
        if value_shape is not None and query_shape[-1] != value_shape[-1]:
            raise ValueError(
                "The last dimensions of query and value must be equal. "
                f"Received: query_shape={query_shape}, value_shape={value_shape}."
            )
        return super().compute_output_shape(query_shape, value_shape, key_shape)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        names = {"key_dim": "head_dim", "num_heads": "num_query_heads"}
        fixed = ("value_dim", "output_shape", "attention_axes")
        return {names.get(name, name): value for name, value in config.items() if name not in fixed}

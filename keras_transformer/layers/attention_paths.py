"""Which way attention is computed: the one place that chooses."""

from collections.abc import Callable
from typing import Any

from keras import ops

from keras_transformer.layers.blockwise import blockwise_attention
from keras_transformer.layers.dot_product import scaled_dot_product_attention
from keras_transformer.layers.fused_attention import fused_attention
from keras_transformer.types import Tensor


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    visible: Any,
    bias: Any = None,
    dropout: Callable[[Tensor], Tensor] | None = None,
    weights: bool = True,
    fused: bool = True,
) -> tuple[Tensor, Tensor | None]:
    """softmax(Q K^T / sqrt(K)) V by equation 1, or by what gives the same without a (T, S) matrix.

    Where neither weights nor dropout of them is asked for: the backend's kernel if it has one for these heads
    (`fused_attention`), else blocks if the matrix would be large (`blockwise_attention`), else equation 1.
    Static shapes and dtypes decide; with a length that is not known (in TensorFlow's graphs) equation 1.

    Args:
        query: (..., T, K), as a rule (B, H, T, K).
        key, value: (..., S, K) and (..., S, V), of as many heads or fewer.
        visible: `VisibleKeys`.
        bias: `ScoreBias` or None.
        dropout: function applied to the attention weights, or None.
        weights: whether they are returned.
        fused: whether the backend's kernel may be used.

    Returns:
        (..., T, V) and the weights, (..., T, S), or None in their place.
    """
    if not weights and dropout is None:
        heads = fused_attention(query, key, value, visible) if fused and bias is None else None
        heads = blockwise_attention(query, key, value, visible, bias) if heads is None else heads
        if heads is not None:
            return heads, None
    lengths = ops.shape(query)[-2], ops.shape(key)[-2]
    added = None if bias is None else bias.rows(*lengths)
    heads, found = scaled_dot_product_attention(query, key, value, visible.whole(*lengths), added, dropout)
    return heads, found if weights else None

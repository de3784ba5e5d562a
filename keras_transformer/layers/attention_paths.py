"""Attention without its (T, S) matrix: the one place that chooses how."""

from typing import Any

from keras_transformer.layers.blockwise import blockwise_attention
from keras_transformer.layers.fused_attention import fused_attention
from keras_transformer.types import Tensor


def without_matrix(
    query: Tensor, key: Tensor, value: Tensor, visible: Any, bias: Any = None, fused: bool = True
) -> Tensor | None:
    """softmax(Q K^T / sqrt(K)) V by what gives the same as equation 1; None where that is the way.

    The backend's kernel if it has one for these heads (`fused_attention`), else blocks if the matrix would be
    large (`blockwise_attention`). Static shapes and dtypes decide: None with a length that is not known (in
    TensorFlow's graphs). Neither keeps weights, or could drop some.

    Args:
        query: (..., T, K), as a rule (B, H, T, K).
        key, value: (..., S, K) and (..., S, V), of as many heads or fewer.
        visible: `VisibleKeys`.
        bias: `ScoreBias` or None.
        fused: whether the backend's kernel may be used.

    Returns:
        (..., T, V), or None.
    """
    heads = fused_attention(query, key, value, visible) if fused and bias is None else None
    return blockwise_attention(query, key, value, visible, bias) if heads is None else heads

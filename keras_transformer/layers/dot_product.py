"""Scaled dot-product attention as a pure function (Vaswani et al. 2017, section 3.2.1)."""

import math

from keras import ops

# Large enough to vanish in a float32 soft-max, small enough to stay finite: -inf would turn a
# fully masked row into NaN.
MASKED_SCORE = -1e9


def scaled_dot_product_attention(query, key, value, mask=None, bias=None, dropout=None, scale=None):
    """softmax(scale Q K^T) V: equation 1.

    Args:
        query: (B, H, T, K).
        key: (B, H, S, K).
        value: (B, H, S, V).
        mask: bool, broadcastable to (B, H, T, S); True = may attend. A row with no True gives zeros.
        bias: added to the scores, broadcastable to (B, H, T, S).
        dropout: function applied to the attention weights, or None.
        scale: factor on the scores; 1 / sqrt(d_k), as in the paper, if None.

    Returns:
        (B, H, T, V), and the attention weights before dropout, (B, H, T, S); both in the query's dtype.
    """
    # Scale before the product: float16 scores stay in range.
    query = query * (1.0 / math.sqrt(query.shape[-1]) if scale is None else scale)
    # Soft-max in float32: in half precision the mask's offset overflows and small weights vanish.
    scores = ops.cast(ops.matmul(query, ops.swapaxes(key, -1, -2)), "float32")
    if bias is not None:
        scores = scores + ops.cast(bias, "float32")
    weights = masked_softmax(scores, mask)
    weights = ops.cast(weights, query.dtype)
    dropped = weights if dropout is None else dropout(weights)
    return ops.matmul(dropped, value), weights


def masked_softmax(scores, mask=None):
    """Soft-max over the keys that may be attended to.

    Args:
        scores: float32, (..., S).
        mask: bool, broadcastable to the scores; True = may attend. A row with no True gives zeros.

    Returns:
        float32, (..., S).
    """
    if mask is not None:
        scores = ops.where(mask, scores, MASKED_SCORE)
    if scores.shape[-1] == 1:
        weights = ops.ones_like(scores)  # Keras warns about a soft-max over a single value.
    else:
        weights = ops.softmax(scores, axis=-1)
    if mask is not None:
        # The soft-max of a row without keys is uniform; the rule is zeros.
        weights = weights * ops.cast(ops.any(mask, axis=-1, keepdims=True), weights.dtype)
    return weights

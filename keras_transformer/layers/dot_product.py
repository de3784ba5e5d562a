"""Scaled dot-product attention as a pure function (Vaswani et al. 2017, section 3.2.1)."""

import math
from collections.abc import Callable

import keras
from keras import ops

from keras_transformer import masks
from keras_transformer.types import Tensor

# The lowest float32: -inf would turn a fully masked row into NaN.
MASKED_SCORE = -3.4028234663852886e38
# What a bias can make of a score. Far enough above the masked one to leave it nothing in a soft-max.
LARGEST_SCORE = 1e38


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None = None,
    bias: Tensor | None = None,
    dropout: Callable[[Tensor], Tensor] | None = None,
    scale: float | None = None,
) -> tuple[Tensor, Tensor]:
    """softmax(scale Q K^T) V: equation 1.

    Soft-max and scores are float32; of float16 heads the product is, too, because it can exceed their range.
    Where several axes are to be attended over, or heads stand elsewhere, see `AttentionAxes`.

    Args:
        query: (..., T, K), as a rule (B, H, T, K).
        key: (..., S, K).
        value: (..., S, V).
        mask: bool, broadcastable to (..., T, S); True = may attend. A row with no True gives zeros, and a
            masked key has a weight of zero whatever the scores and the bias are.
        bias: added to the scores, broadcastable to (..., T, S). -inf masks a key.
        dropout: function applied to the attention weights, or None.
        scale: factor on the scores; 1 / sqrt(d_k), as in the paper, if None.

    Returns:
        (..., T, V), and the attention weights before dropout, (..., T, S); both in the query's dtype.
    """
    dtype = query.dtype
    if keras.backend.standardize_dtype(dtype) == "float16":
        query, key = ops.cast(query, "float32"), ops.cast(key, "float32")
    # On the query, which is smaller than the scores.
    query = query * (1.0 / math.sqrt(query.shape[-1]) if scale is None else scale)
    scores = ops.cast(ops.matmul(query, ops.swapaxes(key, -1, -2)), "float32")
    if bias is not None:
        bias = ops.cast(bias, "float32")
        mask = masks.combine(mask, bias > -math.inf)
        scores = ops.clip(scores + bias, -LARGEST_SCORE, LARGEST_SCORE)
    # In float32: in half precision small weights vanish.
    weights = ops.cast(masked_softmax(scores, mask), dtype)
    dropped = weights if dropout is None else dropout(weights)
    return ops.matmul(dropped, value), weights


def masked_softmax(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    """Soft-max over the keys that may be attended to.

    Args:
        scores: float32, (..., S).
        mask: bool, broadcastable to the scores; True = may attend. A row with no True gives zeros.

    Returns:
        float32, (..., S).
    """
    if mask is not None:
        scores = ops.where(mask, scores, MASKED_SCORE)
    if scores.shape[-1] in (0, 1):
        weights = ops.ones_like(
            scores
        )  # Keras warns of a soft-max over one value; there is none over no value.
    else:
        weights = ops.softmax(scores, axis=-1)
    # The soft-max of a row without keys is uniform; the rule is zeros.
    return weights if mask is None else ops.where(mask, weights, 0.0)

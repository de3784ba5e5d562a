"""Scaled dot-product attention as a pure function (Vaswani et al. 2017, section 3.2.1)."""

import math
from collections.abc import Callable

import keras
from keras import ops

from keras_transformer import masks
from keras_transformer.layers.position_bias import BiasAt
from keras_transformer.types import Tensor

# What a bias can make of a score: an infinite one would turn its row into NaN.
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
        key: (..., S, K). Of G heads, (B, G, S, K), each serves H / G heads of the query in turn (Ainslie et
            al. 2023); it is not repeated.
        value: (..., S, V), as many heads as the key.
        mask: bool, broadcastable to (..., T, S); True = may attend. A row with no True gives zeros, and a
            masked key has a weight of zero whatever the scores and the bias are.
        bias: added to the scores, broadcastable to (..., T, S); or a `BiasAt`, which may add to the values,
            too. -inf masks a key.
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
    scores = ops.cast(_product(query, ops.swapaxes(key, -1, -2)), "float32")
    if bias is not None:
        added = ops.cast(bias.scores(query) if isinstance(bias, BiasAt) else bias, "float32")
        mask = masks.combine(mask, added > -math.inf)
        scores = ops.clip(scores + added, -LARGEST_SCORE, LARGEST_SCORE)
    # In float32: in half precision small weights vanish.
    weights = ops.cast(masked_softmax(scores, mask), dtype)
    dropped = weights if dropout is None else dropout(weights)
    attended = _product(dropped, value)
    if isinstance(bias, BiasAt) and bias.layer.adds_values:
        attended = attended + bias.values(dropped)
    return attended, weights


def _product(x, shared):
    """(B, H, T, M) times (B, G, M, N) is (B, H, T, N); each of the G serves H / G of the H in turn."""
    if len(x.shape) < 3 or x.shape[-3] <= shared.shape[-3]:
        return ops.matmul(x, shared)
    # The rows of all heads that share a matrix are the rows of one product.
    num_heads, length, width = ops.shape(x)[-3:]
    rows = num_heads // shared.shape[-3] * length
    x = ops.matmul(ops.reshape(x, (*ops.shape(x)[:-3], shared.shape[-3], rows, width)), shared)
    return ops.reshape(x, (*ops.shape(x)[:-3], num_heads, length, ops.shape(shared)[-1]))


def masked_softmax(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    """Soft-max over the keys that may be attended to.

    Args:
        scores: float32, (..., S).
        mask: bool, broadcastable to the scores; True = may attend. A row with no True gives zeros.

    Returns:
        float32, (..., S).
    """
    sees = None
    if mask is not None:
        # Numbers of the mask's size, which the layers of a stack share: on TensorFlow a `where` of the scores
        # takes as long as their soft-max. Of a row without keys nothing is hidden, else it would be NaN.
        sees = ops.any(mask, axis=-1, keepdims=True)
        scores = scores + ops.where(ops.logical_or(mask, ops.logical_not(sees)), 0.0, -math.inf)
    if scores.shape[-1] in (0, 1):
        # Keras warns of a soft-max over one value; there is none over no value.
        weights = ops.ones_like(scores)
    else:
        weights = ops.softmax(scores, axis=-1)
    return weights if sees is None else weights * ops.cast(sees, "float32")

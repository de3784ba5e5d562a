"""Attention masks: boolean, True = may attend, broadcastable to (B, H, T, S).

Vaswani et al. 2017, section 3.2.3. Legend: B batch, H heads, T queries, S keys.
"""

from keras import ops

# Keras has no public name for it, and JAX's arrays carry no attribute that could be read instead.
from keras.src.backend import get_keras_mask

from keras_transformer.special_ids import PAD_ID
from keras_transformer.types import Tensor


def padding_mask(ids: Tensor, pad_id: int = PAD_ID) -> Tensor:
    """Marks the real tokens of a padded batch.

    Args:
        ids: integers, (B, S).
        pad_id: the id that fills up short rows.

    Returns:
        bool, (B, S). True = a real token, False = padding.
    """
    return ops.not_equal(ids, pad_id)


def causal_mask(length: int | Tensor) -> Tensor:
    """Lets position t see positions 0 to t: the future is hidden (section 3.2.3).

    Args:
        length: T, number of positions; an integer or a scalar tensor.

    Returns:
        bool, (T, T): queries in rows, keys in columns.
    """
    positions = ops.arange(length)
    return ops.expand_dims(positions, 1) >= ops.expand_dims(positions, 0)


def local_mask(length: int | Tensor, window: int) -> Tensor:
    """Lets position t see the positions at most `window` away (section 4, restricted attention).

    Args:
        length: T, number of positions; an integer or a scalar tensor.
        window: largest distance |query - key| that may attend, >= 0.

    Returns:
        bool, (T, T). Combine with `causal_mask` for a window into the past only.
    """
    if window < 0:
        raise ValueError(f"`window` must not be negative. Received: window={window}.")
    positions = ops.arange(length)
    distance = ops.expand_dims(positions, 1) - ops.expand_dims(positions, 0)
    return ops.abs(distance) <= window


def combine(*masks: Tensor | None) -> Tensor | None:
    """Attends only where every mask allows it.

    Args:
        *masks: bool tensors that broadcast with each other, or None for "no restriction".

    Returns:
        Their logical and, or None if all of them are None.
    """
    combined = None
    for mask in masks:
        if mask is not None:
            combined = mask if combined is None else ops.logical_and(combined, mask)
    return combined


def implicit_mask(x: Tensor, mask: Tensor | None = None) -> Tensor | None:
    """The mask that was given, or else the one that Keras attached, say from `Embedding(mask_zero=True)`.

    Args:
        x: (B, T, ...).
        mask: bool, (B, T), or None.

    Returns:
        bool, (B, T), or None.
    """
    return get_keras_mask(x) if mask is None else mask


def as_heads_mask(mask: Tensor | None) -> Tensor | None:
    """Makes a mask broadcastable to (B, H, T, S).

    Args:
        mask: bool, (T, S), (B, T, S) or (B, H, T, S) with 1 for any of them, or None.

    Returns:
        bool, or None.
    """
    if mask is None:
        return None
    mask = ops.cast(mask, "bool")
    return ops.expand_dims(mask, 1) if len(mask.shape) == 3 else mask

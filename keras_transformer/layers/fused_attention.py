"""Attention by the backend's own kernel, which keeps no scores: cuDNN's on JAX, PyTorch's own.

Dao et al. 2022, "FlashAttention". Legend: B batch, H heads, T queries, S keys.
"""

from typing import Any

import keras
from keras import ops

from keras_transformer.layers.projection import heads_first
from keras_transformer.types import Tensor

# What cuDNN takes on every GPU from Ampere on, forward and backward.
LARGEST_WIDTH = 128
# Below, the matrix of one head is small, and XLA fuses what is done with it.
SMALLEST_MATRIX = 2**14
# From here on a mask of numbers, (B, 1, T, S), costs more than to ask whether lengths say the same.
SMALLEST_MATRIX_FOR_LENGTHS = 2**20
IMPLEMENTATION = "cudnn"


def fused_attention(query: Tensor, key: Tensor, value: Tensor, visible: Any) -> Tensor | None:
    """softmax(Q K^T / sqrt(K)) V, or None where the backend has no kernel for it.

    Args:
        query: (B, H, T, K).
        key, value: (B, G, S, K), of as many heads or fewer.
        visible: `VisibleKeys`.

    Returns:
        (B, H, T, K) in the query's dtype; a query that sees no key gives zeros.
    """
    kernel: Any = {"jax": _cudnn, "torch": _torch}.get(keras.backend.backend())
    one_batch_size = query.shape[0] == key.shape[0] == value.shape[0]
    if kernel is None or visible.window is not None or len(query.shape) != 4 or not one_batch_size:
        return None
    if not all(query.shape) or not all(key.shape):  # nothing to attend to or from
        return None
    heads = kernel(*map(heads_first, (query, key, value)), visible)
    return None if heads is None else visible.without_masked_queries(heads_first(heads))


def _torch(query, key, value, visible):
    if visible.mask is None and visible.keys is None:
        return ops.dot_product_attention(query, key, value, is_causal=visible.causal)
    mask = visible.block(ops.arange(query.shape[1]), ops.arange(key.shape[1]), visible.mask, visible.keys)
    return _zeros_without_keys(
        lambda mask: ops.dot_product_attention(query, key, value, mask=mask), mask, mask
    )


def _cudnn(query, key, value, visible):
    if not _has_cudnn(query, key, value):
        return None
    import jax

    length, key_length = query.shape[1], key.shape[1]
    batch_size, keys, mask = query.shape[0], visible.keys, visible.mask

    def attend(mask=None, lengths=None):
        return jax.nn.dot_product_attention(
            query,
            key,
            value,
            mask=mask,
            is_causal=visible.causal,
            key_value_seq_lengths=lengths,
            implementation=IMPLEMENTATION,
        )

    if mask is None and keys is None:
        return attend()
    if length % 2 or key_length % 2:  # cuDNN's way back takes no mask then
        return None
    # What causality hides is left to the kernel: it need not be in the mask, only in who sees nothing.
    mask = visible.block(ops.arange(length), ops.arange(key_length), mask, keys)
    shape = (batch_size, mask.shape[1], length, key_length)

    def attend_by_mask():
        return _zeros_without_keys(attend, mask, ops.broadcast_to(mask, shape))

    if visible.mask is not None or length * key_length < SMALLEST_MATRIX_FOR_LENGTHS:
        return attend_by_mask()

    def attend_by_lengths():
        lengths = ops.sum(ops.cast(keys, "int32"), axis=-1)
        heads = attend(lengths=ops.maximum(lengths, 1))
        return ops.where(lengths[:, None, None, None] > 0, heads, 0)

    padded_behind = ops.all(keys[:, :-1] >= keys[:, 1:])
    # The mask of numbers is made again on the way back: both branches would have to keep it.
    return jax.lax.cond(padded_behind, attend_by_lengths, jax.checkpoint(attend_by_mask))


def _zeros_without_keys(attend, mask, whole):
    """`attend(whole)`, (B, T, H, K), but zeros for queries of which `mask`, (B, H, T, S), shows no key.

    Their keys are all shown to the kernel, for a soft-max over nothing is no number.
    """
    sees = ops.any(mask, axis=-1, keepdims=True)
    heads = attend(ops.logical_or(whole, ops.logical_not(sees)))
    return ops.where(ops.swapaxes(sees, 1, 2), heads, 0)


def _has_cudnn(query, key, value):
    import jax
    from keras.src.backend.jax.nn import _can_use_flash_attention  # asks cuDNN for its version, too

    width = query.shape[-1]
    if jax.default_backend() != "gpu" or width > LARGEST_WIDTH or value.shape[-1] != width:
        return False
    if query.shape[1] * key.shape[1] < SMALLEST_MATRIX:
        return False
    return _can_use_flash_attention(query, key, value, None)

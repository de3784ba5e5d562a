"""Exact attention in blocks of queries: no (T, S) matrix, forward or backward.

Rabe & Staats 2021, "Self-attention Does Not Need O(n^2) Memory". Legend: B batch, H heads, T queries, S keys,
C queries of one block, N blocks.
"""

from typing import Any

import keras
from keras import ops

from keras_transformer import masks
from keras_transformer.layers.dot_product import scaled_dot_product_attention
from keras_transformer.types import Tensor

# Scores of one head in one block, which stay in a CPU's cache. A matrix that is no larger is faster at once
# (benchmarks/README.md, "Attention and length").
BLOCK_SCORES = 2**18
SMALLEST_BLOCK = 128  # queries; fewer make slow products


def blockwise_attention(
    query: Tensor, key: Tensor, value: Tensor, visible: Any, bias: Any = None
) -> Tensor | None:
    """softmax(Q K^T / sqrt(K)) V, or None where the whole matrix is small or a length is not known.

    One block's scores are there at a time, and are computed again on the way back: memory grows with T and S.
    With a `window`, and no `mask` or bias, a block has only the keys near it: time, too, grows with T.

    Args:
        query: (..., T, K), as a rule (B, H, T, K).
        key, value: (..., S, K) and (..., S, V), of as many heads or fewer: `scaled_dot_product_attention`.
        visible: `VisibleKeys`.
        bias: `ScoreBias` or None.

    Returns:
        (..., T, V) in the query's dtype; a query that sees no key gives zeros.
    """
    length, key_length = query.shape[-2], key.shape[-2]
    if None in (length, key_length) or length * key_length <= BLOCK_SCORES:
        return None
    before = 0 if visible.window is None else visible.window - 1
    after = 0 if visible.causal else before
    block_length = max(SMALLEST_BLOCK, before)
    framed = visible.window is not None and visible.mask is None and bias is None
    framed = framed and before + block_length + after < key_length
    if not framed:
        block_length = max(SMALLEST_BLOCK, BLOCK_SCORES // key_length)
    if block_length >= length:
        return None

    count = -(-length // block_length)
    blocks = {"first": ops.arange(count) * block_length, "query": _blocks(query, count, block_length)}
    if visible.mask is not None and visible.mask.shape[-2] != 1:
        blocks["mask"] = _blocks(visible.mask, count, block_length)
    if framed:
        frame = count, block_length, before, after
        blocks |= {"key": _frames(key, *frame), "value": _frames(value, *frame)}
        if visible.keys is not None:
            blocks["keys"] = _frames(visible.keys[..., None], *frame)[..., 0]
    computed = bias is not None and bias.is_function
    if bias is not None and not computed:
        added = bias.rows(length, key_length)
        added = ops.broadcast_to(added, (*added.shape[:-2], length, added.shape[-1]))
        blocks["bias"] = _blocks(added, count, block_length)
    variables = bias.variables if computed else []
    values = [variable.value for variable in variables]
    # TensorFlow's way back through a loop can read no tensor that is not of this graph.
    mask, keys = (x if x is None else ops.logical_and(x, True) for x in (visible.mask, visible.keys))

    def attend(block):
        # What has a gradient is an argument; the rest is made inside, so that no block's is kept.
        def attend_once(query, key, value, *others):
            positions = block["first"] + ops.arange(block_length)
            first_key = block["first"] - before if framed else 0
            key_positions = first_key + ops.arange(key.shape[-2])
            seen = visible.block(positions, key_positions, block.get("mask", mask), block.get("keys", keys))
            if framed:
                seen = masks.combine(seen, key_positions >= 0, key_positions < key_length)
            added = others[0] if "bias" in block else None
            if not computed:
                return scaled_dot_product_attention(query, key, value, seen, added)[0]
            with keras.StatelessScope(list(zip(variables, others, strict=True))):
                added = bias.rows(block_length, key_length, block["first"])
                return scaled_dot_product_attention(query, key, value, seen, added)[0]

        heads = (block["query"], block.get("key", key), block.get("value", value))
        return keras.remat(attend_once)(*heads, *([block["bias"]] if "bias" in block else values))

    heads = ops.moveaxis(ops.map(attend, blocks), 0, -3)  # (..., N, C, V)
    heads = ops.reshape(heads, (*ops.shape(heads)[:-3], count * block_length, heads.shape[-1]))
    return visible.without_masked_queries(heads[..., :length, :])


def _blocks(x, count, block_length):
    """(..., T, K) -> (N, ..., C, K), zeros behind the end."""
    x = _padded(x, 0, count * block_length)
    x = ops.reshape(x, (*ops.shape(x)[:-2], count, block_length, x.shape[-1]))
    return ops.moveaxis(x, -3, 0)


def _frames(x, count, block_length, before, after):
    """(..., S, K) -> (N, ..., before + C + after, K): each block with what lies beside it, zeros if nothing.

    By shifted blocks: the gradient of slices and a concatenation is cheaper than that of a gather.
    """
    x = _padded(x[..., : (count + 1) * block_length, :], before, (count + 1) * block_length)
    shifted = {0: before, before: block_length, before + block_length: after}
    parts = [
        _blocks(x[..., start : start + count * block_length, :], count, block_length)[..., :width, :]
        for start, width in shifted.items()
        if width
    ]
    return ops.concatenate(parts, axis=-2)


def _padded(x, before, length):
    """(..., S, K) with zeros, `before` of them in front, and so many behind that S becomes `length`."""
    behind = length - x.shape[-2]
    if not before and not behind:
        return x
    return ops.pad(x, [[0, 0]] * (len(x.shape) - 2) + [[before, behind], [0, 0]])

"""Attention axes: those that attention goes over, and where heads and masks stand for that.

An input is (B, ..., D). Of the axes between, the attended ones are gone over together; along the others, the
free ones, each position attends for itself. With rank 3, (B, T, D), T is attended over and nothing is free.
Legend: F free axes, H heads, T queries, S keys, K one head's width; T and S stand for one axis or several.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from keras import ops

from keras_transformer.arguments import is_size
from keras_transformer.layers.projection import heads_first
from keras_transformer.types import Shape, Tensor


def checked_shapes(
    query_shape: Shape, value_shape: Shape | None = None, key_shape: Shape | None = None
) -> tuple[Shape, Shape, Shape]:
    """The shapes of query, value and key as tuples; `value` is the query by default, `key` the value.

    Raises:
        ValueError: ranks, batch sizes, widths, or lengths of keys and values do not fit.
    """
    value_shape = query_shape if value_shape is None else value_shape
    key_shape = value_shape if key_shape is None else key_shape
    query_shape, value_shape, key_shape = map(tuple, (query_shape, value_shape, key_shape))
    shapes = f"query_shape={query_shape}, value_shape={value_shape}, key_shape={key_shape}"
    if not _agree(value_shape[:-1], key_shape[:-1]):
        raise ValueError(
            "`key` and `value` must have the same length: all dimensions but the last must be equal. "
            f"Received: key_shape={key_shape}, value_shape={value_shape}."
        )
    if len(query_shape) < 3 or not len(query_shape) == len(value_shape) == len(key_shape):
        raise ValueError(
            "`query`, `value` and `key` must have one rank, 3 or more: (batch, length, width). "
            f"Received: {shapes}."
        )
    # A batch of one is repeated, by the products.
    if 1 not in (query_shape[0], value_shape[0]) and not _agree(query_shape[:1], value_shape[:1]):
        raise ValueError(f"`query` and `value` must have one batch size. Received: {shapes}.")
    if not all(shape[-1] for shape in (query_shape, value_shape, key_shape)):
        raise ValueError(f"The last dimension must be known, and not zero. Received: {shapes}.")
    return query_shape, value_shape, key_shape


def each(holds: Callable[[Any], bool], value: Any) -> bool:
    """Whether a property holds of a value, or of all in a list or tuple that is not empty."""
    values = value if isinstance(value, list | tuple) else (value,)
    return bool(values) and all(map(holds, values))


def check_axes(attention_axes: int | Sequence[int] | None) -> None:
    """Raises unless it is None, an axis, or several; whether inputs have them `AttentionAxes` says."""
    if attention_axes is not None and not each(_is_axis, attention_axes):
        raise ValueError(
            "`attention_axes` must be an integer or a tuple of them, and not the batch, 0. "
            f"Received: attention_axes={attention_axes!r}."
        )


def _is_axis(value):
    return isinstance(value, int) and is_size(abs(value)) and not isinstance(value, bool)


def _agree(shape, other):
    """Whether two shapes can be one; None is a size that is not known."""
    both = zip(shape, other, strict=False)
    return len(shape) == len(other) and all(a == b or None in (a, b) for a, b in both)


class AttentionAxes:
    """The attended axes of inputs of one rank.

    Args:
        rank: number of axes of query, value and key, the batch and the width included.
        axes: the attended ones, integers, also counted from behind; None for all but the first and the last.

    Raises:
        ValueError: an axis is not between the first and the last, or is named twice.
    """

    def __init__(self, rank: int, axes: Sequence[int] | None = None):
        found = range(1, rank - 1) if axes is None else [axis + rank if axis < 0 else axis for axis in axes]
        if not found or len({*found}) < len(found) or not {*found} <= {*range(1, rank - 1)}:
            raise ValueError(
                f"`attention_axes` of inputs of rank {rank} must be different axes from 1 to {rank - 2}. "
                f"Received: attention_axes={axes}."
            )
        self.rank = rank
        self.attended = tuple(found)
        self.free = tuple(axis for axis in range(1, rank - 1) if axis not in found)
        self.are_flat = rank == 3  # nothing to rearrange but heads
        # Of (B, ..., H, K): where each axis of (B, F, H, T, K) comes from.
        self._order = (0, *self.free, rank - 1, *self.attended, rank)

    def heads_first(self, x: Tensor) -> Tensor:
        """(B, ..., H, K) -> (B, F, H, T, K), with one axis T."""
        if self.are_flat:
            return heads_first(x)
        x = ops.transpose(x, self._order)
        if len(self.attended) == 1:
            return x
        sizes, before = ops.shape(x), 2 + len(self.free)
        return ops.reshape(x, (*sizes[:before], math.prod(sizes[before:-1]), sizes[-1]))

    def heads_last(self, x: Tensor, query: Tensor) -> Tensor:
        """(B, F, H, T, V) -> (B, ..., H, V), of which `query`, (B, ..., H, K), gives the axes."""
        if self.are_flat:
            return heads_first(x)
        sizes = ops.shape(query)
        x = ops.reshape(x, (*[sizes[axis] for axis in self._order[:-1]], x.shape[-1]))
        return ops.transpose(x, np.argsort(self._order).tolist())

    def split_weights(self, weights: Tensor, query: Tensor, key: Tensor) -> Tensor:
        """(B, F, H, T, S), with one axis each, to the axes that heads (B, ..., H, K) of both have."""
        if len(self.attended) == 1:
            return weights
        return ops.reshape(weights, (*ops.shape(weights)[:-2], *self._lengths(query, key)))

    def _lengths(self, query, key):
        return [ops.shape(x)[axis] for x in (query, key) for axis in self.attended]

    # Masks have the axes (B, F, T, S), those of scores without heads, until they meet them.

    def query_mask(self, mask: Tensor) -> Tensor:
        """A mask of the query's positions, (B, ...), of which trailing axes may be missing."""
        return self._over_scores(mask, len(self.free) + 1 + len(self.attended))

    def key_mask(self, mask: Tensor) -> Tensor:
        """A mask of the key's positions, (B, ...), of which trailing axes may be missing."""
        return self._over_scores(mask, len(self.free) + 1)

    def _over_scores(self, mask, place):
        mask = ops.cast(mask, "bool")
        for _ in range(self.rank - 1 - len(mask.shape)):
            mask = ops.expand_dims(mask, -1)
        if not self.are_flat:
            mask = ops.transpose(mask, (0, *self.free, *self.attended))
        for _ in self.attended:
            mask = ops.expand_dims(mask, place)
        return mask

    @property
    def scores_rank(self) -> int:
        """Number of axes of scores, (B, F, H, T, S)."""
        return 2 + len(self.free) + 2 * len(self.attended)

    def expanded(self, mask: Tensor, rank: int) -> Tensor:
        """A mask over (T, S) and possibly more, with sizes of 1 for the axes that are missing before T."""
        while len(mask.shape) < rank:
            behind = 2 * len(self.attended)
            mask = ops.expand_dims(mask, max(0, len(mask.shape) - behind))
        return mask

    def heads_mask(self, mask: Tensor | None, query: Tensor, key: Tensor) -> Tensor | None:
        """A mask over (B, F, T, S) or (B, F, H, T, S) as one over scores with one axis T and one axis S."""
        if mask is None:
            return None
        mask = self.expanded(ops.cast(mask, "bool"), self.scores_rank)
        if len(self.attended) == 1:
            return mask
        lengths, count = self._lengths(query, key), len(self.attended)
        sizes = ops.shape(mask)[: -2 * count]
        mask = ops.broadcast_to(mask, (*sizes, *lengths))
        return ops.reshape(mask, (*sizes, math.prod(lengths[:count]), math.prod(lengths[count:])))

    def scores_shape(self, query_shape: Shape, key_shape: Shape, num_heads: int) -> Shape:
        """Static shape of the weights, None where a size is not known."""
        kept = [query_shape[axis] for axis in (0, *self.free)]
        lengths = [shape[axis] for shape in (query_shape, key_shape) for axis in self.attended]
        return (*kept, num_heads, *lengths)

    def check(
        self,
        query_shape: Shape,
        value_shape: Shape,
        num_heads: int,
        attention_mask: Tensor | None = None,
        **padding_masks: Tensor | None,
    ) -> None:
        """Raises unless query and value have the same free axes, and each mask that is given fits.

        Args:
            query_shape, value_shape: None where a size is not known.
            num_heads: H.
            attention_mask: over (B, F, T, S) or (B, F, H, T, S), or None.
            **padding_masks: `query_mask` of the query's positions; others are of the value's. Or None.
        """
        free = ([shape[axis] for axis in self.free] for shape in (query_shape, value_shape))
        if not _agree(*free):
            raise ValueError(
                "`query` and `value` must be equally long along the axes that are not attended over, "
                f"{self.free}. Received: query_shape={query_shape}, value_shape={value_shape}."
            )
        for name, mask in padding_masks.items():
            if mask is None:
                continue
            of, shape = ("query", query_shape) if name == "query_mask" else ("value", value_shape)
            if not 2 <= len(mask.shape) < self.rank or not _broadcasts(mask.shape, shape[: len(mask.shape)]):
                wanted = "(batch, length)" if self.are_flat else "shape without the last axis"
                raise ValueError(
                    f"`{name}` must have the {wanted} of `{of}`, {shape[:-1]}. "
                    f"Received: shape={tuple(mask.shape)}."
                )
        if attention_mask is not None:
            shape, lengths = tuple(attention_mask.shape), 2 * len(self.attended)
            scores_shape = self.scores_shape(query_shape, value_shape, num_heads)
            missing = (1,) * (self.scores_rank - len(shape))
            split = max(0, len(shape) - lengths)
            if len(shape) > self.scores_rank or not _broadcasts(
                (*shape[:split], *missing, *shape[split:]), scores_shape
            ):
                wanted = "(batch, heads, queries, keys)" if self.are_flat else "the weights"
                raise ValueError(
                    f"`attention_mask` must broadcast to {wanted}, {scores_shape}, with or without heads. "
                    f"Received: shape={shape}."
                )


def _broadcasts(shape, wanted):
    return all(size in (1, None, there) or there is None for size, there in zip(shape, wanted, strict=True))

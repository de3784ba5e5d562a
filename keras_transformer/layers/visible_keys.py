"""Visible keys: which ones each query may attend to, without a (T, S) mask where nobody gave one."""

import dataclasses
from typing import Any

from keras import ops

from keras_transformer import masks
from keras_transformer.types import Tensor


@dataclasses.dataclass(frozen=True)
class VisibleKeys:
    """A key is seen where all of these allow it. Legend: B batch, H heads, T queries, S keys.

    Args:
        mask: bool, broadcastable to (B, H, T, S), or to scores of another rank if it is alone; None for all.
        queries: bool, (B, T); others see nothing. None for all.
        keys: bool, (B, S); others are not seen. None for all.
        causal: whether query t sees only keys 0 to t.
        window: keys at most `window - 1` away are seen; None for all.
    """

    mask: Any = None
    queries: Any = None
    keys: Any = None
    causal: bool = False
    window: int | None = None

    def whole(self, query_length: int, key_length: int) -> Tensor | None:
        """All of it as one mask, broadcastable to (B, H, T, S), or None for no restriction."""
        mask = self.block(ops.arange(query_length), ops.arange(key_length), self.mask, self.keys)
        return mask if self.queries is None else masks.combine(self.queries[:, None, :, None], mask)

    def block(
        self,
        query_positions: Tensor,
        key_positions: Tensor,
        mask: Tensor | None = None,
        keys: Tensor | None = None,
    ) -> Tensor | None:
        """The mask of some queries and some keys, `queries` aside.

        Args:
            query_positions: (T',), those of the queries.
            key_positions: (S',), those of the keys.
            mask: the part of `mask` that belongs to them, or None.
            keys: the part of `keys` that belongs to them, (B, S'), or None.

        Returns:
            bool, broadcastable to (B, H, T', S'), or None.
        """
        near = distance_mask(query_positions, key_positions, self.causal, self.window)
        return masks.combine(mask, None if keys is None else keys[:, None, None, :], near)

    def without_masked_queries(self, heads: Tensor) -> Tensor:
        """Heads (B, H, T, V) with zeros for the queries that see nothing because of `queries`."""
        return heads if self.queries is None else ops.where(self.queries[:, None, :, None], heads, 0)


def distance_mask(
    query_positions: Tensor, key_positions: Tensor, causal: bool, window: int | None
) -> Tensor | None:
    """(T, S) mask of what depends on positions alone, or None.

    Args:
        query_positions, key_positions: integers, (T,) and (S,).
        causal: whether the future is hidden.
        window: keys at most `window - 1` away are seen; None for all.
    """
    if not causal and window is None:
        return None
    distance = query_positions[:, None] - key_positions[None, :]
    near = None if window is None else ops.abs(distance) < window
    return masks.combine(distance >= 0 if causal else None, near)

"""Masks of a call of attention, combined into one.

Legend: B batch, T queries, S keys, H heads.
"""

from keras import ops

from keras_transformer import masks
from keras_transformer.layers.visible_keys import VisibleKeys, distance_mask


class AttentionMasks:
    """Mixed into the attention layer, which has `AttentionAxes` in `_axes`, and `_sliding_window`."""

    def _visible_keys(self, query_mask, value_mask, key_mask, attention_mask, causal):
        """All masks, of inputs of rank 3, as they were given."""
        query_mask, value_mask, key_mask = (
            None if mask is None else ops.cast(mask, "bool") for mask in (query_mask, value_mask, key_mask)
        )
        mask = self._axes.heads_mask(attention_mask, None, None)
        return VisibleKeys(
            mask, query_mask, masks.combine(value_mask, key_mask), causal, self._sliding_window
        )

    def _compute_attention_mask(
        self,
        query,
        value,
        query_mask=None,
        value_mask=None,
        key_mask=None,
        attention_mask=None,
        use_causal_mask=False,
    ):
        """All masks as one, over (B, T, S), or over (B, H, T, S) if `attention_mask` has heads."""
        axes = self._axes
        mask = masks.combine(
            None if query_mask is None else axes.query_mask(query_mask),
            None if value_mask is None else axes.key_mask(value_mask),
            None if key_mask is None else axes.key_mask(key_mask),
            self._positions_mask(query, value, use_causal_mask),
        )
        if attention_mask is None:
            return mask
        attention_mask = axes.expanded(ops.cast(attention_mask, "bool"), axes.scores_rank - 1)
        if mask is not None:
            mask = axes.expanded(mask, len(attention_mask.shape))
        return masks.combine(attention_mask, mask)

    def _positions_mask(self, query, value, causal):
        """(1, T, S) mask of what depends on positions alone, or None."""
        if not causal and self._sliding_window is None:
            return None
        if len(self._axes.attended) > 1:
            raise ValueError(
                "`use_causal_mask` and `sliding_window` must come with one attended axis. "
                f"Received: attention_axes={self._axes.attended}."
            )
        lengths = (ops.shape(x)[self._axes.attended[0]] for x in (query, value))
        return distance_mask(*map(ops.arange, lengths), causal, self._sliding_window)[None]

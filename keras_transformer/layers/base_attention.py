"""Keras's multi-head attention with flat products, masks that always hold, and sizes that are checked.

Legend: B batch, T queries, S keys, H heads, D hidden, K one head's keys, V one head's values.
"""

import functools
import string
from collections.abc import Iterator, Sequence
from typing import Any

import keras
from keras import ops

from keras_transformer import masks
from keras_transformer.arguments import KnownArguments, check_rates, check_vectors, is_size
from keras_transformer.layers.attention_axes import AttentionAxes, check_axes, checked_shapes, each
from keras_transformer.layers.dot_product import scaled_dot_product_attention
from keras_transformer.layers.projection import HeadsProjection, heads_first
from keras_transformer.quantization import KeepsQuantization
from keras_transformer.types import Shape, Tensor

# Arguments that Keras keeps under private names only.
_KEPT = (
    "use_gate",
    "sliding_window",
    "kernel_initializer",
    "bias_initializer",
    "kernel_regularizer",
    "bias_regularizer",
    "kernel_constraint",
    "bias_constraint",
)


class BaseMultiHeadAttention(KeepsQuantization, KnownArguments, keras.layers.MultiHeadAttention):
    """What `MultiHeadAttention` describes, without its extension points and without steps.

    Private names and their meaning are those of Keras's layer: its subclasses use them.
    """

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        output_shape: int | Sequence[int] | None = None,
        attention_axes: int | Sequence[int] | None = None,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        **kwargs: Any,
    ):
        sizes = {"num_heads": num_heads, "key_dim": key_dim}
        optional = {"value_dim": value_dim, "sliding_window": sliding_window}
        sizes |= {name: size for name, size in optional.items() if size is not None}
        for name, size in sizes.items():
            if not is_size(size):
                raise ValueError(
                    f"The argument `{name}` must be a positive integer. Received: {name}={size!r}."
                )
        check_rates(dropout=dropout)
        if output_shape is not None and not each(is_size, output_shape):
            raise ValueError(
                "Invalid `output_shape`: it must be a positive integer or a tuple of them. "
                f"Received: output_shape={output_shape!r}."
            )
        check_axes(attention_axes)
        super().__init__(
            num_heads=num_heads,
            key_dim=key_dim,
            value_dim=value_dim,
            dropout=dropout,
            output_shape=output_shape,
            attention_axes=attention_axes,
            sliding_window=sliding_window,
            flash_attention=flash_attention,
            **kwargs,
        )
        self.flash_attention = flash_attention
        for name in _KEPT:
            setattr(self, name, getattr(self, f"_{name}"))

    def build(
        self, query_shape: Shape, value_shape: Shape | None = None, key_shape: Shape | None = None
    ) -> None:
        query_shape, value_shape, key_shape = checked_shapes(query_shape, value_shape, key_shape)
        rank = len(query_shape)
        self._axes = AttentionAxes(rank, self._attention_axes)
        self._widths = (query_shape[-1], value_shape[-1], key_shape[-1])
        # Creation order is Keras's, so that `set_weights` takes its layer's weights.
        self._query_dense = self._heads_dense("query", self._key_dim, query_shape)
        self._key_dense = self._heads_dense("key", self._key_dim, key_shape)
        if self._use_gate:
            self._gate_dense = self._heads_dense("gate", self._value_dim, query_shape, activation="sigmoid")
        self._value_dense = self._heads_dense("value", self._value_dim, value_shape)
        self._build_attention(rank + 1)
        common = self._get_common_kwargs_for_sublayer()
        self._output_dense = self._make_output_dense(query_shape, common, "attention_output")
        self._output_dense.build((*query_shape[:-1], self._num_heads, self._value_dim))

    def _heads_dense(self, name, width, input_shape, activation=None):
        kept = string.ascii_uppercase[: len(input_shape) - 1]
        dense = HeadsProjection(
            f"{kept}d,dhk->{kept}hk",
            output_shape=(*[None] * (len(kept) - 1), self._num_heads, width),
            bias_axes="hk" if self._use_bias else None,
            activation=activation,
            name=name,
            **self._get_common_kwargs_for_sublayer(),
        )
        dense.build(input_shape)
        return dense

    def _make_output_dense(self, query_shape, common_kwargs, name=None):
        kept = string.ascii_uppercase[: len(query_shape) - 1]
        sizes = self._output_shape or query_shape[-1:]
        new = string.ascii_lowercase[: len(sizes)]
        return HeadsProjection(
            f"{kept}yz,yz{new}->{kept}{new}",
            output_shape=(*[None] * (len(kept) - 1), *sizes),
            bias_axes=new if self._use_bias else None,
            name=name,
            **common_kwargs,
        )

    @property
    def gate_dense(self) -> keras.layers.Layer:
        """Projection of the gate. With this name, as the others', in files."""
        return self._gate_dense

    def call(
        self,
        query: Tensor,
        value: Tensor | None = None,
        key: Tensor | None = None,
        query_mask: Tensor | None = None,
        value_mask: Tensor | None = None,
        key_mask: Tensor | None = None,
        attention_mask: Tensor | None = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
    ) -> Tensor | tuple[Tensor, Tensor]:
        if value is None:
            value = query
            # Keras fills in `query_mask` only beside a second tensor argument.
            query_mask = masks.implicit_mask(query) if query_mask is None else query_mask
            value_mask = query_mask if value_mask is None else value_mask
        key = value if key is None else key
        given = {"query_mask": query_mask, "value_mask": value_mask, "key_mask": key_mask}
        given["attention_mask"] = attention_mask
        self._check(query, value, key)
        self._axes.check(tuple(query.shape), tuple(value.shape), self._num_heads, **given)
        mask = self._compute_attention_mask(query, value, **given, use_causal_mask=use_causal_mask)
        heads, weights = self._compute_attention(
            self._query_dense(query),
            self._key_dense(key),
            self._value_dense(value),
            mask,
            training,
            return_attention_scores,
        )
        output = self._finished(heads, query)
        return (output, weights) if return_attention_scores else output

    def _check(self, query, value, key):
        """Raises unless the three are what the layer was built for, and fit each other."""
        named = {"query": query, "value": value, "key": key}
        for (name, x), width in zip(named.items(), self._widths, strict=True):
            check_vectors((*[None] * (self._axes.rank - 1), width), **{name: x})
        checked_shapes(*(x.shape for x in named.values()))

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
        return self._distance_mask(*map(ops.arange, lengths), causal)[None]

    def _distance_mask(self, query_positions, key_positions, causal):
        """(T, S) mask of what depends on positions alone, or None."""
        distance = query_positions[:, None] - key_positions[None, :]
        window = self._sliding_window
        return masks.combine(
            distance >= 0 if causal else None,
            None if window is None else ops.abs(distance) < window,
        )

    def _compute_attention(
        self,
        query,
        key,
        value,
        attention_mask=None,
        training=None,
        return_attention_scores=False,
        use_causal_mask=False,
    ):
        """Heads as projected, (B, T, H, K), to heads (B, T, H, V) and weights: what subclasses override."""
        axes = self._axes
        if use_causal_mask:
            attention_mask = masks.combine(attention_mask, self._positions_mask(query, value, causal=True))
        mask = axes.heads_mask(attention_mask, query, key)
        query_heads, key_heads, value_heads = (axes.heads_first(x) for x in (query, key, value))
        query_heads, key_heads = self._rotated(query_heads), self._rotated(key_heads)
        if self._flash_attention:
            return self._flash(query_heads, key_heads, value_heads, mask, return_attention_scores), None
        heads, weights = self._attend_heads(query_heads, key_heads, value_heads, mask, training=training)
        return axes.heads_last(heads, query), axes.split_weights(weights, query, key)

    def _attend_heads(self, query, key, value, mask, start_index=0, training=None):
        """Heads (B, H, T, K) to heads (B, H, T, V) and weights (B, H, T, S)."""
        return scaled_dot_product_attention(
            query,
            key,
            value,
            mask=mask,
            bias=self._bias(ops.shape(query)[-2], ops.shape(key)[-2], start_index),
            dropout=functools.partial(self._dropout_layer, training=training) if self._dropout else None,
        )

    def _rotated(self, heads, start_index=0):
        """Heads (B, H, T, K) as they meet each other."""
        return heads

    def _bias(self, query_length, key_length, start_index):
        """What is added to the scores, broadcastable to (B, H, T, S), or None."""
        return None

    def _flash(self, query, key, value, mask, return_attention_scores):
        """Heads (B, H, T, K) to heads (B, T, H, V) by the backend's kernel."""
        heads = map(heads_first, (query, key, value))
        output, _ = super()._compute_attention(*heads, mask, return_attention_scores=return_attention_scores)
        if mask is None:
            return output
        return ops.where(ops.swapaxes(ops.any(mask, axis=-1, keepdims=True), 1, 2), output, 0)

    def _finished(self, heads, query):
        """(B, T, H, V) -> (B, T, D)."""
        return self._output_dense(heads * self._gate_dense(query) if self._use_gate else heads)

    def compute_output_shape(
        self, query_shape: Shape, value_shape: Shape | None = None, key_shape: Shape | None = None
    ) -> Shape:
        query_shape, value_shape, key_shape = checked_shapes(query_shape, value_shape, key_shape)
        return (*query_shape[:-1], *(self._output_shape or query_shape[-1:]))

    def compute_output_spec(
        self,
        query: Tensor,
        value: Tensor | None = None,
        key: Tensor | None = None,
        query_mask: Tensor | None = None,
        value_mask: Tensor | None = None,
        key_mask: Tensor | None = None,
        attention_mask: Tensor | None = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
    ) -> keras.KerasTensor | tuple[keras.KerasTensor, keras.KerasTensor]:
        shapes: Iterator[Any] = (None if x is None else x.shape for x in (query, value, key))
        query_shape, value_shape, key_shape = checked_shapes(*shapes)
        output_shape = self.compute_output_shape(query_shape, value_shape, key_shape)
        axes = AttentionAxes(len(query_shape), self._attention_axes)
        given = {"query_mask": query_mask, "value_mask": value_mask, "key_mask": key_mask}
        axes.check(query_shape, value_shape, self._num_heads, attention_mask, **given)
        output = keras.KerasTensor(output_shape, dtype=self.compute_dtype)
        weights_shape = axes.scores_shape(query_shape, value_shape, self._num_heads)
        weights = keras.KerasTensor(weights_shape, dtype=self.compute_dtype)
        return (output, weights) if return_attention_scores else output

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "flash_attention": self.flash_attention}

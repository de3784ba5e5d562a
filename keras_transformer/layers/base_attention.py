"""Keras's multi-head attention with flat products, masks that always hold, and sizes that are checked.

Legend: B batch, T queries, S keys, H heads, D hidden, K one head's keys, V one head's values.
"""

import functools
import string
from collections.abc import Iterator, Sequence
from typing import Any

import keras
from keras import ops

from keras_transformer import arguments, masks
from keras_transformer.layers.attention_axes import AttentionAxes, check_axes, checked_shapes, each
from keras_transformer.layers.attention_masks import AttentionMasks
from keras_transformer.layers.attention_paths import without_matrix
from keras_transformer.layers.dot_product import scaled_dot_product_attention
from keras_transformer.layers.projection import HeadsProjection, heads_first
from keras_transformer.layers.visible_keys import VisibleKeys
from keras_transformer.saving.quantization import KeepsQuantization
from keras_transformer.types import Shape, Tensor

# Arguments that Keras keeps under private names only.
_CHANGES = ("initializer", "regularizer", "constraint")
_KEPT = (
    "use_gate",
    "sliding_window",
    *(f"{part}_{name}" for part in ("kernel", "bias") for name in _CHANGES),
)


class BaseMultiHeadAttention(
    KeepsQuantization, arguments.KnownArguments, AttentionMasks, keras.layers.MultiHeadAttention
):
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
        num_key_value_heads: int | None = None,
        **kwargs: Any,
    ):
        given = {"num_heads": num_heads, "key_dim": key_dim, "value_dim": value_dim}
        given |= {"sliding_window": sliding_window, "num_key_value_heads": num_key_value_heads}
        for name, size in given.items():
            if not arguments.is_size(size) and (size is not None or name in ("num_heads", "key_dim")):
                # "argument" is a word that Keras's tests ask for.
                raise ValueError(
                    f"The argument `{name}` must be a positive integer. Received: {name}={size!r}."
                )
        if num_key_value_heads is not None and num_heads % num_key_value_heads:
            raise ValueError(
                "The number of heads must be a multiple of `num_key_value_heads`. "
                f"Received: {num_heads} heads, num_key_value_heads={num_key_value_heads}."
            )
        arguments.check_rates(dropout=dropout)
        if output_shape is not None and not each(arguments.is_size, output_shape):
            raise ValueError(
                "Invalid `output_shape`: it must be a positive integer or a tuple of them. "
                f"Received: output_shape={output_shape!r}."
            )
        check_axes(attention_axes)
        super().__init__(
            num_heads,
            key_dim,
            value_dim,
            dropout,
            output_shape=output_shape,
            attention_axes=attention_axes,
            sliding_window=sliding_window,
            flash_attention=flash_attention,
            **kwargs,
        )
        self.flash_attention = flash_attention
        self.num_key_value_heads = num_key_value_heads
        self._num_key_value_heads = num_key_value_heads or num_heads
        self._return_attention_scores = False
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
        num_heads, num_shared = self._num_heads, self._num_key_value_heads
        self._query_dense = self._heads_dense("query", num_heads, self._key_dim, query_shape)
        self._key_dense = self._heads_dense("key", num_shared, self._key_dim, key_shape)
        if self._use_gate:
            self._gate_dense = self._heads_dense("gate", num_heads, self._value_dim, query_shape, "sigmoid")
        self._value_dense = self._heads_dense("value", num_shared, self._value_dim, value_shape)
        self._build_attention(rank + 1)
        common = self._get_common_kwargs_for_sublayer()
        self._output_dense = self._make_output_dense(query_shape, common, "attention_output")
        self._output_dense.build((*query_shape[:-1], self._num_heads, self._value_dim))

    def _heads_dense(self, name, num_heads, width, input_shape, activation=None):
        kept = string.ascii_uppercase[: len(input_shape) - 1]
        dense = HeadsProjection(
            f"{kept}d,dhk->{kept}hk",
            output_shape=(*[None] * (len(kept) - 1), num_heads, width),
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
            query_mask = masks.implicit_mask(query, query_mask)
            value_mask = query_mask if value_mask is None else value_mask
        key = value if key is None else key
        given = {"query_mask": query_mask, "value_mask": value_mask, "key_mask": key_mask}
        given["attention_mask"] = attention_mask
        self._check(query, value, key)
        self._axes.check(tuple(query.shape), tuple(value.shape), self._num_heads, **given)
        projected = self._query_dense(query), self._key_dense(key), self._value_dense(value)
        if self._has_own("_compute_attention", "_compute_attention_mask") or not self._axes.are_flat:
            mask = self._compute_attention_mask(query, value, **given, use_causal_mask=use_causal_mask)
        else:
            mask = self._visible_keys(**given, causal=use_causal_mask)
        attend = self._changed_attention if self._has_own("_compute_attention") else self._compute_attention
        # Keras has filled in `training` where a model or a layer above says so.
        heads, weights = attend(*projected, mask, bool(training), return_attention_scores)
        output = self._finished(heads, query)
        return (output, weights) if return_attention_scores else output

    def _has_own(self, *names):
        """Whether a subclass has one of these methods of its own."""
        return any(getattr(type(self), name) is not getattr(BaseMultiHeadAttention, name) for name in names)

    def _changed_attention(self, query, key, value, *options):
        """The `_compute_attention` of a subclass, which expects as many key heads as query heads."""
        key, value = (ops.repeat(x, self._num_heads // self._num_key_value_heads, -2) for x in (key, value))
        return self._compute_attention(query, key, value, *options)

    def _check(self, query, value, key):
        """Raises unless the three are what the layer was built for, and fit each other."""
        named = {"query": query, "value": value, "key": key}
        for (name, x), width in zip(named.items(), self._widths, strict=True):
            arguments.check_vectors((*[None] * (self._axes.rank - 1), width), **{name: x})
        checked_shapes(*(x.shape for x in named.values()))

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
        """Heads as projected, (B, T, H, K), to heads (B, T, H, V) and weights or None.

        What subclasses override. `attention_mask` is a tensor, or `VisibleKeys`.
        """
        axes, visible = self._axes, attention_mask
        if not isinstance(visible, VisibleKeys):
            if use_causal_mask:
                visible = masks.combine(visible, self._positions_mask(query, value, causal=True))
            visible = VisibleKeys(axes.heads_mask(visible, query, key))
        query_heads, key_heads, value_heads = map(axes.heads_first, (query, key, value))
        query_heads, key_heads = self._met_query(query_heads), self._met_key(key_heads)
        return_attention_scores = return_attention_scores or self._return_attention_scores
        if self._flash_attention and return_attention_scores:
            raise ValueError(
                "Returning attention scores is not supported when flash attention is enabled. Please disable "
                "flash attention to access attention scores. "
                "Received: return_attention_scores=True, flash_attention=True."
            )
        if self._flash_attention:
            mask = visible.whole(ops.shape(query_heads)[-2], ops.shape(key_heads)[-2])
            return self._flash(query_heads, key_heads, value_heads, mask), None
        heads, bias, dropout = None, self._score_bias, self._weights_dropout(training)
        if not return_attention_scores and dropout is None:
            fused = self._flash_attention is None
            heads = without_matrix(query_heads, key_heads, value_heads, visible, bias, fused)
        if heads is None:
            lengths = ops.shape(query_heads)[-2], ops.shape(key_heads)[-2]
            mask, added = visible.whole(*lengths), bias and bias.rows(*lengths)
            heads, weights = scaled_dot_product_attention(
                query_heads, key_heads, value_heads, mask, added, dropout
            )
        heads = axes.heads_last(heads, query)
        return heads, axes.split_weights(weights, query, key) if return_attention_scores else None

    def _weights_dropout(self, training=None):
        """Function that drops attention weights, or None if none may be dropped."""
        drops = self._dropout and training is not False
        return functools.partial(self._dropout_layer, training=training) if drops else None

    def _met_query(self, heads, start_index=0):
        """Query heads (B, H, T, K) as they meet the key heads."""
        return heads

    def _met_key(self, heads, start_index=0):
        """Key heads (B, H, S, K) as they meet the query heads."""
        return heads

    @property
    def _score_bias(self):
        """What is added to the scores, `ScoreBias`, or None."""
        return None

    def _flash(self, query, key, value, mask):
        """Heads (B, H, T, K) to heads (B, T, H, V) by the backend's kernel."""
        # Keras's layer knows no heads that share keys.
        repeats = self._num_heads // self._num_key_value_heads
        key, value = (ops.repeat(x, repeats, axis=1) if repeats > 1 else x for x in (key, value))
        heads = map(heads_first, (query, key, value))
        output, _ = super()._compute_attention(*heads, mask)
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
        scores_shape = axes.scores_shape(query_shape, value_shape, self._num_heads)
        return (output, keras.KerasTensor(scores_shape, output.dtype)) if return_attention_scores else output

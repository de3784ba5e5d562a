"""Multi-head attention (Vaswani et al. 2017, section 3.2.2).

Legend: B batch, T queries, S keys, H heads, D hidden, K one head's keys, V one head's values.
"""

from collections.abc import Callable, Sequence
from typing import Any, Self

import keras
from keras import ops

from keras_transformer import masks
from keras_transformer.layers import heads_state
from keras_transformer.layers.base_attention import BaseMultiHeadAttention
from keras_transformer.layers.projection import heads_first
from keras_transformer.types import Identifier, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_transformer")
class MultiHeadAttention(BaseMultiHeadAttention):
    """Attends from each query to all keys, in `num_heads` subspaces.

    Vaswani et al. 2017, section 3.2.2. Paper symbols: h = num_heads, d_k = key_dim, d_v = value_dim.
    A drop-in for `keras.layers.MultiHeadAttention`, which it is: same arguments, weights and order, and its
    tests pass. Beyond it: `query_mask` is honoured, a fully masked query attends to nothing (zeros before
    the output projection) on every path, and there are a key/value state for decoding and two extension
    points, `rotary` and `position_bias`.

    Args:
        num_heads: H, number of subspaces, >= 1.
        key_dim: K, width of one head's queries and keys, >= 1.
        value_dim: V, width of one head's values; `key_dim` if None.
        dropout: probability of dropping one attention weight, 0 <= p < 1.
        use_bias: whether the projections add a bias.
        output_shape: width of the output, or a tuple of sizes that take its place; the query's if None.
        attention_axes: axis or axes that are attended over; all but the first and the last if None.
        sliding_window: keys at most `sliding_window - 1` away are visible; None for all.
        flash_attention: whether the backend's kernel must be used, which returns no weights. None for no.
        kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer,
            activity_regularizer, kernel_constraint, bias_constraint: as in `keras.layers.Dense`.
        use_gate: whether a sigmoid gate, projected from the query, scales the heads' outputs.
        seed: of the dropout.
        rotary: function or layer, `rotary(heads, start_index=0)`, that turns (B, H, T, K) queries and
            keys according to their position; None for no rotation.
        position_bias: tensor broadcastable to (B, H, T, S), or a function or layer
            `position_bias(query_length=T, key_length=S, start_index=0)` that returns one; added to
            the scores.

    Call arguments:
        query: (B, T, D), or of higher rank: (B, ..., D).
        value: (B, S, D); the query itself for self-attention if None.
        key: (B, S, D); `value` if None.
        query_mask: bool, (B, T); True = a real query. Others give zeros before the output projection.
        value_mask, key_mask: bool, (B, S); True = may be attended to.
        attention_mask: bool, broadcastable to (B, H, T, S), or (B, T, S); True = may attend.
        return_attention_scores: whether to return (output, weights (B, H, T, S)).
        training: whether dropout is active.
        use_causal_mask: whether position t sees only keys 0 to t.

    Returns:
        (B, T, D) in the compute dtype.

    Raises:
        ValueError: a size is not a positive integer, or inputs or masks do not fit each other.
        TypeError: an unknown argument.
    """

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: int | Sequence[int] | None = None,
        attention_axes: int | Sequence[int] | None = None,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        kernel_initializer: Identifier = "glorot_uniform",
        bias_initializer: Identifier = "zeros",
        kernel_regularizer: Identifier | None = None,
        bias_regularizer: Identifier | None = None,
        activity_regularizer: Identifier | None = None,
        kernel_constraint: Identifier | None = None,
        bias_constraint: Identifier | None = None,
        use_gate: bool = False,
        seed: int | None = None,
        rotary: Callable[..., Tensor] | None = None,
        position_bias: Any = None,
        **kwargs: Any,
    ):
        super().__init__(
            num_heads=num_heads,
            key_dim=key_dim,
            value_dim=value_dim,
            dropout=dropout,
            use_bias=use_bias,
            output_shape=output_shape,
            attention_axes=attention_axes,
            sliding_window=sliding_window,
            flash_attention=flash_attention,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
            activity_regularizer=activity_regularizer,
            kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
            use_gate=use_gate,
            seed=seed,
            **kwargs,
        )
        if flash_attention and position_bias is not None:
            raise ValueError("`flash_attention` and `position_bias` exclude each other. Received: both.")
        self.rotary = rotary
        self.position_bias = position_bias

    def build(
        self, query_shape: Shape, value_shape: Shape | None = None, key_shape: Shape | None = None
    ) -> None:
        super().build(query_shape, value_shape, key_shape)
        self._build_extensions(len(query_shape))

    def _build_extensions(self, rank):
        """Makes the weights of `rotary` and `position_bias`: a file's need a place before any call."""
        chosen = {"rotary": self.rotary, "position_bias": self.position_bias}
        chosen |= {"flash_attention": self.flash_attention or None}
        named = [f"`{name}`" for name, value in chosen.items() if value is not None]
        if named and rank != 3:
            raise ValueError(f"{', '.join(named)} must come with inputs of rank 3. Received: rank {rank}.")
        if isinstance(self.rotary, keras.layers.Layer) and not self.rotary.built:
            self.rotary.build((None, self._num_heads, None, self._key_dim))
        if isinstance(self.position_bias, keras.layers.Layer) and not self.position_bias.built:
            # It takes no tensor, so there is no shape to build it by.
            self.position_bias(query_length=1, key_length=1, start_index=0)

    def _rotated(self, heads, start_index=0):
        return heads if self.rotary is None else self.rotary(heads, start_index=start_index)

    def project(
        self, value: Tensor, key: Tensor | None = None, start_index: int | Tensor = 0
    ) -> dict[str, Tensor]:
        """Projects what is attended to, once for any number of queries.

        Args:
            value: (B, S, D).
            key: (B, S, D); `value` if None.
            start_index: position of the first key, for `rotary`.

        Returns:
            {"key": (B, H, S, K), "value": (B, H, S, V)}, to be given to `attend`.
        """
        self._check_steps()
        key_heads = heads_first(self._key_dense(value if key is None else key))
        return {
            "key": self._rotated(key_heads, start_index),
            "value": heads_first(self._value_dense(value)),
        }

    def attend(
        self,
        query: Tensor,
        projected: dict[str, Tensor],
        attention_mask: Tensor | None = None,
        start_index: int | Tensor = 0,
    ) -> tuple[Tensor, Tensor]:
        """Attends to keys and values that `project` made.

        Args:
            query: (B, T, D).
            projected: {"key": (B, H, S, K), "value": (B, H, S, V)}.
            attention_mask: bool, broadcastable to (B, H, T, S), or (B, T, S); True = may attend.
            start_index: position of the first query, for `rotary` and `position_bias`.

        Returns:
            Output, (B, T, D), and attention weights, (B, H, T, S).
        """
        self._check_steps()
        query_heads = self._rotated(heads_first(self._query_dense(query)), start_index)
        mask = masks.as_heads_mask(attention_mask)
        heads, weights = self._attend_heads(
            query_heads, projected["key"], projected["value"], mask, start_index
        )
        return self._finished(heads_first(heads), query), weights

    def _check_steps(self):
        if not self._axes.are_flat:
            raise ValueError(
                "`project`, `attend` and `step` must come with inputs of rank 3. "
                f"Received: a layer that was built for rank {self._axes.rank}."
            )
        if type(self)._compute_attention is not BaseMultiHeadAttention._compute_attention:
            raise NotImplementedError(
                "`attend` and `step` do not go through `_compute_attention`: a subclass that overrides it "
                f"must override `attend`, too. Received: {type(self).__name__}."
            )

    def _bias(self, query_length, key_length, start_index):
        """`position_bias` for these queries and keys, broadcastable to (B, H, T, S), or None."""
        bias = self.position_bias
        if bias is None:
            return None
        if callable(bias):
            # By keyword: Keras's layers take only tensors by position.
            return bias(query_length=query_length, key_length=key_length, start_index=start_index)
        if bias.shape[-2] > 1:
            bias = ops.take(bias, start_index + ops.arange(query_length), axis=-2)
        return bias[..., :key_length] if bias.shape[-1] > 1 else bias

    def initial_state(self, batch_size: int, max_length: int) -> dict[str, Tensor]:
        """The empty key/value state of a self-attention, for `step`.

        Args:
            batch_size: B.
            max_length: L, number of positions that there is room for; static.

        Returns:
            {"key": (B, H, L, K), "value": (B, H, L, V)}, zeros in the compute dtype.
        """
        widths = {"key": self._key_dim, "value": self._value_dim}
        return {
            name: ops.zeros((batch_size, self._num_heads, max_length, width), self.compute_dtype)
            for name, width in widths.items()
        }

    def step(
        self, query: Tensor, state: dict[str, Tensor], index: int | Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Causal self-attention of the next positions: equals these rows of a full causal `call`.

        Args:
            query: (B, T, D), the input at the positions from `index` on; mostly T = 1.
            state: what `initial_state` or the last `step` returned.
            index: the first position, an integer scalar, 0 <= index <= L - T.

        Returns:
            Output, (B, T, D), and the new state.
        """
        positions = ops.arange(state["key"].shape[2])
        new = self.project(query, start_index=index)
        state = {name: heads_state.written(state[name], new[name], index) for name in state}
        mask = self._distance_mask(index + ops.arange(query.shape[1]), positions, causal=True)
        output, _ = self.attend(query, state, mask, start_index=index)
        return output, state

    def get_config(self) -> dict[str, Any]:
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "flash_attention": self.flash_attention,
            "rotary": serialize(self.rotary),
            "position_bias": serialize(self.position_bias),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        extensions = {
            name: keras.saving.deserialize_keras_object(config[name])
            for name in ("rotary", "position_bias")
            if name in config  # Keras's own layer has neither
        }
        return cls(**{**config, **extensions})

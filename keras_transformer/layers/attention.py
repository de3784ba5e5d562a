"""Multi-head attention (Vaswani et al. 2017, section 3.2.2).

Legend: B batch, T queries, S keys, H heads, G heads of keys, D hidden, K one head's keys, V its values.
"""

from collections.abc import Callable, Sequence
from typing import Any, Self

import keras
from keras import ops

from keras_transformer import arguments, masks
from keras_transformer.layers import heads_state
from keras_transformer.layers.base_attention import BaseMultiHeadAttention
from keras_transformer.layers.dot_product import scaled_dot_product_attention
from keras_transformer.layers.normalization import NORMS, norm_layer
from keras_transformer.layers.position_bias import PositionBias
from keras_transformer.layers.projection import heads_first
from keras_transformer.layers.score_bias import ScoreBias
from keras_transformer.layers.visible_keys import distance_mask
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
        flash_attention: whether the backend's kernel must be used, which returns no weights; None for where
            it can be, False for never.
        kernel_initializer, bias_initializer, kernel_constraint, bias_constraint: as in `keras.layers.Dense`.
        kernel_regularizer, bias_regularizer, activity_regularizer: likewise.
        use_gate: whether a sigmoid gate, projected from the query, scales the heads' outputs.
        seed: of the dropout.
        rotary: function or layer, `rotary(heads, start_index=0)`, that turns (B, H, T, K) queries and
            keys according to their position: `layers.RotaryEmbedding`, say. None for no rotation.
        position_bias: what positions add to the scores: `layers.AlibiBias`, `RelativePositionBias`,
            `RelativeKeysAndValues` or another `position_bias.PositionBias`; a tensor broadcastable to
            (B, H, T, S); or a function or layer `position_bias(query_length=T, key_length=S, start_index=0)`
            that returns one.
        qk_norm: "layer_norm" (Dehghani et al. 2023, section 2.2) or "rms_norm": queries and keys of each head
            are normalised before they are turned, which keeps scores small in deep models. None for neither.
        num_key_value_heads: G, number of heads of keys and values, each for `num_heads` / G heads of queries:
            grouped-query attention (Ainslie et al. 2023), multi-query for 1 (Shazeer 2019). H if None.

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
        ValueError: a size is not a positive integer, H is no multiple of G, or inputs or masks do not fit
            each other.
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
        qk_norm: str | None = None,
        num_key_value_heads: int | None = None,
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
            num_key_value_heads=num_key_value_heads,
            **kwargs,
        )
        if flash_attention and position_bias is not None:
            raise ValueError("`flash_attention` and `position_bias` exclude each other. Received: both.")
        self.rotary = rotary
        if qk_norm is not None:
            arguments.check_choices(NORMS, qk_norm=qk_norm)
        self.position_bias = position_bias
        self.qk_norm = qk_norm

    def build(
        self, query_shape: Shape, value_shape: Shape | None = None, key_shape: Shape | None = None
    ) -> None:
        super().build(query_shape, value_shape, key_shape)
        if self.qk_norm is not None:
            policy = self.dtype_policy
            self.query_norm = norm_layer(self.qk_norm, name="query_norm", dtype=policy)
            self.key_norm = norm_layer(self.qk_norm, name="key_norm", dtype=policy)
            for norm in (self.query_norm, self.key_norm):
                norm.build((None, self._key_dim))
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
        if isinstance(self.position_bias, PositionBias):
            if not self.position_bias.built:
                self.position_bias.build((None,), (None,), (None, self._num_heads, None, self._key_dim))
            self.position_bias.check_heads(self._num_heads, self._value_dim)
        elif isinstance(self.position_bias, keras.layers.Layer) and not self.position_bias.built:
            # It takes no tensor, so there is no shape to build it by.
            self.position_bias(query_length=1, key_length=1, start_index=0)

    def _met_query(self, heads, start_index=0):
        return self._turned(heads if self.qk_norm is None else self.query_norm(heads), start_index)

    def _met_key(self, heads, start_index=0):
        return self._turned(heads if self.qk_norm is None else self.key_norm(heads), start_index)

    def _turned(self, heads, start_index):
        if self.rotary is None:
            return heads
        # A layer of another dtype policy returns its own dtype.
        return ops.cast(self.rotary(heads, start_index=start_index), heads.dtype)

    def project(
        self, value: Tensor, key: Tensor | None = None, start_index: int | Tensor = 0
    ) -> dict[str, Tensor]:
        """Projects what is attended to, once for any number of queries.

        Args:
            value: (B, S, D).
            key: (B, S, D); `value` if None.
            start_index: position of the first key, for `rotary`.

        Returns:
            {"key": (B, G, S, K), "value": (B, G, S, V)}, to be given to `attend`.
        """
        self._check_steps()
        key_heads = heads_first(self._key_dense(value if key is None else key))
        return {
            "key": self._met_key(key_heads, start_index),
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
            projected: {"key": (B, G, S, K), "value": (B, G, S, V)}.
            attention_mask: bool, broadcastable to (B, H, T, S), or (B, T, S); True = may attend.
            start_index: position of the first query, for `rotary` and `position_bias`: an integer, or (B,)
                integers where these are layers of this library.

        Returns:
            Output, (B, T, D), and attention weights, (B, H, T, S).
        """
        self._check_steps()
        query_heads = self._met_query(heads_first(self._query_dense(query)), start_index)
        mask = masks.as_heads_mask(attention_mask)
        key, bias = projected["key"], self._score_bias
        lengths = ops.shape(query_heads)[2], ops.shape(key)[2]
        added = None if bias is None else bias.rows(*lengths, start_index)
        dropout = self._weights_dropout()
        heads, weights = scaled_dot_product_attention(
            query_heads, key, projected["value"], mask, added, dropout
        )
        return self._finished(heads_first(heads), query), weights

    def _check_steps(self):
        if not self._axes.are_flat:
            raise ValueError(
                "`project`, `attend` and `step` must come with inputs of rank 3. "
                f"Received: a layer that was built for rank {self._axes.rank}."
            )
        if self._has_own("_compute_attention"):
            raise NotImplementedError(
                "`attend` and `step` do not go through `_compute_attention`: a subclass that overrides it "
                f"must override `attend`, too. Received: {type(self).__name__}."
            )

    @property
    def _score_bias(self):
        return None if self.position_bias is None else ScoreBias(self.position_bias)

    def initial_state(self, batch_size: int, max_length: int) -> dict[str, Tensor]:
        """The empty key/value state of a self-attention, for `step`.

        Args:
            batch_size: B.
            max_length: L, number of positions that there is room for; static.

        Returns:
            {"key": (B, G, L, K), "value": (B, G, L, V)}, zeros in the compute dtype.
        """
        widths = {"key": self._key_dim, "value": self._value_dim}
        return {
            name: ops.zeros((batch_size, self._num_key_value_heads, max_length, width), self.compute_dtype)
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
        state = {name: heads_state.write(state[name], new[name], index) for name in state}
        new_positions = index + ops.arange(query.shape[1])
        mask = distance_mask(new_positions, positions, causal=True, window=self._sliding_window)
        output, _ = self.attend(query, state, mask, start_index=index)
        return output, state

    def get_config(self) -> dict[str, Any]:
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
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

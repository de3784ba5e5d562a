"""Multi-head attention (Vaswani et al. 2017, section 3.2.2).

Legend: B batch, T queries, S keys, H heads, D hidden, K one head's keys, V one head's values.
"""

import keras
from keras import ops

from keras_transformer import masks
from keras_transformer.layers import heads_state
from keras_transformer.layers.dot_product import scaled_dot_product_attention
from keras_transformer.layers.projection import HeadsProjection, heads_first


@keras.saving.register_keras_serializable(package="keras_transformer")
class MultiHeadAttention(keras.layers.Layer):
    """Attends from each query to all keys, in `num_heads` subspaces.

    Vaswani et al. 2017, section 3.2.2. Paper symbols: h = num_heads, d_k = key_dim, d_v = value_dim.
    A drop-in for `keras.layers.MultiHeadAttention`: same arguments, weight shapes and order. Beyond
    it: `query_mask` is honoured, a fully masked query attends to nothing (zeros before the output
    projection) on every path, and there are a key/value state for decoding and two extension
    points, `rotary` and `position_bias`.

    Args:
        num_heads: H, number of subspaces, >= 1.
        key_dim: K, width of one head's queries and keys, >= 1.
        value_dim: V, width of one head's values; `key_dim` if None.
        dropout: probability of dropping one attention weight, 0 <= p < 1.
        use_bias: whether the projections add a bias.
        output_shape: width of the output; the query's if None.
        attention_axes: None or 1, the only axis of a rank-3 input that can be attended over.
        sliding_window: keys at most `sliding_window - 1` away are visible; None for all.
        flash_attention: None or False. True needs a kernel that returns no weights and is refused.
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
        query: (B, T, D).
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
        ValueError: a size is not a positive integer, or an input is not of rank 3.
    """

    def __init__(
        self,
        num_heads,
        key_dim,
        value_dim=None,
        dropout=0.0,
        use_bias=True,
        output_shape=None,
        attention_axes=None,
        sliding_window=None,
        flash_attention=None,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
        use_gate=False,
        seed=None,
        rotary=None,
        position_bias=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        sizes = {"num_heads": num_heads, "key_dim": key_dim}
        optional_sizes = {"value_dim": value_dim, "sliding_window": sliding_window}
        sizes |= {name: size for name, size in optional_sizes.items() if size is not None}
        for name, size in sizes.items():
            if not isinstance(size, int) or size < 1:
                raise ValueError(f"`{name}` must be a positive integer. Received: {name}={size}.")
        if attention_axes not in (None, 1, (1,), [1]):
            raise ValueError(
                "Inputs have rank 3, so `attention_axes` must be None or 1. "
                f"Received: attention_axes={attention_axes}."
            )
        if flash_attention:
            raise ValueError(
                "`flash_attention` must be None or False: this layer computes the attention weights. "
                f"Received: flash_attention={flash_attention}."
            )
        if isinstance(output_shape, list | tuple):
            if len(output_shape) != 1:
                raise ValueError(
                    "`output_shape` must be one integer: outputs have rank 3. "
                    f"Received: output_shape={output_shape}."
                )
            output_shape = output_shape[0]
        self.supports_masking = True
        self.num_heads = num_heads
        self.key_dim = key_dim
        self.value_dim = value_dim or key_dim
        self.dropout = dropout
        self.use_bias = use_bias
        self.output_dim = output_shape  # Keras reserves the name `output_shape`
        self.attention_axes = attention_axes
        self.sliding_window = sliding_window
        self.flash_attention = flash_attention
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)
        self._projection_regularizer = keras.regularizers.get(activity_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        self.bias_constraint = keras.constraints.get(bias_constraint)
        self.use_gate = use_gate
        self.seed = seed
        self.rotary = rotary
        self.position_bias = position_bias

    def build(self, query_shape, value_shape=None, key_shape=None):
        value_shape = query_shape if value_shape is None else value_shape
        key_shape = value_shape if key_shape is None else key_shape
        shapes = {"query": query_shape, "value": value_shape, "key": key_shape}
        for name, shape in shapes.items():
            if len(shape) != 3:
                raise ValueError(
                    f"`{name}` must have rank 3: (batch, length, width). Received: shape={tuple(shape)}."
                )
        if value_shape[1] != key_shape[1]:
            raise ValueError(
                "`key` and `value` must have the same length. "
                f"Received: key_shape={tuple(key_shape)}, value_shape={tuple(value_shape)}."
            )
        # Creation order is Keras's, so that `set_weights` takes its layer's weights.
        self.query_dense = self._heads_dense("query", self.key_dim, query_shape)
        self.key_dense = self._heads_dense("key", self.key_dim, key_shape)
        if self.use_gate:
            self.gate_dense = self._heads_dense("gate", self.value_dim, query_shape, activation="sigmoid")
        self.value_dense = self._heads_dense("value", self.value_dim, value_shape)
        self.output_dense = HeadsProjection(
            "bthv,hvd->btd",
            output_shape=(None, self.output_dim or query_shape[-1]),
            bias_axes="d" if self.use_bias else None,
            name="attention_output",
            **self._dense_arguments(),
        )
        self.output_dense.build((None, None, self.num_heads, self.value_dim))
        self.dropout_layer = keras.layers.Dropout(self.dropout, seed=self.seed, dtype=self.dtype_policy)

    def _heads_dense(self, name, width, input_shape, activation=None):
        dense = HeadsProjection(
            "btd,dhk->bthk",
            output_shape=(None, self.num_heads, width),
            bias_axes="hk" if self.use_bias else None,
            activation=activation,
            name=name,
            **self._dense_arguments(),
        )
        dense.build((None, None, input_shape[-1]))
        return dense

    def _dense_arguments(self):
        # Initializers are cloned: one seeded instance would give every kernel the same values.
        return {
            "kernel_initializer": self.kernel_initializer.clone(),
            "bias_initializer": self.bias_initializer.clone(),
            "kernel_regularizer": self.kernel_regularizer,
            "bias_regularizer": self.bias_regularizer,
            "activity_regularizer": self._projection_regularizer,
            "kernel_constraint": self.kernel_constraint,
            "bias_constraint": self.bias_constraint,
            "dtype": self.dtype_policy,
        }

    def call(
        self,
        query,
        value=None,
        key=None,
        query_mask=None,
        value_mask=None,
        key_mask=None,
        attention_mask=None,
        return_attention_scores=False,
        training=None,
        use_causal_mask=False,
    ):
        if value is None:
            value = query
            # Keras fills in `query_mask` only beside a second tensor argument.
            query_mask = masks.implicit_mask(query) if query_mask is None else query_mask
            value_mask = query_mask if value_mask is None else value_mask
        query_length, key_length = ops.shape(query)[1], ops.shape(value)[1]
        mask = masks.combine(
            masks.as_heads_mask(attention_mask),
            None if query_mask is None else ops.cast(query_mask, "bool")[:, None, :, None],
            None if value_mask is None else ops.cast(value_mask, "bool")[:, None, None, :],
            None if key_mask is None else ops.cast(key_mask, "bool")[:, None, None, :],
            self._distance_mask(ops.arange(query_length), ops.arange(key_length), use_causal_mask),
        )
        output, weights = self.attend(query, self.project(value, key), mask)
        return (output, weights) if return_attention_scores else output

    def _distance_mask(self, query_positions, key_positions, causal):
        """(T, S) mask of what depends on positions alone, or None."""
        distance = query_positions[:, None] - key_positions[None, :]
        window = self.sliding_window
        return masks.combine(
            distance >= 0 if causal else None,
            None if window is None else ops.abs(distance) < window,
        )

    def project(self, value, key=None, start_index=0):
        """Projects what is attended to, once for any number of queries.

        Args:
            value: (B, S, D).
            key: (B, S, D); `value` if None.
            start_index: position of the first key, for `rotary`.

        Returns:
            {"key": (B, H, S, K), "value": (B, H, S, V)}, to be given to `attend`.
        """
        key_heads = heads_first(self.key_dense(value if key is None else key))
        if self.rotary is not None:
            key_heads = self.rotary(key_heads, start_index=start_index)
        return {"key": key_heads, "value": heads_first(self.value_dense(value))}

    def attend(self, query, projected, attention_mask=None, start_index=0):
        """Attends to keys and values that `project` made.

        Args:
            query: (B, T, D).
            projected: {"key": (B, H, S, K), "value": (B, H, S, V)}.
            attention_mask: bool, broadcastable to (B, H, T, S), or (B, T, S); True = may attend.
            start_index: position of the first query, for `rotary` and `position_bias`.

        Returns:
            Output, (B, T, D), and attention weights, (B, H, T, S).
        """
        query_heads = heads_first(self.query_dense(query))  # (B, H, T, K)
        if self.rotary is not None:
            query_heads = self.rotary(query_heads, start_index=start_index)
        heads, weights = scaled_dot_product_attention(
            query_heads,
            projected["key"],
            projected["value"],
            mask=masks.as_heads_mask(attention_mask),
            bias=self._bias(ops.shape(query)[1], ops.shape(projected["key"])[2], start_index),
            dropout=self.dropout_layer,
        )
        heads = heads_first(heads)  # and back: (B, T, H, V)
        if self.use_gate:
            heads = heads * self.gate_dense(query)
        return self.output_dense(heads), weights

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

    def initial_state(self, batch_size, max_length):
        """The empty key/value state of a self-attention, for `step`.

        Args:
            batch_size: B.
            max_length: L, number of positions that there is room for; static.

        Returns:
            {"key": (B, H, L, K), "value": (B, H, L, V)}, zeros in the compute dtype.
        """
        widths = {"key": self.key_dim, "value": self.value_dim}
        return {
            name: ops.zeros((batch_size, self.num_heads, max_length, width), self.compute_dtype)
            for name, width in widths.items()
        }

    def step(self, query, state, index):
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

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "value_dim": self.value_dim,
            "dropout": self.dropout,
            "use_bias": self.use_bias,
            "output_shape": self.output_dim,
            "attention_axes": self.attention_axes,
            "sliding_window": self.sliding_window,
            "flash_attention": self.flash_attention,
            "kernel_initializer": serialize(self.kernel_initializer),
            "bias_initializer": serialize(self.bias_initializer),
            "kernel_regularizer": serialize(self.kernel_regularizer),
            "bias_regularizer": serialize(self.bias_regularizer),
            "activity_regularizer": serialize(self._projection_regularizer),
            "kernel_constraint": serialize(self.kernel_constraint),
            "bias_constraint": serialize(self.bias_constraint),
            "use_gate": self.use_gate,
            "seed": self.seed,
            "rotary": serialize(self.rotary),
            "position_bias": serialize(self.position_bias),
        }

    @classmethod
    def from_config(cls, config):
        for name in ("rotary", "position_bias"):
            if name in config:  # Keras's own layer has neither
                config[name] = keras.saving.deserialize_keras_object(config[name])
        return cls(**config)

"""Bases of the encoder's and the decoder's layers and stacks: description, sub-layers, state."""

from typing import Any, Unpack

import keras

from keras_transformer import arguments
from keras_transformer.layers import heads_state, position_kinds
from keras_transformer.layers.attention import MultiHeadAttention
from keras_transformer.layers.feed_forward import feed_forward
from keras_transformer.layers.layer_config import LayerConfig, LayerFields, TakesLayerConfig
from keras_transformer.layers.normalization import norm_layer
from keras_transformer.layers.sublayer import Sublayer
from keras_transformer.saving.quantization import KeepsQuantization


class TransformerLayer(TakesLayerConfig, KeepsQuantization, arguments.KnownArguments, keras.layers.Layer):
    """Base of `EncoderLayer` and `DecoderLayer`.

    Args:
        num_heads, intermediate_dim, key_dim, **fields: see `LayerConfig`.
        config: the whole `LayerConfig`, in place of its fields.
    """

    causal = False  # whether no position ever sees one behind it

    def __init__(
        self,
        num_heads: int | None = None,
        intermediate_dim: int | None = None,
        key_dim: int | None = None,
        *,
        config: LayerConfig | None = None,
        **fields: Unpack[LayerFields],
    ):
        super().__init__(
            num_heads=num_heads, intermediate_dim=intermediate_dim, key_dim=key_dim, config=config, **fields
        )
        self.supports_masking = True

    def _terms(self):
        """What the self-attention is given for its positions."""
        return position_kinds.attention_terms(
            self.config.positions, self.num_heads, self.causal, dtype=self.dtype_policy
        )

    def _check_build(self, hidden_shape, memory_shape=None):
        arguments.check_shapes(3, hidden=hidden_shape, memory=memory_shape)
        self.width = hidden_shape[-1]
        self.memory_width = self.width if memory_shape is None else memory_shape[-1]

    def _self_attention(self):
        return self._attention("self_attention", sliding_window=self.sliding_window, **self._terms())

    def _attention(self, name, memory_shape=None, **options):
        if self.key_dim is None and self.width % self.num_heads:
            raise ValueError(
                "The width of the input must be a multiple of `num_heads`, unless `key_dim` is given. "
                f"Received: hidden_dim={self.width}, num_heads={self.num_heads}."
            )
        attention = MultiHeadAttention(
            self.num_heads,
            self.width // self.num_heads if self.key_dim is None else self.key_dim,
            num_key_value_heads=self.num_key_value_heads,
            dropout=self.attention_dropout,
            use_bias=self.use_bias,
            qk_norm=self.qk_norm,
            dtype=self.dtype_policy,
            name="attention",
            **options,
        )
        query_shape = (None, None, self.width)
        # A scope of its own: on PyTorch Keras knows weights by their paths, and two attentions would be one.
        with keras.name_scope(name):
            attention.build(query_shape, memory_shape or query_shape)
        return self._sublayer(name, attention)

    def _feed_forward(self):
        network = feed_forward(
            self.intermediate_dim,
            self.activation,
            dropout=self.activation_dropout,
            use_bias=self.use_bias,
            dtype=self.dtype_policy,
            name="network",
        )
        return self._sublayer("feed_forward", network)

    def _sublayer(self, name, layer):
        sublayer = Sublayer(
            layer,
            self.dropout,
            self.norm_first,
            self.norm_epsilon,
            self.normalization,
            dtype=self.dtype_policy,
            name=name,
        )
        sublayer.build((None, None, self.width))
        return sublayer

    def _step_of_self_attention(self, hidden, state, index):
        """Causal self-attention of the next positions (B, T, D), the residual connection; the new state."""
        x = self.self_attention.before(hidden)
        x, state = self.self_attention.layer.step(x, state, index)
        return self.self_attention.after(hidden, x), state

    def grow(self, state: Any, max_length: int) -> Any:
        """The self-attention's state with room for `max_length` positions, at least as many as it has."""
        return {name: heads_state.grow(heads, max_length) for name, heads in state.items()}


class TransformerStack(TransformerLayer):
    """Base of `Encoder` and `Decoder`: `num_layers` equal layers, and a final norm where there is one.

    Args:
        num_layers: N, >= 1.
        Others: see `LayerConfig`.
    """

    def __init__(
        self,
        num_layers: int,
        num_heads: int | None = None,
        intermediate_dim: int | None = None,
        key_dim: int | None = None,
        *,
        config: LayerConfig | None = None,
        **fields: Unpack[LayerFields],
    ):
        arguments.check_sizes(num_layers=num_layers)
        super().__init__(num_heads, intermediate_dim, key_dim, config=config, **fields)
        self.num_layers = num_layers

    def _make_layer(self, **kwargs):
        raise NotImplementedError

    def _build_stack(self, *shapes):
        policy = self.dtype_policy
        shared = self._terms() if position_kinds.is_shared(self.config.positions) else None
        for layer in (shared or {}).values():
            layer.build()
        self.layers = []
        for index in range(self.num_layers):
            layer = self._make_layer(config=self.config, dtype=policy, name=f"layer_{index}")
            if shared is not None:
                # As a function: a dictionary of layers is one that Keras would save a second time.
                layer._terms = lambda: shared
            layer.build(*shapes)
            self.layers.append(layer)
        if self.config.has_final_norm:
            # With `norm_first`, without it the last residual sum would leave the stack unnormalised.
            self.final_norm = norm_layer(
                self.normalization, self.norm_epsilon, dtype=policy, name="final_norm"
            )
            self.final_norm.build(shapes[0])

    def _finish(self, hidden):
        return self.final_norm(hidden) if self.config.has_final_norm else hidden

    def grow(self, state: Any, max_length: int) -> Any:
        """Of all layers, a list; see `TransformerLayer.grow`."""
        return [layer.grow(one, max_length) for layer, one in zip(self.layers, state, strict=True)]

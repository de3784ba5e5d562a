"""What the encoder's and the decoder's layers and stacks share: sizes, sub-layers, configuration."""

from typing import Any

import keras

from keras_transformer import arguments
from keras_transformer.layers import heads_state
from keras_transformer.layers.attention import MultiHeadAttention
from keras_transformer.layers.sublayer import FeedForward, Sublayer
from keras_transformer.saving.quantization import KeepsQuantization
from keras_transformer.types import Identifier, Tree


class TransformerLayer(KeepsQuantization, arguments.KnownArguments, keras.layers.Layer):
    """Base of `EncoderLayer` and `DecoderLayer`, which describe the arguments."""

    def __init__(
        self,
        num_heads: int,
        intermediate_dim: int,
        key_dim: int | None = None,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        activation: Identifier = "relu",
        norm_first: bool = False,
        norm_epsilon: float = 1e-6,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        arguments.check_sizes(num_heads=num_heads, intermediate_dim=intermediate_dim)
        arguments.check_optional_sizes(key_dim=key_dim)
        arguments.check_rates(dropout=dropout, attention_dropout=attention_dropout)
        arguments.check_positive(norm_epsilon=norm_epsilon)
        self.num_heads = num_heads
        self.intermediate_dim = intermediate_dim
        self.key_dim = key_dim
        self.dropout = dropout
        self.attention_dropout = attention_dropout
        self.activation = keras.activations.get(activation)
        self.norm_first = norm_first
        self.norm_epsilon = norm_epsilon
        self.supports_masking = True

    def _check_build(self, hidden_shape, memory_shape=None):
        arguments.check_shapes(3, hidden=hidden_shape, memory=memory_shape)
        self.width = hidden_shape[-1]
        self.memory_width = self.width if memory_shape is None else memory_shape[-1]

    def _attention(self, name, hidden_dim, memory_shape=None):
        if self.key_dim is None and hidden_dim % self.num_heads:
            raise ValueError(
                "The width of the input must be a multiple of `num_heads`, unless `key_dim` is given. "
                f"Received: hidden_dim={hidden_dim}, num_heads={self.num_heads}."
            )
        attention = MultiHeadAttention(
            self.num_heads,
            hidden_dim // self.num_heads if self.key_dim is None else self.key_dim,
            dropout=self.attention_dropout,
            dtype=self.dtype_policy,
            name="attention",
        )
        query_shape = (None, None, hidden_dim)
        # A scope of its own: on PyTorch Keras knows weights by their paths, and two attentions would be one.
        with keras.name_scope(name):
            attention.build(query_shape, memory_shape or query_shape)
        return self._sublayer(name, attention, hidden_dim)

    def _feed_forward(self, hidden_dim):
        layer = FeedForward(
            self.intermediate_dim,
            activation=self.activation,
            dtype=self.dtype_policy,
            name="network",
        )
        return self._sublayer("feed_forward", layer, hidden_dim)

    def _sublayer(self, name, layer, hidden_dim):
        sublayer = Sublayer(
            layer,
            self.dropout,
            self.norm_first,
            self.norm_epsilon,
            dtype=self.dtype_policy,
            name=name,
        )
        sublayer.build((None, None, hidden_dim))
        return sublayer

    def _step_of_self_attention(self, hidden, state, index):
        """Causal self-attention of the next positions (B, T, D), the residual connection; the new state."""
        x = self.self_attention.before(hidden)
        x, state = self.self_attention.layer.step(x, state, index)
        return self.self_attention.after(hidden, x), state

    def grow(self, state: Tree, max_length: int) -> Tree:
        """The self-attention's state with room for `max_length` positions, at least as many as it has."""
        return {name: heads_state.grown(heads, max_length) for name, heads in state.items()}

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "intermediate_dim": self.intermediate_dim,
            "key_dim": self.key_dim,
            "dropout": self.dropout,
            "attention_dropout": self.attention_dropout,
            "activation": keras.activations.serialize(self.activation),
            "norm_first": self.norm_first,
            "norm_epsilon": self.norm_epsilon,
        }


class TransformerStack(TransformerLayer):
    """Base of `Encoder` and `Decoder`: `num_layers` equal layers, and a final norm if `norm_first`."""

    layer_class = TransformerLayer

    def __init__(
        self,
        num_layers: int,
        num_heads: int,
        intermediate_dim: int,
        key_dim: int | None = None,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        activation: Identifier = "relu",
        norm_first: bool = False,
        norm_epsilon: float = 1e-6,
        **kwargs: Any,
    ):
        arguments.check_sizes(num_layers=num_layers)
        self._layer_arguments: dict[str, Any] = {
            "num_heads": num_heads,
            "intermediate_dim": intermediate_dim,
            "key_dim": key_dim,
            "dropout": dropout,
            "attention_dropout": attention_dropout,
            "activation": activation,
            "norm_first": norm_first,
            "norm_epsilon": norm_epsilon,
        }
        super().__init__(**self._layer_arguments, **kwargs)
        self.num_layers = num_layers

    def _build_stack(self, *shapes):
        self.layers = []
        for index in range(self.num_layers):
            layer = self.layer_class(**self._layer_arguments, dtype=self.dtype_policy, name=f"layer_{index}")
            layer.build(*shapes)
            self.layers.append(layer)
        if self.norm_first:
            # Without it the last residual sum would leave the stack unnormalised.
            self.final_norm = keras.layers.LayerNormalization(
                epsilon=self.norm_epsilon, dtype=self.dtype_policy, name="final_norm"
            )
            self.final_norm.build(shapes[0])

    def _finish(self, hidden):
        return self.final_norm(hidden) if self.norm_first else hidden

    def grow(self, state: Tree, max_length: int) -> Tree:
        """Of all layers, a list; see `TransformerLayer.grow`."""
        return [layer.grow(one, max_length) for layer, one in zip(self.layers, state, strict=True)]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_layers": self.num_layers}

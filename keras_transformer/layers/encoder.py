"""The encoder (Vaswani et al. 2017, section 3.1, left half of figure 1).

With `causal` it is the stack of a language model: a decoder without attention to a source (Liu et
al. 2018, section 4.2.3).
"""

from typing import Unpack

import keras
from keras import ops

from keras_transformer import arguments, masks
from keras_transformer.layers.layer_config import LayerConfig, LayerFields
from keras_transformer.layers.transformer_layer import TransformerLayer, TransformerStack
from keras_transformer.types import Shape, Tensor, Tree


@keras.saving.register_keras_serializable(package="keras_transformer")
class EncoderLayer(TransformerLayer):
    """Self-attention, then a feed-forward network, each in a residual sub-layer.

    Vaswani et al. 2017, section 3.1. The width D is read from the input. `step` computes one position from
    a state and equals that row of a full causal `call`.

    Args:
        num_heads, intermediate_dim, key_dim, **fields: see `LayerConfig`.
        causal: whether every position sees only those before it, as in a language model, whatever the calls
            say: `use_causal_mask` is then True.
        config: the whole `LayerConfig`, in place of its fields.

    Call arguments:
        hidden: (B, T, D).
        hidden_mask: bool, (B, T); True = a real token. Keras's implicit mask of `hidden` if None.
        attention_mask: bool, broadcastable to (B, H, T, T), or (B, T, T); True = may attend.
        use_causal_mask: whether position t sees only positions 0 to t.
        training: whether dropout is active; Keras hands it on to the layers inside.

    Returns:
        (B, T, D) in the compute dtype.

    Raises:
        ValueError: `key_dim` is None and D is not a multiple of `num_heads`.
    """

    def __init__(
        self,
        num_heads: int | None = None,
        intermediate_dim: int | None = None,
        key_dim: int | None = None,
        *,
        causal: bool = False,
        config: LayerConfig | None = None,
        **fields: Unpack[LayerFields],
    ):
        super().__init__(num_heads, intermediate_dim, key_dim, config=config, **fields)
        self.causal = causal

    def build(self, hidden_shape: Shape) -> None:
        self._check_build(hidden_shape)
        self.self_attention = self._self_attention()
        self.feed_forward = self._feed_forward()

    def call(
        self,
        hidden: Tensor,
        hidden_mask: Tensor | None = None,
        attention_mask: Tensor | None = None,
        use_causal_mask: bool = False,
        training: bool | None = None,
    ) -> Tensor:
        hidden, _ = self._forward(hidden, hidden_mask, attention_mask, use_causal_mask, weights=False)
        return hidden

    def attend(
        self,
        hidden: Tensor,
        hidden_mask: Tensor | None = None,
        attention_mask: Tensor | None = None,
        use_causal_mask: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """As a call without dropout; returns the attention weights too, (B, H, T, T)."""
        return self._forward(hidden, hidden_mask, attention_mask, use_causal_mask, weights=True)

    def _forward(self, hidden, hidden_mask, attention_mask, use_causal_mask, weights):
        """(B, T, D), and the attention weights if they are asked for, or None."""
        hidden_mask = masks.implicit_mask(hidden, hidden_mask)
        arguments.check_vectors((None, None, self.width), hidden=hidden)
        arguments.check_masks(hidden.shape[:2], hidden_mask=hidden_mask)
        x = self.self_attention.before(hidden)
        found = self.self_attention.layer(
            x,
            x,
            query_mask=hidden_mask,
            value_mask=hidden_mask,
            attention_mask=attention_mask,
            use_causal_mask=use_causal_mask or self.causal,
            return_attention_scores=weights,
        )
        x, scores = found if weights else (found, None)
        hidden = self.self_attention.after(hidden, x)
        return self.feed_forward(hidden), scores

    def initial_state(self, batch_size: int, max_length: int) -> Tree:
        """The empty state of `step`: see `MultiHeadAttention.initial_state`."""
        return self.self_attention.layer.initial_state(batch_size, max_length)

    def step(self, hidden: Tensor, state: Tree, index: int | Tensor) -> tuple[Tensor, Tree]:
        """The next positions: equals these rows of a full causal `call`.

        Args:
            hidden: (B, T, D), the input at the positions from `index` on; mostly T = 1.
            state: what `initial_state`, `grow` or the last `step` returned.
            index: the first position, an integer scalar, 0 <= index <= L - T.

        Returns:
            (B, T, D), and the new state.
        """
        hidden, state = self._step_of_self_attention(hidden, state, index)
        return self.feed_forward(hidden), state

    def compute_output_shape(self, hidden_shape: Shape) -> Shape:
        return hidden_shape


@keras.saving.register_keras_serializable(package="keras_transformer")
class Encoder(TransformerStack):
    """A stack of `num_layers` encoder layers; with `norm_first`, or where `final_norm` says so, a final norm.

    Vaswani et al. 2017, section 3.1. Paper symbol: N = num_layers.

    Args:
        num_layers: N, >= 1.
        num_heads, intermediate_dim, key_dim, **fields: see `LayerConfig`.
        causal: whether every position sees only those before it, as in a language model, whatever the calls
            say: `use_causal_mask` is then True.
        config: the whole `LayerConfig`, in place of its fields.

    Call arguments, returns and errors: those of `EncoderLayer`.
    """

    def __init__(
        self,
        num_layers: int,
        num_heads: int | None = None,
        intermediate_dim: int | None = None,
        key_dim: int | None = None,
        *,
        causal: bool = False,
        config: LayerConfig | None = None,
        **fields: Unpack[LayerFields],
    ):
        super().__init__(num_layers, num_heads, intermediate_dim, key_dim, config=config, **fields)
        self.causal = causal

    def _make_layer(self, **kwargs):
        return EncoderLayer(causal=self.causal, **kwargs)

    def build(self, hidden_shape: Shape) -> None:
        self._build_stack(hidden_shape)

    def call(
        self,
        hidden: Tensor,
        hidden_mask: Tensor | None = None,
        attention_mask: Tensor | None = None,
        use_causal_mask: bool = False,
        training: bool | None = None,
    ) -> Tensor:
        hidden_mask = masks.implicit_mask(hidden, hidden_mask)
        for layer in self.layers:
            hidden = layer(
                hidden,
                hidden_mask=hidden_mask,
                attention_mask=attention_mask,
                use_causal_mask=use_causal_mask,
            )
        return self._finish(hidden)

    def attend(
        self,
        hidden: Tensor,
        hidden_mask: Tensor | None = None,
        attention_mask: Tensor | None = None,
        use_causal_mask: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """As a call without dropout; returns the attention weights of all layers too, (B, N, H, T, T)."""
        hidden_mask = masks.implicit_mask(hidden, hidden_mask)
        weights = []
        for layer in self.layers:
            hidden, of_layer = layer.attend(hidden, hidden_mask, attention_mask, use_causal_mask)
            weights.append(of_layer)
        return self._finish(hidden), ops.stack(weights, axis=1)

    def initial_state(self, batch_size: int, max_length: int) -> Tree:
        """A list with one entry for each layer; see `EncoderLayer.initial_state`."""
        return [layer.initial_state(batch_size, max_length) for layer in self.layers]

    def step(self, hidden: Tensor, state: Tree, index: int | Tensor) -> tuple[Tensor, Tree]:
        """The next positions through all layers; see `EncoderLayer.step`."""
        states = []
        for layer, layer_state in zip(self.layers, state, strict=True):
            hidden, layer_state = layer.step(hidden, layer_state, index)
            states.append(layer_state)
        return self._finish(hidden), states

    def compute_output_shape(self, hidden_shape: Shape) -> Shape:
        return hidden_shape

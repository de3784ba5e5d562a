"""The decoder (Vaswani et al. 2017, section 3.1, right half of figure 1)."""

import keras
from keras import ops

from keras_transformer import arguments, masks
from keras_transformer.layers.transformer_layer import TransformerLayer, TransformerStack
from keras_transformer.types import Shape, Tensor, Tree


@keras.saving.register_keras_serializable(package="keras_transformer")
class DecoderLayer(TransformerLayer):
    """Causal self-attention, attention to the encoder's output, feed-forward network.

    Vaswani et al. 2017, section 3.1; each in a residual sub-layer. The width D is read from the
    input. `step` computes one position from a state and equals that row of a full `call`.

    Args:
        num_heads, intermediate_dim, key_dim, **fields: see `LayerConfig`. Positions and the window are those
            of the self-attention.
        config: the whole `LayerConfig`, in place of its fields.

    Call arguments:
        hidden: (B, T, D).
        memory: (B, S, D), the encoder's output.
        hidden_mask: bool, (B, T); True = a real token. Keras's implicit mask of `hidden` if None.
        memory_mask: bool, (B, S); True = may be attended to. Keras's implicit mask of `memory` if None.
        attention_mask: bool, broadcastable to (B, H, T, T), or (B, T, T); True = may attend. The future
            is hidden whatever it says.
        training: whether dropout is active; Keras hands it on to the layers inside.

    Returns:
        (B, T, D) in the compute dtype.

    Raises:
        ValueError: `key_dim` is None and D is not a multiple of `num_heads`.
    """

    causal = True

    def build(self, hidden_shape: Shape, memory_shape: Shape | None = None) -> None:
        self._check_build(hidden_shape, memory_shape)
        self.self_attention = self._self_attention()
        self.cross_attention = self._attention("cross_attention", memory_shape)
        self.feed_forward = self._feed_forward()

    def call(
        self,
        hidden: Tensor,
        memory: Tensor,
        hidden_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        attention_mask: Tensor | None = None,
        training: bool | None = None,
    ) -> Tensor:
        return self._forward(hidden, memory, hidden_mask, memory_mask, attention_mask, weights=False)[0]

    def attend(
        self,
        hidden: Tensor,
        memory: Tensor,
        hidden_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As a call without dropout; returns both attentions' weights too, (B, H, T, T) and (B, H, T, S)."""
        return self._forward(hidden, memory, hidden_mask, memory_mask, attention_mask, weights=True)

    def _forward(self, hidden, memory, hidden_mask, memory_mask, attention_mask, weights):
        """(B, T, D), and the weights of both attentions if they are asked for, or None."""
        hidden_mask = masks.implicit_mask(hidden, hidden_mask)
        memory_mask = masks.implicit_mask(memory, memory_mask)
        arguments.check_vectors((None, None, self.width), hidden=hidden)
        arguments.check_vectors((hidden.shape[0], None, self.memory_width), memory=memory)
        arguments.check_masks(hidden.shape[:2], hidden_mask=hidden_mask)
        arguments.check_masks(memory.shape[:2], memory_mask=memory_mask)
        x = self.self_attention.before(hidden)
        found = self.self_attention.layer(
            x,
            x,
            query_mask=hidden_mask,
            value_mask=hidden_mask,
            attention_mask=attention_mask,
            use_causal_mask=True,
            return_attention_scores=weights,
        )
        x, to_itself = found if weights else (found, None)
        hidden = self.self_attention.after(hidden, x)

        x = self.cross_attention.before(hidden)
        found = self.cross_attention.layer(
            x, memory, query_mask=hidden_mask, value_mask=memory_mask, return_attention_scores=weights
        )
        x, to_memory = found if weights else (found, None)
        hidden = self.cross_attention.after(hidden, x)
        return self.feed_forward(hidden), to_itself, to_memory

    def initial_state(self, memory: Tensor, max_length: int, memory_mask: Tensor | None = None) -> Tree:
        """What `step` needs: memory projected once, and room for `max_length` keys and values.

        Args:
            memory: (B, S, D).
            max_length: L, number of positions that will be decoded; static.
            memory_mask: bool, (B, S); True = may be attended to.

        Returns:
            {"source": tree, "target": tree}, see `models.AutoregressiveModel`; and "attention" (B, H, S),
            zeros.
        """
        batch_size, memory_length = ops.shape(memory)[:2]
        if memory_mask is None:
            memory_mask = ops.ones((batch_size, memory_length), "bool")
        return {
            "source": {"memory": self.cross_attention.layer.project(memory), "mask": memory_mask},
            "target": self.self_attention.layer.initial_state(batch_size, max_length),
            "attention": ops.zeros((batch_size, self.num_heads, memory_length), self.compute_dtype),
        }

    def step(self, hidden: Tensor, state: Tree, index: int | Tensor) -> tuple[Tensor, Tree]:
        """One position: equals row `index` of a full `call`.

        Args:
            hidden: (R, 1, D), the input at position `index`; R is a multiple of the memory's B rows, and
                rows b * R / B to (b + 1) * R / B - 1 attend to row b of the memory.
            state: what `initial_state` or the last `step` returned; R rows in "target".
            index: the position, an integer scalar, 0 <= index < L.

        Returns:
            (R, 1, D), and the new state; "attention" in it, (R, H, S), is that of this step.
        """
        hidden, target = self._step_of_self_attention(hidden, state["target"], index)

        x = self.cross_attention.before(hidden)
        x, weights = self._attend_to_memory(x, state["source"])
        hidden = self.cross_attention.after(hidden, x)
        return self.feed_forward(hidden), {**state, "target": target, "attention": weights}

    def _attend_to_memory(self, x, source):
        """(R, 1, D) -> (R, 1, D) and weights (R, H, S)."""
        memory, mask = source["memory"], source["mask"]
        memory_length = ops.shape(memory["key"])[2]
        # All R / B queries of a memory at once: the memory is neither repeated nor read R / B times.
        x = ops.reshape(x, (ops.shape(mask)[0], -1, x.shape[-1]))
        x, weights = self.cross_attention.layer.attend(x, memory, mask[:, None, None, :])
        weights = ops.reshape(ops.swapaxes(weights, 1, 2), (-1, self.num_heads, memory_length))
        return ops.reshape(x, (-1, 1, x.shape[-1])), weights

    def compute_output_shape(self, hidden_shape: Shape, memory_shape: Shape | None = None) -> Shape:
        return hidden_shape


@keras.saving.register_keras_serializable(package="keras_transformer")
class Decoder(TransformerStack):
    """A stack of `num_layers` decoder layers; with `norm_first`, or where `final_norm` says so, a final norm.

    Vaswani et al. 2017, section 3.1. Paper symbol: N = num_layers.

    Args:
        num_layers: N, >= 1.
        num_heads, intermediate_dim, key_dim, **fields: see `LayerConfig`. Positions and the window are those
            of the self-attention.
        config: the whole `LayerConfig`, in place of its fields.

    Call arguments, returns and errors: those of `DecoderLayer`.
    """

    causal = True

    def _make_layer(self, **kwargs):
        return DecoderLayer(**kwargs)

    def build(self, hidden_shape: Shape, memory_shape: Shape | None = None) -> None:
        self._build_stack(hidden_shape, memory_shape)

    def call(
        self,
        hidden: Tensor,
        memory: Tensor,
        hidden_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        attention_mask: Tensor | None = None,
        training: bool | None = None,
    ) -> Tensor:
        hidden_mask = masks.implicit_mask(hidden, hidden_mask)
        memory_mask = masks.implicit_mask(memory, memory_mask)
        for layer in self.layers:
            hidden = layer(
                hidden,
                memory,
                hidden_mask=hidden_mask,
                memory_mask=memory_mask,
                attention_mask=attention_mask,
            )
        return self._finish(hidden)

    def attend(
        self,
        hidden: Tensor,
        memory: Tensor,
        hidden_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As a call without dropout; returns the weights of both attentions of all layers too.

        Returns:
            (B, T, D); of the self-attentions (B, N, H, T, T); of those to the memory (B, N, H, T, S).
        """
        hidden_mask = masks.implicit_mask(hidden, hidden_mask)
        memory_mask = masks.implicit_mask(memory, memory_mask)
        weights = []
        for layer in self.layers:
            hidden, *of_layer = layer.attend(hidden, memory, hidden_mask, memory_mask, attention_mask)
            weights.append(of_layer)
        to_itself, to_memory = (ops.stack(kind, axis=1) for kind in zip(*weights, strict=True))
        return self._finish(hidden), to_itself, to_memory

    def initial_state(self, memory: Tensor, max_length: int, memory_mask: Tensor | None = None) -> Tree:
        """Lists with one entry for each layer; see `DecoderLayer.initial_state`."""
        states = [layer.initial_state(memory, max_length, memory_mask) for layer in self.layers]
        return {part: [state[part] for state in states] for part in states[0]}

    def step(self, hidden: Tensor, state: Tree, index: int | Tensor) -> tuple[Tensor, Tree]:
        """One position through all layers; see `DecoderLayer.step`."""
        states = []
        for layer, source, target in zip(self.layers, state["source"], state["target"], strict=True):
            hidden, layer_state = layer.step(hidden, {"source": source, "target": target}, index)
            states.append(layer_state)
        return self._finish(hidden), {part: [state[part] for state in states] for part in states[0]}

    def compute_output_shape(self, hidden_shape: Shape, memory_shape: Shape | None = None) -> Shape:
        return hidden_shape

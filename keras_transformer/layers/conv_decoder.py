"""The decoder of ConvS2S, with attention in every layer (Gehring et al. 2017, sections 3.2 and 3.3)."""

from typing import Any

import keras
from keras import ops

from keras_transformer import arguments, masks
from keras_transformer.layers.dot_product import scaled_dot_product_attention
from keras_transformer.layers.gated_convolution import SQRT_HALF, ConvStack, GatedConvolution, linear
from keras_transformer.saving.quantization import KeepsQuantization
from keras_transformer.types import Shape, Tensor, Tree


@keras.saving.register_keras_serializable(package="keras_transformer")
class ConvDecoderLayer(KeepsQuantization, arguments.KnownArguments, keras.layers.Layer):
    """A causal gated convolution, attention to the source, and a residual connection around both.

    Gehring et al. 2017, section 3.3, with h the convolution's output, g the target's embeddings, z the
    encoder's outputs, e the source's embeddings and m the number of source tokens:

        d_i = W_d h_i + b_d + g_i
        a_ij = softmax over j of d_i z_j
        c_i = sqrt(m) sum over j of a_ij (z_j + e_j)     with m sqrt(1 / m) = sqrt(m) of section 3.4
        output_i = x_i + (h_i + W_c c_i + b_c)

    As in the authors' program (fairseq), and beyond the text: each sum of two terms is multiplied by
    sqrt(0.5) and not only the residual one; c is mapped from the embeddings' width to the convolution's; the
    residual is added after the attention.

    Args:
        kernel_size: k, positions that an output sees, >= 1.
        dropout: probability of dropping one value of the convolution's input, 0 <= p < 1.

    Call arguments:
        hidden: x, (B, T, D).
        embedded: g, (B, T, F).
        key: z, (B, S, F).
        value: (z + e) sqrt(0.5), (B, S, F).
        key_mask: bool, (B, S); True = may be attended to. Keras's implicit mask of `key` if None.
        training: whether dropout is active.

    Returns:
        (B, T, D) in the compute dtype.

    Raises:
        ValueError: `kernel_size` is not a positive integer.
    """

    def __init__(self, kernel_size: int, dropout: float = 0.0, **kwargs: Any):
        super().__init__(**kwargs)
        arguments.check_sizes(kernel_size=kernel_size)
        arguments.check_rates(dropout=dropout)
        self.kernel_size = kernel_size
        self.dropout = dropout
        self.convolution = GatedConvolution(
            kernel_size, causal=True, dropout=dropout, dtype=self.dtype_policy, name="convolution"
        )

    def build(
        self,
        hidden_shape: Shape,
        embedded_shape: Shape,
        key_shape: Shape | None = None,
        value_shape: Shape | None = None,
    ) -> None:
        arguments.check_shapes(3, hidden=hidden_shape, embedded=embedded_shape)
        width, embedded_width = hidden_shape[-1], embedded_shape[-1]
        self.width, self.embedded_width = width, embedded_width
        self.convolution.build(hidden_shape)
        self.query_dense = linear(embedded_width, dtype=self.dtype_policy, name="query")
        self.query_dense.build((None, None, width))
        self.context_dense = linear(width, dtype=self.dtype_policy, name="context")
        self.context_dense.build((None, None, embedded_width))

    def call(
        self,
        hidden: Tensor,
        embedded: Tensor,
        key: Tensor,
        value: Tensor,
        key_mask: Tensor | None = None,
        training: bool | None = None,
    ) -> Tensor:
        return self._forward(hidden, embedded, key, value, key_mask, training)[0]

    def attend(
        self, hidden: Tensor, embedded: Tensor, key: Tensor, value: Tensor, key_mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """As a call without dropout; returns the attention weights too, (B, T, S)."""
        return self._forward(hidden, embedded, key, value, key_mask, training=False)

    def _forward(self, hidden, embedded, key, value, key_mask, training):
        """(B, T, D), and the attention weights, (B, T, S)."""
        key_mask = masks.implicit_mask(key, key_mask)
        if key_mask is None:
            key_mask = ops.ones(ops.shape(key)[:2], "bool")
        arguments.check_vectors((None, None, self.width), hidden=hidden)
        arguments.check_vectors((*hidden.shape[:2], self.embedded_width), embedded=embedded)
        arguments.check_vectors((hidden.shape[0], None, self.embedded_width), key=key)
        arguments.check_vectors(key.shape, value=value)
        arguments.check_masks(key.shape[:2], key_mask=key_mask)
        output = self.convolution(hidden, training=training)
        output, weights = self._attend(output, embedded, key, value, key_mask)
        return (output + hidden) * SQRT_HALF, weights

    def _attend(self, hidden, embedded, key, value, key_mask):
        """(B, T, D) with what was read from the source, and weights (B, T, S)."""
        query = (self.query_dense(hidden) + embedded) * SQRT_HALF
        key_mask = ops.cast(key_mask, "bool")
        # One head.
        context, weights = scaled_dot_product_attention(
            query[:, None],
            key[:, None],
            value[:, None],
            mask=key_mask[:, None, None, :],
            scale=1.0,
        )
        count = ops.sum(ops.cast(key_mask, "float32"), axis=1)  # (B,)
        context = context[:, 0] * ops.cast(ops.sqrt(count), context.dtype)[:, None, None]
        return (self.context_dense(context) + hidden) * SQRT_HALF, weights[:, 0]

    def initial_state(self, batch_size: int) -> Tensor:
        """What the convolution has seen before the first position, (B, k - 1, D)."""
        return self.convolution.initial_state(batch_size)

    def step(
        self, hidden: Tensor, embedded: Tensor, source: dict[str, Tensor], state: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One position: equals its row of a full `call`.

        Args:
            hidden: (R, 1, D); R is a multiple of the source's B rows, and rows b * R / B to
                (b + 1) * R / B - 1 attend to its row b.
            embedded: (R, 1, F).
            source: {"key": (B, S, F), "value": (B, S, F), "mask": (B, S)}.
            state: (R, k - 1, D), from `initial_state` or the last `step`.

        Returns:
            (R, 1, D), the new state, and the attention weights (R, 1, S): of one head.
        """
        output, state = self.convolution.step(hidden, state)
        # All R / B queries of a source at once, as in `DecoderLayer`.
        batch_size = ops.shape(source["mask"])[0]
        output, queries = (ops.reshape(x, (batch_size, -1, x.shape[-1])) for x in (output, embedded))
        output, weights = self._attend(output, queries, source["key"], source["value"], source["mask"])
        weights = ops.reshape(weights, (-1, 1, ops.shape(weights)[-1]))
        return (ops.reshape(output, (-1, 1, output.shape[-1])) + hidden) * SQRT_HALF, state, weights

    def compute_output_shape(
        self,
        hidden_shape: Shape,
        embedded_shape: Shape | None = None,
        key_shape: Shape | None = None,
        value_shape: Shape | None = None,
    ) -> Shape:
        return hidden_shape


@keras.saving.register_keras_serializable(package="keras_transformer")
class ConvDecoder(ConvStack):
    """Embeddings -> a stack of `ConvDecoderLayer` -> what the logits are made of.

    Gehring et al. 2017, sections 3.2 and 3.3. Arguments and errors: those of `ConvEncoder`.

    Call arguments:
        embedded: g, (B, T, F), embeddings with positions.
        key, value, key_mask, training: as for `ConvDecoderLayer`.

    Returns:
        (B, T, F) in the compute dtype.
    """

    def _layer(self, name):
        return ConvDecoderLayer(self.kernel_size, self.dropout, dtype=self.dtype_policy, name=name)

    def build(
        self, embedded_shape: Shape, key_shape: Shape | None = None, value_shape: Shape | None = None
    ) -> None:
        self._build_stack(embedded_shape, embedded_shape)

    def call(
        self,
        embedded: Tensor,
        key: Tensor,
        value: Tensor,
        key_mask: Tensor | None = None,
        training: bool | None = None,
    ) -> Tensor:
        key_mask = masks.implicit_mask(key, key_mask)
        arguments.check_vectors((None, None, self.width), embedded=embedded)
        hidden = self.input_dense(embedded)
        for layer in self.layers:
            hidden = layer(hidden, embedded, key, value, key_mask=key_mask, training=training)
        return self.output_dense(hidden)

    def attend(
        self, embedded: Tensor, key: Tensor, value: Tensor, key_mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """As a call without dropout; returns the attention weights of all layers too, (B, N, T, S)."""
        key_mask = masks.implicit_mask(key, key_mask)
        hidden, weights = self.input_dense(embedded), []
        for layer in self.layers:
            hidden, of_layer = layer.attend(hidden, embedded, key, value, key_mask)
            weights.append(of_layer)
        return self.output_dense(hidden), ops.stack(weights, axis=1)

    def initial_state(self, key: Tensor, value: Tensor, key_mask: Tensor) -> Tree:
        """What `step` needs.

        Args:
            key, value: (B, S, F), see `ConvDecoderLayer`.
            key_mask: bool, (B, S); True = may be attended to.

        Returns:
            {"source": tree, "target": list with one state for each layer}, see
            `models.AutoregressiveModel`; and "attention", a list of (B, 1, S), zeros.
        """
        batch_size, length = ops.shape(key_mask)
        zeros = ops.zeros((batch_size, 1, length), self.compute_dtype)
        return {
            "source": {"key": key, "value": value, "mask": key_mask},
            "target": [layer.initial_state(batch_size) for layer in self.layers],
            "attention": [zeros] * self.num_layers,
        }

    def step(self, embedded: Tensor, state: Tree) -> tuple[Tensor, Tree]:
        """One position (R, 1, F) through all layers, and the new state; see `ConvDecoderLayer.step`."""
        hidden, histories, attention = self.input_dense(embedded), [], []
        for layer, history in zip(self.layers, state["target"], strict=True):
            hidden, history, weights = layer.step(hidden, embedded, state["source"], history)
            histories.append(history)
            attention.append(weights)
        return self.output_dense(hidden), {**state, "target": histories, "attention": attention}

    def compute_output_shape(
        self, embedded_shape: Shape, key_shape: Shape | None = None, value_shape: Shape | None = None
    ) -> Shape:
        return embedded_shape

"""The recurrent encoder (Bahdanau et al. 2015, section 3.2)."""

from typing import Any, Literal

import keras
from keras import ops

from keras_transformer import arguments, masks
from keras_transformer.layers.recurrent_cells import make_cell
from keras_transformer.layers.recurrent_loop import loop
from keras_transformer.saving.quantization import KeepsQuantization
from keras_transformer.types import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_transformer")
class RecurrentEncoder(KeepsQuantization, arguments.KnownArguments, keras.layers.Layer):
    """Layers of gated recurrent units that read a source from both ends.

    Each direction has hidden_dim / 2 units and the two are concatenated, so that a memory is as wide as
    a query: Bahdanau et al. give each direction the full width, with which the dot product (Luong et al.
    2015, equation 8) would be undefined. Padding never enters a state: a row's backward direction begins at
    its last real token. Input projections are computed for all positions at once, before the loop.

    Args:
        num_layers: >= 1.
        hidden_dim: D, width of the output, >= 1; even if `bidirectional`.
        cell: "gru" or "lstm".
        bidirectional: whether half of the units read from the end; else all read from the beginning.
        dropout: probability of dropping one value between two layers, 0 <= p < 1 (Zaremba et al. 2014).

    Call arguments:
        inputs: (B, S, width of the embedding).
        mask: bool, (B, S); True = a real token, real ones first. Keras's implicit mask if None.
        training: whether dropout is active; Keras hands it on to the layers inside.

    Returns:
        (B, S, D) in the compute dtype, zeros at padding. `encode` gives the final states as well.

    Raises:
        ValueError: a size is out of range or odd where it must be even, or there is no such cell.
    """

    def __init__(
        self,
        num_layers: int,
        hidden_dim: int,
        cell: Literal["gru", "lstm"] = "gru",
        bidirectional: bool = True,
        dropout: float = 0.0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        arguments.check_sizes(num_layers=num_layers, hidden_dim=hidden_dim)
        arguments.check_rates(dropout=dropout)
        if bidirectional and hidden_dim % 2:
            raise ValueError(
                "`hidden_dim` must be even: each direction has half of it. "
                f"Received: hidden_dim={hidden_dim}."
            )
        self.num_layers = num_layers
        self.hidden_dim = hidden_dim
        self.cell = cell
        self.bidirectional = bidirectional
        self.dropout = dropout
        directions = ("forward", "backward") if bidirectional else ("forward",)
        self.cells = [
            [
                make_cell(cell, hidden_dim // len(directions), name=f"{name}_{i}", dtype=self.dtype_policy)
                for name in directions
            ]
            for i in range(num_layers)
        ]
        self.dropout_layer = keras.layers.Dropout(dropout, dtype=self.dtype_policy)
        self.supports_masking = True

    def build(self, inputs_shape: Shape) -> None:
        arguments.check_shapes(3, inputs=inputs_shape)
        self.width = width = inputs_shape[-1]
        for layer in self.cells:
            for cell in layer:
                cell.build((None, width))
            width = self.hidden_dim

    def call(self, inputs: Tensor, mask: Tensor | None = None, training: bool | None = None) -> Tensor:
        return self.encode(inputs, mask, training=training)[0]

    def encode(
        self, inputs: Tensor, mask: Tensor | None = None, training: bool | None = None
    ) -> tuple[Tensor, list[list[Tensor]]]:
        """Reads the source.

        Args:
            inputs, mask, training: as in a call.

        Returns:
            (B, S, D), and for each layer the list of its final states, (B, D): after the last real token,
            and, of the backward direction, after the first.
        """
        mask = masks.implicit_mask(inputs, mask)
        if mask is None:
            mask = ops.ones(ops.shape(inputs)[:2], "bool")
        arguments.check_vectors((None, None, self.width), inputs=inputs)
        arguments.check_masks(inputs.shape[:2], mask=mask)
        hidden, finals = inputs, []
        for number, layer in enumerate(self.cells):
            if number:
                hidden = self.dropout_layer(hidden, training=training)
            read = [
                loop(
                    cell.step,
                    cell.project(hidden),
                    cell.initial_states(ops.shape(inputs)[0]),
                    mask=mask,
                    backward=direction == 1,
                )
                for direction, cell in enumerate(layer)
            ]
            hidden = ops.concatenate([outputs for outputs, _ in read], axis=-1)
            states = zip(*(final for _, final in read), strict=True)
            finals.append([ops.concatenate(state, axis=-1) for state in states])
        return hidden, finals

    def compute_output_shape(self, inputs_shape: Shape) -> Shape:
        return (*inputs_shape[:-1], self.hidden_dim)

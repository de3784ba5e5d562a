"""The recurrent decoder with attention and input feeding (Luong et al. 2015, section 3)."""

from typing import Any, Literal, Self

import keras
from keras import ops

from keras_transformer import arguments, masks
from keras_transformer.layers.recurrent_cells import make_cell
from keras_transformer.layers.recurrent_loop import loop
from keras_transformer.saving.quantization import KeepsQuantization
from keras_transformer.types import Shape, Tensor, Tree


@keras.saving.register_keras_serializable(package="keras_transformer")
class RecurrentDecoder(KeepsQuantization, arguments.KnownArguments, keras.layers.Layer):
    """Recurrent layers, attention from the upper one, and the attentional vector that predicts a token.

        h_t = cells([y_{t-1}; h~_{t-1}], h_{t-1})   input feeding, section 3.3
        c_t = attention(h_t)                        section 3.1 or 3.2
        h~_t = tanh(W_c [c_t; h_t])                 equation 5, without a bias, as there

    One layout for all scores. Bahdanau et al. 2015 attend with s_{t-1} and give c_t to the cell: there
    each score would have to be computed before the token is read. Here the query has read it, and what
    was attended to reaches the next step through h~_t.

    `call` runs `step` over all positions, and what does not depend on the step before it (the embedding's
    share of the gates) is computed once for all.

    Args:
        num_layers: >= 1.
        hidden_dim: D, width of the states, >= 1.
        output_dim: E, width of h~.
        attention: a layer with the interface of `RecurrentAttention`.
        cell: "gru" or "lstm".
        dropout: probability of dropping one value between two layers, 0 <= p < 1 (Zaremba et al. 2014).

    Call arguments:
        inputs: (B, T, width of the embedding).
        memory: (B, S, width of the memory).
        memory_mask: bool, (B, S); True = may be attended to. Keras's implicit mask of the memory if None.
        training: whether dropout is active; Keras hands it on to the layers inside.

    Returns:
        h~, (B, T, E), in the compute dtype; the states begin as zeros. `decode` begins where it is told.

    Raises:
        ValueError: a size is not a positive integer, there is no such cell, or `attention` is no layer.
    """

    def __init__(
        self,
        num_layers: int,
        hidden_dim: int,
        output_dim: int,
        attention: keras.layers.Layer,
        cell: Literal["gru", "lstm"] = "gru",
        dropout: float = 0.0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        arguments.check_sizes(num_layers=num_layers, hidden_dim=hidden_dim, output_dim=output_dim)
        arguments.check_rates(dropout=dropout)
        arguments.check_layers(attention=attention)
        self.num_layers = num_layers
        self.hidden_dim = hidden_dim
        self.output_dim = output_dim
        self.attention = attention
        self.cell = cell
        self.dropout = dropout
        policy = self.dtype_policy
        self.cells = [
            make_cell(cell, hidden_dim, name=f"cell_{number}", dtype=policy) for number in range(num_layers)
        ]
        gates = self.cells[0].num_gates * hidden_dim
        self.feed_dense = keras.layers.Dense(gates, use_bias=False, name="feed", dtype=policy)
        self.output_dense = keras.layers.Dense(
            output_dim, activation="tanh", use_bias=False, name="output", dtype=policy
        )
        self.dropout_layer = keras.layers.Dropout(dropout, dtype=policy)
        self.supports_masking = True

    def build(self, inputs_shape: Shape, memory_shape: Shape) -> None:
        arguments.check_shapes(3, inputs=inputs_shape, memory=memory_shape)
        self.width, self.memory_width = inputs_shape[-1], memory_shape[-1]
        for number, cell in enumerate(self.cells):
            cell.build((None, self.hidden_dim if number else inputs_shape[-1]))
        self.feed_dense.build((None, self.output_dim))
        if not self.attention.built:  # one made from a config is
            self.attention.build((None, self.hidden_dim), memory_shape)
        self.output_dense.build((None, memory_shape[-1] + self.hidden_dim))

    def call(
        self, inputs: Tensor, memory: Tensor, memory_mask: Tensor | None = None, training: bool | None = None
    ) -> Tensor:
        memory_mask = masks.implicit_mask(memory, memory_mask)
        arguments.check_vectors((None, None, self.width), inputs=inputs)
        arguments.check_vectors((inputs.shape[0], None, self.memory_width), memory=memory)
        arguments.check_masks(memory.shape[:2], memory_mask=memory_mask)
        zeros = [cell.initial_states(ops.shape(inputs)[0]) for cell in self.cells]
        return self.decode(inputs, self.initial_state(memory, zeros, memory_mask), training=training)

    def initial_state(self, memory: Tensor, cell_states: Tree, memory_mask: Tensor | None = None) -> Tree:
        """What `step` needs: the memory projected once, and where the cells begin.

        Args:
            memory: (B, S, width of the memory).
            cell_states: for each layer the list of its states, (B, D).
            memory_mask: bool, (B, S); True = may be attended to.

        Returns:
            {"source": tree, "target": tree}, see `models.AutoregressiveModel`; and "attention" (B, S),
            zeros.
        """
        batch_size, length = ops.shape(memory)[:2]
        return {
            "source": self.attention.project(memory, memory_mask),
            "target": {
                "cells": cell_states,
                "fed": ops.zeros((batch_size, self.output_dim), self.compute_dtype),
            },
            "attention": ops.zeros((batch_size, length), self.compute_dtype),
        }

    def project(self, inputs: Tensor) -> Tensor:
        """The embedding's share of the lowest cell's gates: (..., width) -> (..., gates)."""
        return self.cells[0].project(inputs)

    def decode(self, inputs: Tensor, state: Tree, training: bool | None = None) -> Tensor:
        """All positions, one after the other.

        Args:
            inputs: (B, T, width of the embedding).
            state: from `initial_state`; B rows in "target" too.
            training: whether dropout is active.

        Returns:
            h~, (B, T, E).
        """
        return self._decode(inputs, state, training, weights=False)

    def attend(self, inputs: Tensor, state: Tree) -> tuple[Tensor, Tensor]:
        """As `decode` without dropout; returns the attention weights too, (B, T, S)."""
        found = self._decode(inputs, state, training=False, weights=True)
        return found[..., : self.output_dim], found[..., self.output_dim :]

    def _decode(self, inputs, state, training, weights):
        """h~, (B, T, E), or (B, T, E + S): behind it, if they are asked for, the attention weights."""
        xs = self.project(inputs)  # (B, T, gates)
        gates = xs.shape[-1]
        if training and self.dropout and self.num_layers > 1:
            # Drawn before the loop: inside of one, JAX could not keep the seed.
            shape = (*ops.shape(inputs)[:2], (self.num_layers - 1) * self.hidden_dim)
            kept = self.dropout_layer(ops.ones(shape, self.compute_dtype), training=True)
            xs = ops.concatenate([xs, kept], axis=-1)

        def step(x, target):
            kept = x[:, gates:] if x.shape[-1] > gates else None
            vector, new = self.step(x[:, :gates], {**state, "target": target}, kept)
            if weights:  # the loop has one output
                vector = ops.concatenate([vector, new["attention"]], axis=-1)
            return vector, new["target"]

        vectors, _ = loop(step, xs, state["target"])
        return vectors

    def step(self, projected: Tensor, state: Tree, kept: Tree | None = None) -> tuple[Tensor, Tree]:
        """One position.

        Args:
            projected: (R, gates), from `project`; R is a multiple of the memory's B rows, and row r attends
                to row r * B // R of the memory.
            state: what `initial_state` or the last `step` returned; R rows in "target".
            kept: (R, (num_layers - 1) * D), factors of what goes from each layer to the one above it; None
                without dropout.

        Returns:
            h~, (R, E), and the new state; "attention" in it, (R, S), is that of this step.
        """
        target, cell_states = state["target"], []
        hidden = target["fed"]
        for number, cell in enumerate(self.cells):
            if number == 0:
                gates = projected + self.feed_dense(hidden)
            else:
                if kept is not None:
                    hidden = hidden * kept[:, (number - 1) * self.hidden_dim : number * self.hidden_dim]
                gates = cell.project(hidden)
            hidden, new = cell.step(gates, target["cells"][number])
            cell_states.append(new)
        context, weights = self.attention.attend(hidden, state["source"])
        vector = self.output_dense(ops.concatenate([context, hidden], axis=-1))
        return vector, {**state, "target": {"cells": cell_states, "fed": vector}, "attention": weights}

    def compute_output_shape(self, inputs_shape: Shape, memory_shape: Shape) -> Shape:
        return (*inputs_shape[:-1], self.output_dim)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "attention": keras.saving.serialize_keras_object(self.attention)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**{**config, "attention": keras.saving.deserialize_keras_object(config["attention"])})

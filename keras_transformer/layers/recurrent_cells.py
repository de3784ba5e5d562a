"""Gated recurrent cells whose input is projected for all positions at once, outside of the loop.

Legend: B batch, T positions, D units. Keras's own cells project the input at each step.
"""

from typing import Any, Literal

import keras
from keras import ops

from keras_transformer import arguments
from keras_transformer.layers.projection import rowwise
from keras_transformer.saving.quantization import KeepsQuantization
from keras_transformer.types import Shape, Tensor, Tree


class RecurrentCell(KeepsQuantization, arguments.KnownArguments, keras.layers.Layer):
    """Base of the cells: `project` for any number of positions, `step` for one.

    A cell's states are a list of (B, D), its output first.

    Args:
        units: D, width of the states, >= 1.

    Raises:
        ValueError: `units` is not a positive integer.
    """

    num_gates: int
    num_states: int
    has_recurrent_bias = False

    def __init__(self, units: int, **kwargs: Any):
        super().__init__(**kwargs)
        arguments.check_sizes(units=units)
        self.units = units

    def build(self, input_shape: Shape) -> None:
        width = self.num_gates * self.units
        self.input_dense = keras.layers.Dense(
            width, bias_initializer=self._first_bias, name="input", dtype=self.dtype_policy
        )
        self.input_dense.build((None, input_shape[-1]))
        self.recurrent_dense = keras.layers.Dense(
            width,
            use_bias=self.has_recurrent_bias,
            kernel_initializer="orthogonal",
            name="recurrent",
            dtype=self.dtype_policy,
        )
        self.recurrent_dense.build((None, self.units))

    def _first_bias(self, shape, dtype=None):
        return ops.zeros(shape, dtype)

    def initial_states(self, batch_size: int) -> list[Tensor]:
        """Zeros: a list of (B, D)."""
        return [ops.zeros((batch_size, self.units), self.compute_dtype) for _ in range(self.num_states)]

    def project(self, x: Tensor) -> Tensor:
        """The input's share of the gates.

        Args:
            x: (..., width of the input).

        Returns:
            (..., num_gates * D).
        """
        return rowwise(self.input_dense, x)

    def step(self, projected: Tensor, states: Tree) -> tuple[Tensor, list[Tensor]]:
        """One position.

        Args:
            projected: (B, num_gates * D), from `project`.
            states: list of (B, D), of the position before.

        Returns:
            The output (B, D), and the new states, of which it is the first.
        """
        raise NotImplementedError


@keras.saving.register_keras_serializable(package="keras_transformer")
class GRUCell(RecurrentCell):
    """Gated recurrent unit (Cho et al. 2014, section 2.3), with the state projected once for all gates.

        z = sigmoid(W_z x + U_z h)   r = sigmoid(W_r x + U_r h)
        h~ = tanh(W x + r * (U h))   h' = z * h + (1 - z) * h~

    The paper has U (r * h), which takes a second product in each step; this is the form of Keras
    (`reset_after=True`) and cuDNN. Biases are in both products, as there.
    """

    num_gates, num_states = 3, 1
    has_recurrent_bias = True

    def step(self, projected: Tensor, states: Tree) -> tuple[Tensor, list[Tensor]]:
        (hidden,) = states
        input_z, input_r, input_h = ops.split(projected, 3, axis=-1)
        state_z, state_r, state_h = ops.split(self.recurrent_dense(hidden), 3, axis=-1)
        update = ops.sigmoid(input_z + state_z)
        reset = ops.sigmoid(input_r + state_r)
        candidate = ops.tanh(input_h + reset * state_h)
        hidden = candidate + update * (hidden - candidate)
        return hidden, [hidden]


@keras.saving.register_keras_serializable(package="keras_transformer")
class LSTMCell(RecurrentCell):
    """Long short-term memory (Hochreiter & Schmidhuber 1997; Gers et al. 2000 for the forget gate).

        i, f, o = sigmoid(W x + U h + b)   c~ = tanh(W_c x + U_c h + b_c)
        c' = f * c + i * c~                h' = o * tanh(c')

    The forget gate's bias begins at one (Jozefowicz et al. 2015). States: h, c.
    """

    num_gates, num_states = 4, 2

    def _first_bias(self, shape, dtype=None):
        gate = ops.arange(shape[0]) // self.units
        return ops.cast(gate == 1, dtype)

    def step(self, projected: Tensor, states: Tree) -> tuple[Tensor, list[Tensor]]:
        hidden, memory = states
        gates = projected + self.recurrent_dense(hidden)
        input_gate, forget_gate, candidate, output_gate = ops.split(gates, 4, axis=-1)
        memory = ops.sigmoid(forget_gate) * memory + ops.sigmoid(input_gate) * ops.tanh(candidate)
        hidden = ops.sigmoid(output_gate) * ops.tanh(memory)
        return hidden, [hidden, memory]


CELLS = {"gru": GRUCell, "lstm": LSTMCell}


def make_cell(cell: Literal["gru", "lstm"], units: int, **kwargs: Any) -> RecurrentCell:
    """A cell by its name.

    Raises:
        ValueError: there is no such cell.
    """
    if cell not in CELLS:
        raise ValueError(f"`cell` must be one of {sorted(CELLS)}. Received: cell={cell!r}.")
    return CELLS[cell](units, **kwargs)

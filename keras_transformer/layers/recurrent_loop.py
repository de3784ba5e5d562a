"""The loop over positions that encoder and decoder share."""

from collections.abc import Callable

import keras
from keras import ops

# Keras has no public name for the loop of its own RNN layers. `ops.scan` does not tell TensorFlow how often
# it turns, without which XLA cannot compile its gradient, and stacks every state, not the output alone.
from keras.src.backend import rnn

from keras_transformer.types import Tensor, Tree


def loop(
    step: Callable[[Tensor, Tree], tuple[Tensor, Tree]],
    inputs: Tensor,
    states: Tree,
    mask: Tensor | None = None,
    backward: bool = False,
) -> tuple[Tensor, Tree]:
    """Runs a step over all positions; on TensorFlow and JAX a loop of the graph.

    Args:
        step: ((B, width), states) -> (output (B, D), states).
        inputs: (B, T, width).
        states: a tree of (B, ...), before the first position.
        mask: bool, (B, T); at False the states stay as they are, and the output is zeros. None for all True.
        backward: whether to begin at the last position.

    Returns:
        The outputs (B, T, D), each at its position, and the last states.
    """

    if inputs.shape[1] == 0:
        output, _ = step(ops.zeros((ops.shape(inputs)[0], inputs.shape[2]), inputs.dtype), states)
        return output[:, None][:, :0], states

    def flat_step(x, flat):
        output, new = step(x, keras.tree.pack_sequence_as(states, flat))
        return output, keras.tree.flatten(new)

    _, outputs, last = rnn(
        flat_step,
        inputs,
        keras.tree.flatten(states),
        go_backwards=backward,
        mask=mask,
        zero_output_for_mask=mask is not None,
    )
    outputs = ops.flip(outputs, axis=1) if backward else outputs
    return outputs, keras.tree.pack_sequence_as(states, list(last))

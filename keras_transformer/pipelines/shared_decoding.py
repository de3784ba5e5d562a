"""Decoding as functions that all signatures of a graph call, so that an export holds each of them once."""

from collections.abc import Mapping
from typing import Any

from keras_transformer import decoding
from keras_transformer.decoding.search import FIRST_LENGTH
from keras_transformer.installation import needs
from keras_transformer.types import Tensor, Tree

with needs("text"):
    import tensorflow as tf


class SharedDecoding:
    """What a search asks of a model, as functions of a graph; takes the model's place in `decoding`.

    A step has hundreds of operations. A graph would hold them for each signature, for each of its searches,
    and there for each room of the state; so it holds them for each room. TensorFlow puts what is called in
    the place of the call before it runs.

    Not for XLA, which wants other operations in a step.

    Args:
        model: a `models.AutoregressiveModel`, or a `decoding.Ensemble` of some.
    """

    def __init__(self, model: Any):
        def shared(name):
            method = getattr(model, name, None)
            return None if method is None else tf.function(method, autograph=False)

        self.max_length = getattr(model, "max_length", None)
        self.attention = model.attention
        self.grow = model.grow
        self.decode_step = shared("decode_step")
        self.read = shared("read")
        self._initial_state = shared("initial_state")
        self._searches: dict[decoding.Search, Any] = {}

    def initial_state(self, inputs: Mapping[str, Tensor], max_length: int) -> Tree:
        """See `models.AutoregressiveModel`; one function, whatever room there is to be."""
        state = self._initial_state(dict(inputs), min(max_length, FIRST_LENGTH))
        return state | {"target": self.grow(state["target"], max_length)}

    def n_best(
        self, inputs: Mapping[str, Tensor], search: decoding.Search, seed: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """See `decoding.generate_n_best`; equal searches are one function."""
        if search not in self._searches:

            def run(inputs, seed):
                return decoding.generate_n_best(self, inputs, search, seed=seed)

            self._searches[search] = tf.function(run, autograph=False)
        return self._searches[search](dict(inputs), seed)

"""Base classes of the models: the contract by which one search and one export serve them all."""

from collections.abc import Callable, Mapping
from typing import Any

import keras

from keras_transformer.arguments import KnownArguments
from keras_transformer.models.freezing import Freezable
from keras_transformer.models.trainer import TokenMeanTrainer
from keras_transformer.types import StrPath, Tensor, Tree


class ZooModel(KnownArguments, Freezable, TokenMeanTrainer, keras.Model):
    """Base of all models of the zoo, which give `input_specs`."""

    def input_specs(self) -> Tree:
        """What `call` takes, as `keras.layers.InputSpec` in its structure: batch and lengths are free."""
        raise NotImplementedError

    def attention_weights(self, inputs: Tree) -> dict[str, Tensor]:
        """All attention weights of one pass without dropout.

        Args:
            inputs: as in a call.

        Returns:
            What the model has of: "encoder" (B, N, H, S, S), the source's attention to itself, "decoder"
            (B, N, H, T, T), the target's to itself, "cross" (B, N, H, T, S), the target's to the source, and
            "pooling" (B, N, H, 1, S), the result's to the source; layers, heads, queries, keys.

        Raises:
            ValueError: the model has no attention between positions.
        """
        if not self.built:  # it was never called
            self.build()
        return self._attention_weights(inputs)

    def _attention_weights(self, inputs):
        """What `attention_weights` returns, of a model that is built."""
        raise ValueError(
            "`attention_weights` is for models whose positions attend to others. "
            f"Received: a model of the class {type(self).__name__}."
        )

    def export(
        self,
        filepath: StrPath,
        format: str = "tf_saved_model",
        verbose: bool | None = None,
        input_signature: Any = None,
        **kwargs: Any,
    ) -> None:
        """As `keras.Model.export`, of a model that was never called too.

        Keras takes the lengths of the first call, and floats for ids. Here the signature is `input_specs`
        if None is given: any batch, any lengths, int32 ids.
        """
        if not self.built:
            self.build()
        signature = [self.input_specs()] if input_signature is None else input_signature
        super().export(filepath, format=format, verbose=verbose, input_signature=signature, **kwargs)


def id_specs(*names: str) -> dict[str, keras.layers.InputSpec]:
    """Ids (B, T) by name, for `ZooModel.input_specs`; every T may be another."""
    return {name: keras.layers.InputSpec(shape=(None, None), dtype="int32", name=name) for name in names}


def image_spec(channels: int) -> keras.layers.InputSpec:
    """Images (B, H, W, C), floats from 0 to 1, for `ZooModel.input_specs`."""
    return keras.layers.InputSpec(shape=(None, None, None, channels), dtype="float32", name="image")


class AutoregressiveModel(ZooModel):
    """A model that predicts the next token of a target from the target so far and, if it has one, a source.

    Subclasses give `call`, `initial_state` and `decode_step`, `grow` if their state has a length, and `read`
    if they can read several tokens at once; `keras_transformer.decoding` needs all but the first. Decoding
    step by step gives the same logits as one full `call`.

    A state is {"source": tree, "target": tree}; every leaf has rows first and otherwise static or source
    lengths. Leaves of "source" depend on the source alone and have its B rows; no step changes them.
    Leaves of "target" depend on what has been decoded and have R rows: a search that follows W hypotheses
    for each source repeats them to R = B * W, and row r belongs to source r // W. Other entries (the last
    step's attention, say; zeros before the first) are not handed on to the next step.
    """

    def initial_state(self, inputs: Mapping[str, Tensor], max_length: int) -> Tree:
        """Computes what stays the same at every step, and makes room for what is decoded.

        Args:
            inputs: the inputs of `call` without the target, say {"source_ids": (B, S)}.
            max_length: L, number of steps that there is room for; static.

        Returns:
            The state before the first step; B rows in all leaves.
        """
        raise NotImplementedError

    def grow(self, target_state: Tree, max_length: int) -> Tree:
        """Makes room for more steps.

        Args:
            target_state: `state["target"]`.
            max_length: L, number of steps that there must be room for; static.

        Returns:
            `state["target"]` with that room. The same for a state without a length, a recurrent one.
        """
        return target_state

    def _check_length(self, max_length):
        """Raises where a model with `max_length` learned positions is to decode more."""
        if self.max_length is not None and max_length > self.max_length:
            raise ValueError(
                f"Only {self.max_length} positions were learned (`max_length` of the model). "
                f"Received: max_length={max_length}."
            )

    def decode_step(self, token_ids: Tensor, state: Tree, index: int | Tensor) -> tuple[Tensor, Tree]:
        """Predicts the token after `token_ids`.

        Args:
            token_ids: int32, (R,), the tokens at position `index`; the start token at position 0.
            state: what `initial_state` or the last `decode_step` returned.
            index: the position, an integer scalar, 0 <= index < L.

        Returns:
            Logits, float32, (R, V), and the new state.
        """
        raise NotImplementedError

    # A model that can read several tokens at once has a method here: `read(token_ids, state, index)`, with
    # tokens (R, T) at the positions from `index` on -> logits (R, T, V) and the new state: equal to T calls
    # of `decode_step`. A search then reads what all rows begin with in one pass.
    read: Callable[..., tuple[Tensor, Tree]] | None = None

    def attention(self, state: Tree) -> Tensor:
        """The attention to the source that the last `decode_step` computed.

        Args:
            state: what `decode_step` returned.

        Returns:
            (R, N, H, S): layers, heads, source positions.
        """
        raise NotImplementedError


def check_inputs(inputs: Any, *names: str) -> None:
    """Raises unless inputs are a dictionary that holds these, all with the same number of rows."""
    if not isinstance(inputs, dict) or any(name not in inputs for name in names):
        came = sorted(inputs) if isinstance(inputs, dict) else type(inputs).__name__
        raise ValueError(f"`inputs` must be a dictionary with {', '.join(names)}. Received: {came}.")
    rows = {name: inputs[name].shape[0] for name in names}
    if len({count for count in rows.values() if isinstance(count, int)}) > 1:
        raise ValueError(f"`inputs` must have one number of rows. Received: {rows}.")
    ranks = {name: len(inputs[name].shape) for name in names if name.endswith("_ids")}
    if any(rank != 2 for rank in ranks.values()):
        raise ValueError(f"Ids must have the shape (batch, length). Received: ranks {ranks}.")

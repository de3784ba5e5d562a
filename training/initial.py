"""A training that begins with the weights of another run."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from keras import ops

from keras_transformer.pipelines.text_graphs import vocabulary
from keras_transformer.saving.checkpoints import checkpoint_path
from keras_transformer.saving.layer_paths import weight_paths
from keras_transformer.saving.model_files import load_model
from training import run_folder, tasks
from training.run_config import RunConfig


def keeps_tokenizers(config: RunConfig) -> bool:
    """Whether the tokenizers are another run's."""
    return config.initial.run is not None and config.initial.tokenizer == "keep"


def resolve(config: RunConfig, output: Path) -> RunConfig:
    """The configuration with that of the tokenizers that are kept.

    Args:
        config: as it was given.
        output: the run folder; if it exists, the other run is not needed any more.

    Raises:
        ValueError: a checkpoint of no run, no such run or checkpoint, or other tokenizers than those kept.
    """
    if config.initial.run is None and config.initial.checkpoint is not None:
        raise ValueError(
            "`initial.checkpoint` needs initial.run. "
            f"Received: initial.checkpoint={config.initial.checkpoint!r} without it."
        )
    if config.initial.run is not None and not output.exists():
        other = run_folder.load_config(config.initial.run)
        if tasks.of(other.model.kind) is not tasks.of(config.model.kind):
            raise ValueError(
                f"`initial.run` must be a run for the same task as that of the kind {config.model.kind}. "
                f"Received: {config.initial.run}, of the kind {other.model.kind}."
            )
        checkpoint_path(config.initial.run, config.initial.checkpoint)  # told before work is done
    if not keeps_tokenizers(config) or not hasattr(config, "tokenizer"):
        return config
    kept = run_folder.load_config(output if output.exists() else config.initial.run).tokenizer
    if config.tokenizer not in (type(config)().tokenizer, kept):
        raise ValueError(
            f"`initial.tokenizer` keep takes the tokenizers of {config.initial.run}, {kept}; "
            f"new trains others. Received: {config.tokenizer}."
        )
    return replace(config, tokenizer=kept)


def take_weights(model, task) -> None:
    """Gives a model the weights of another run's, and says what was taken.

    Args:
        model: a built model, as drawn.
        task: the run's `Task`, with tokenizers; `config.initial.run` is not None.

    Raises:
        ValueError: there is no such model, or its layers or their sizes are others. With new tokenizers the
            sizes of the vocabularies may differ.
    """
    config = task.config.initial
    path = checkpoint_path(config.run, config.checkpoint)
    other = load_model(path)
    own, theirs = weight_paths(model), weight_paths(other)
    for name in sorted(own.keys() ^ theirs.keys()):
        raise ValueError(
            f"The model must have the layers of {path}. Received: {name}, which only "
            f"{'this model' if name in own else 'that one'} has."
        )
    rows = {}
    if config.tokenizer == "new":
        others = tasks.make(run_folder.load_config(config.run))
        others.load_tokenizers(Path(config.run))
        for layer, side in task.vocabularies.items():
            tokenizer = task.tokenizers[side]
            rows[layer] = common_pieces(tokenizer, others.tokenizers[side])
            print(
                f"{side} vocabulary: {len(rows[layer][0]):,} of {tokenizer.vocabulary_size:,} pieces are in "
                f"that of {config.run}"
            )
    for name, variable in own.items():
        by_piece = rows.get(name.split("/")[0])
        shapes = [tuple(weight.shape) for weight in (variable, theirs[name])]
        # Of what belongs to a vocabulary this axis may differ.
        axis = 1 if name.endswith("reverse_embeddings") else 0
        if len({(*shape[:axis], *shape[axis + 1 :]) if by_piece else shape for shape in shapes}) > 1:
            raise ValueError(
                f"The model must have the sizes of {path}. Received: {name}, {shapes[0]} in this model and "
                f"{shapes[1]} in that one."
            )
        value = ops.convert_to_numpy(theirs[name])
        if by_piece:
            mine, others = by_piece
            drawn = np.array(ops.convert_to_numpy(variable))
            drawn.swapaxes(0, axis)[mine] = value.swapaxes(0, axis)[others]
            value = drawn
        variable.assign(value)
    print(f"initial weights: {path}")


def common_pieces(tokenizer, other) -> tuple[list[int], list[int]]:
    """The ids of the pieces that are in both vocabularies: in the first, and in the other."""
    places = {piece: index for index, piece in enumerate(vocabulary(other))}
    both = [(index, places[piece]) for index, piece in enumerate(vocabulary(tokenizer)) if piece in places]
    return [index for index, _ in both], [index for _, index in both]

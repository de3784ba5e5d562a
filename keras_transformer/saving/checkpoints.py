"""The checkpoints of a training on disk: which there are, which are best, and their mean."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_transformer.saving.model_files import check_finite, load_model
from keras_transformer.saving.run_files import read_json
from keras_transformer.types import StrPath

INDEX_FILE = "index.json"


def read_index(folder: StrPath) -> dict[str, Any]:
    """What `callbacks.KeepCheckpoints` wrote beside its checkpoints.

    Args:
        folder: that of the checkpoints.

    Returns:
        {"monitor": str, "mode": "max" or "min", "checkpoints": entries, oldest first}; an entry is
        {"file": str, "score": float or None}. Without an index there are no entries.

    Raises:
        ValueError: index.json is damaged.
    """
    path = Path(folder) / INDEX_FILE
    if not path.exists():
        return {"monitor": None, "mode": "max", "checkpoints": []}
    try:
        index = read_json(path)
        for entry in index["checkpoints"]:
            # A name, and no way out of the folder.
            if entry["file"] != Path(entry["file"]).name:
                raise ValueError(f"the file {entry['file']!r}")
        ranked(index["checkpoints"], index["mode"])
        index["monitor"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} must be what KeepCheckpoints wrote. Received: {error!r}.") from error
    return index


def ranked(entries: Sequence[dict[str, Any]], mode: str) -> list[dict[str, Any]]:
    """The entries that have a score, best first; of equals the newest first."""
    scored = [entry for entry in reversed(entries) if entry["score"] is not None]
    return sorted(scored, key=lambda entry: entry["score"], reverse=mode == "max")


def choose(folder: StrPath, select: str, num: int | None = None) -> list[Path]:
    """The newest or the best checkpoints.

    Args:
        folder: that of the checkpoints.
        select: "last" or "best".
        num: no more than so many; all if None. One without a score is never among the best.

    Returns:
        List of paths, oldest first.
    """
    index = read_index(folder)
    entries = index["checkpoints"][::-1] if select == "last" else ranked(index["checkpoints"], index["mode"])
    return sorted(Path(folder) / entry["file"] for entry in entries[:num])


def checkpoint_path(run_folder: StrPath, checkpoint: str | None = None) -> Path:
    """The file of a run that holds the model.

    Args:
        run_folder: what `training.train` made.
        checkpoint: "best", "last", or the name of a file in checkpoints/; model.keras if None.

    Raises:
        ValueError: there is no such file.
    """
    run_folder = Path(run_folder)
    folder = run_folder / "checkpoints"
    if checkpoint is None:
        path = run_folder / "model.keras"
        if not path.is_file():
            raise ValueError(
                "A run folder holds model.keras once its training has ended. "
                f"Received: {run_folder}, without model.keras."
            )
        return path
    if checkpoint in ("best", "last"):
        paths = choose(folder, checkpoint, 1)
        if not paths:
            raise ValueError(
                f"There must be a {checkpoint} checkpoint. Received: {folder}, which has none"
                f"{' with a score' if checkpoint == 'best' else ''}."
            )
        return paths[0]
    names = sorted(path.name for path in folder.glob("[!.]*.keras"))
    if checkpoint not in names:
        raise ValueError(
            f"`checkpoint` must be best, last or a file in {folder}: {', '.join(names) or 'there is none'}. "
            f"Received: checkpoint={checkpoint!r}."
        )
    return folder / checkpoint


def average(paths: Iterable[StrPath]) -> keras.Model:
    """A model whose weights are the arithmetic mean of those of several checkpoints.

    Vaswani et al. 2017, section 6.1, averages the last 5 checkpoints of its base model and the last 20 of
    the big one. The sums are float64; they and one model at a time are in memory.

    Args:
        paths: `.keras` files of the same model, oldest first. What is no float, like the state of a random
            stream, comes from the last.

    Returns:
        The model, not compiled: a mean has no optimizer.

    Raises:
        ValueError: there is no path, the models' variables differ in number or shape, or one
            is not finite.
    """
    paths = list(paths)
    if not paths:
        raise ValueError("There must be at least one checkpoint to average. Received: none.")
    model, sums, shapes = None, [], []
    for path in paths:
        model = None  # the one before is freed first
        model = load_model(path, ours=False)
        check_finite(model, path)  # one that is not would spoil the mean
        received = [(variable.path, tuple(variable.shape)) for variable in model.variables]
        shapes = shapes or received
        if len(received) != len(shapes):
            raise ValueError(
                "Checkpoints to average must have the same variables. "
                f"Received: {len(shapes)} in {paths[0]}, {len(received)} in {path}."
            )
        for (name, expected), (_, shape) in zip(shapes, received, strict=True):
            if shape != expected:
                raise ValueError(
                    f"Checkpoints to average must have variables of the same shapes. Received: {name}, "
                    f"{expected} in {paths[0]}, {shape} in {path}."
                )
        for index, variable in enumerate(floats(model)):
            value = ops.convert_to_numpy(variable)
            if index == len(sums):
                sums.append(value.astype(np.float64))
            else:
                sums[index] += value
    for variable, total in zip(floats(model), sums, strict=True):
        variable.assign(total / len(paths))
    return model


def floats(model: keras.Model) -> list[keras.Variable]:
    """The variables of a model that have a mean."""
    return [variable for variable in model.variables if keras.backend.is_float_dtype(variable.dtype)]

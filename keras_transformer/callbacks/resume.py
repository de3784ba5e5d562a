"""The whole state of a training on disk, so that it goes on exactly where it was."""

import json
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_transformer.saving import model_files
from keras_transformer.saving.run_files import flush_to_disk, read_json
from keras_transformer.types import StrPath

PATTERN = "epoch-*"
TEMPORARY_NAME = ".incomplete"
END_NAME = ".end"
MODEL_FILE = "model.keras"
STREAMS_FILE = "random_streams.json"


class Resume(keras.callbacks.Callback):
    """Saves weights, optimizer and random streams at the end of each epoch, as the next one begins.

    A checkpoint is written beside, flushed to disk and renamed into place; then the one before is removed.
    Whatever happens meanwhile, the newest file is whole. What goes on from it takes the same steps as if
    nothing had happened, if the data does: batch number `epoch * steps_per_epoch` must come next.

        model, epoch = restore(folder) or (model, 0)
        model.fit(batches_from(epoch * n), steps_per_epoch=n, initial_epoch=epoch, callbacks=[Resume(folder)])

    Keras's own BackupAndRestore begins the data anew, writes in place, and like all of Keras's saving leaves
    out the state of the random streams, so that dropout would draw other numbers. For checkpoints within a
    pass over the data, choose a smaller `steps_per_epoch`. Put this after `keras.callbacks.SwapEMAWeights`,
    so that the weights in training are saved.

    Args:
        folder: where the checkpoints are, epoch-00001, ..., each with model.keras and random_streams.json;
            made if missing.
    """

    def __init__(self, folder: StrPath):
        super().__init__()
        self.folder = Path(folder)
        self.is_first = True

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.is_first = True

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if not self.is_first:
            self._save(epoch)
        self.is_first = False

    def _save(self, epoch):
        _write(self.model, self.folder / TEMPORARY_NAME)
        _put_in_place(self.folder / TEMPORARY_NAME, epoch)


class ResumeEnd(keras.callbacks.Callback):
    """Saves at the end of the last epoch what a longer training goes on from; `finish` puts it in place.

    Put this before `keras.callbacks.SwapEMAWeights`, which drops the weights in training at the very end. A
    training that was ended before its last epoch leaves nothing.

    Args:
        folder: that of the `Resume`.
    """

    def __init__(self, folder: StrPath):
        super().__init__()
        self.folder = Path(folder)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if epoch + 1 == self.params["epochs"]:
            _write(self.model, self.folder / END_NAME)


def finish(folder: StrPath, epochs: int) -> None:
    """After all else is done: what `ResumeEnd` saved takes the place of the checkpoint before, if it did.

    Args:
        folder: that of the `Resume`.
        epochs: that are complete.
    """
    folder = Path(folder)
    if (folder / END_NAME).exists():
        _put_in_place(folder / END_NAME, epochs)
    else:
        shutil.rmtree(folder, ignore_errors=True)


def num_epochs(folder: StrPath) -> int | None:
    """The epochs that are complete in the newest checkpoint of `Resume`; None if there is no checkpoint."""
    return max(_checkpoints(folder), default=None)


def restore(folder: StrPath) -> tuple[keras.Model, int] | None:
    """What the newest checkpoint of `Resume` holds.

    Args:
        folder: that of the `Resume`.

    Returns:
        The compiled model, and the number of epochs that are complete; None if there is no checkpoint.

    Raises:
        ValueError, OSError: a file of the checkpoint is damaged or missing.
    """
    epochs = num_epochs(folder)
    if epochs is None:
        return None
    newest = _checkpoints(folder)[epochs]
    model = model_files.load_model(newest / MODEL_FILE, compile=True, ours=False)
    if getattr(model, "optimizer", None) is None:  # Keras sets it in `compile`
        raise ValueError(f"{newest / MODEL_FILE} must hold an optimizer, too. Received: a model without.")
    states = read_json(newest / STREAMS_FILE, list)
    variables = _random_streams(model)
    try:
        arrays = [np.array(state, variable.dtype) for variable, state in zip(variables, states, strict=True)]
        is_good = all(a.shape == tuple(v.shape) for a, v in zip(arrays, variables, strict=True))
    except (ValueError, TypeError, OverflowError):
        is_good = False
    if not is_good:
        raise ValueError(
            f"{newest / STREAMS_FILE} must hold the states of the model's {len(variables)} random streams. "
            f"Received: {str(states)[:99]}."
        )
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
    return model, epochs


def _checkpoints(folder):
    """{number of epochs: folder}."""
    paths = Path(folder).glob(PATTERN)
    numbers = ((path.name.removeprefix("epoch-"), path) for path in paths)
    return {int(number): path for number, path in numbers if number.isdecimal()}


def _write(model, folder):
    """Makes a folder with the whole state, and flushes it to disk."""
    shutil.rmtree(folder, ignore_errors=True)  # of a training that was killed here
    folder.mkdir(parents=True)
    try:
        model_files.save_model(model, folder / MODEL_FILE)
        streams = [keras.ops.convert_to_numpy(stream).tolist() for stream in _random_streams(model)]
        (folder / STREAMS_FILE).write_text(json.dumps(streams), encoding="utf-8")
        for path in (folder / MODEL_FILE, folder / STREAMS_FILE, folder):
            flush_to_disk(path)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _put_in_place(written, epochs):
    """Renames what `_write` made; then the checkpoints before are removed."""
    place = written.with_name(f"epoch-{epochs:05d}")
    older = [path for path in _checkpoints(written.parent).values() if path != place]
    written.rename(place)
    flush_to_disk(written.parent)
    for path in older:
        shutil.rmtree(path)


def _random_streams(model):
    """The states of the model's seed generators, in the order of its layers."""
    return [variable for variable in model.variables if variable.name == "seed_generator_state"]

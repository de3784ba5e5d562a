"""The whole state of a training on disk, so that it goes on exactly where it was."""

import json
import os
import shutil
from pathlib import Path

import keras

from keras_transformer.model_files import load_model

PATTERN = "epoch-*"
TEMPORARY_NAME = ".incomplete"
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

    def __init__(self, folder):
        super().__init__()
        self.folder = Path(folder)
        self.is_first = True

    def on_train_begin(self, logs=None):
        self.is_first = True

    def on_epoch_begin(self, epoch, logs=None):
        if not self.is_first:
            self._save(epoch)
        self.is_first = False

    def _save(self, epoch):
        beside = self.folder / TEMPORARY_NAME
        shutil.rmtree(beside, ignore_errors=True)  # of a training that was killed here
        beside.mkdir(parents=True)
        try:
            self.model.save(beside / MODEL_FILE)
            streams = [keras.ops.convert_to_numpy(stream).tolist() for stream in _random_streams(self.model)]
            (beside / STREAMS_FILE).write_text(json.dumps(streams), encoding="utf-8")
            for path in (beside / MODEL_FILE, beside / STREAMS_FILE, beside):
                _flush_to_disk(path)
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise
        older = list(self.folder.glob(PATTERN))
        beside.rename(self.folder / f"epoch-{epoch:05d}")
        _flush_to_disk(self.folder)
        for path in older:
            shutil.rmtree(path)


def restore(folder):
    """What the newest checkpoint of `Resume` holds.

    Args:
        folder: that of the `Resume`.

    Returns:
        The compiled model, and the number of epochs that are complete; None if there is no checkpoint.
    """
    newest = max(Path(folder).glob(PATTERN), default=None)
    if newest is None:
        return None
    model = load_model(newest / MODEL_FILE, compile=True, ours=False)
    streams = json.loads((newest / STREAMS_FILE).read_text(encoding="utf-8"))
    for variable, state in zip(_random_streams(model), streams, strict=True):
        variable.assign(state)
    return model, int(newest.name.removeprefix("epoch-"))


def _random_streams(model):
    """The states of the model's seed generators, in the order of its layers."""
    return [variable for variable in model.variables if variable.name == "seed_generator_state"]


def _flush_to_disk(path):
    """After a power cut what was renamed must not be empty."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""The whole state of a training on disk, so that it goes on exactly where it was."""

import os
from pathlib import Path

import keras

PATTERN = "epoch-*.keras"
TEMPORARY_NAME = ".incomplete.keras"


class Resume(keras.callbacks.Callback):
    """Saves weights, optimizer and random streams at the end of each epoch, as the next one begins.

    A checkpoint is written beside, flushed to disk and renamed into place; then the one before is removed.
    Whatever happens meanwhile, the newest file is whole. What goes on from it takes the same steps as if
    nothing had happened, if the data does: batch number `epoch * steps_per_epoch` must come next.

        model, epoch = restore(folder) or (model, 0)
        model.fit(batches_from(epoch * n), steps_per_epoch=n, initial_epoch=epoch, callbacks=[Resume(folder)])

    Keras's own BackupAndRestore begins the data anew, and writes in place. For checkpoints within a pass over
    the data, choose a smaller `steps_per_epoch`. Put this after `keras.callbacks.SwapEMAWeights`, so that the
    weights in training are saved.

    Args:
        folder: where the checkpoints are, epoch-00001.keras, ...; made if missing.
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
        self.folder.mkdir(parents=True, exist_ok=True)
        beside = self.folder / TEMPORARY_NAME
        try:
            self.model.save(beside)
            flush_to_disk(beside)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        older = list(self.folder.glob(PATTERN))
        beside.rename(self.folder / f"epoch-{epoch:05d}.keras")
        flush_to_disk(self.folder)
        for path in older:
            path.unlink()


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
    return keras.models.load_model(newest), int(newest.stem.removeprefix("epoch-"))


def flush_to_disk(path):
    """After a power cut what was renamed must not be empty."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

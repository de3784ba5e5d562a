"""The whole state of a training on disk, so that it goes on exactly where it was."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import keras

MODEL_FILE = "model.keras"
STATE_FILE = "state.json"
PATTERN = "epoch-*-step-*"
TEMPORARY_PREFIX = ".incomplete-"


@dataclass
class Position:
    """Where a training is in its data.

    Attributes:
        epoch: epochs that are complete.
        step: batches of the present epoch that have been trained on.
    """

    epoch: int = 0
    step: int = 0


class Resume(keras.callbacks.Callback):
    """Saves weights, optimizer, random streams, metrics and the position in the data.

    At the beginning of each epoch, and after every `frequency`-th step. A checkpoint is written beside,
    flushed to disk and renamed into place; then the one before is removed. Whatever happens meanwhile, the
    newest folder is whole. What goes on from it takes the same steps as if nothing had happened, if the data
    does as `position` says, which is kept up to date from the first epoch on:

        position = Position()
        model, position = restore(folder) or (model, position)
        model.fit(batches(position), initial_epoch=position.epoch, callbacks=[Resume(folder, position)])

    Put it after `keras.callbacks.SwapEMAWeights`, so that the weights in training are saved.

    Args:
        folder: where checkpoints are; made if missing. Each is a folder, named by epoch and step, with
            model.keras and state.json.
        position: a `Position`: at `fit`'s first epoch, where the data begins.
        frequency: steps of an epoch from one checkpoint to the next; None for the beginning of each epoch
            only.
        steps_per_epoch: batches of an epoch; needed with `frequency`.

    Raises:
        ValueError: `frequency` is not positive, or is given without `steps_per_epoch`.
    """

    def __init__(self, folder, position, frequency=None, steps_per_epoch=None):
        super().__init__()
        if frequency is not None and frequency < 1:
            raise ValueError(f"`frequency` must be a positive integer. Received: frequency={frequency}.")
        if frequency is not None and steps_per_epoch is None:
            raise ValueError("`frequency` needs `steps_per_epoch`. Received: steps_per_epoch=None.")
        self.folder = Path(folder)
        self.position = position
        self.frequency = frequency
        self.steps_per_epoch = steps_per_epoch
        self.start = None

    def on_train_begin(self, logs=None):
        self.start = Position(self.position.epoch, self.position.step)

    def on_epoch_begin(self, epoch, logs=None):
        is_first = epoch == self.start.epoch
        self.position.epoch, self.position.step = epoch, self.start.step if is_first else 0
        newest = newest_checkpoint(self.folder)
        if is_first and newest is not None:
            _set_metrics(self.model, json.loads((newest / STATE_FILE).read_text(encoding="utf-8"))["metrics"])
        else:
            self._save()

    def on_train_batch_end(self, batch, logs=None):
        self.position.step += 1
        # Not after the last: what follows in the epoch would be lost; the next one saves as it begins.
        if self.frequency and self.position.step < self.steps_per_epoch:
            if self.position.step % self.frequency == 0:
                self._save()

    def _save(self):
        name = f"epoch-{self.position.epoch:05d}-step-{self.position.step:08d}"
        self.folder.mkdir(parents=True, exist_ok=True)
        beside = self.folder / f"{TEMPORARY_PREFIX}{name}"
        shutil.rmtree(beside, ignore_errors=True)  # of a training that was killed here
        beside.mkdir()
        try:
            self.model.save(beside / MODEL_FILE)
            state = {
                "epoch": self.position.epoch,
                "step": self.position.step,
                "metrics": _get_metrics(self.model),
            }
            (beside / STATE_FILE).write_text(json.dumps(state), encoding="utf-8")
            flush_to_disk(beside)
            older = list(self.folder.glob(PATTERN))
            beside.rename(self.folder / name)
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise
        for path in older:
            shutil.rmtree(path)


def restore(folder):
    """What the newest checkpoint of `Resume` holds.

    Args:
        folder: that of the `Resume`.

    Returns:
        The compiled model and a `Position`; None if there is no checkpoint.
    """
    newest = newest_checkpoint(folder)
    if newest is None:
        return None
    state = json.loads((newest / STATE_FILE).read_text(encoding="utf-8"))
    return keras.models.load_model(newest / MODEL_FILE), Position(state["epoch"], state["step"])


def newest_checkpoint(folder) -> Path | None:
    """The newest whole checkpoint of a folder; None if there is none."""
    return max(Path(folder).glob(PATTERN), default=None)


def flush_to_disk(folder):
    """After a power cut a renamed folder must not hold empty files."""
    for path in [*Path(folder).rglob("*"), Path(folder)]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _get_metrics(model):
    """{name: values of the metric's variables}; a float32 survives JSON as it is."""
    return {
        metric.name: [keras.ops.convert_to_numpy(variable).tolist() for variable in metric.variables]
        for metric in _leaf_metrics(model)
    }


def _set_metrics(model, values):
    for metric in _leaf_metrics(model):
        for variable, value in zip(metric.variables, values.get(metric.name, ()), strict=False):
            variable.assign(value)


def _leaf_metrics(model):
    return [metric for metric in model.metrics if metric.variables]

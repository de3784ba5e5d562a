"""The end of a training that learns nothing more, also after an interruption."""

from pathlib import Path
from typing import Any, Literal

import keras

from keras_transformer.callbacks.metrics_file import read_metrics
from keras_transformer.types import StrPath


class EarlyStopping(keras.callbacks.EarlyStopping):
    """Keras's EarlyStopping for a training that may be interrupted, and for averaged weights.

    Keras's own forgets at an interruption what was best and how long ago. This one reads both again from
    the file of a `MetricsFile`, so that a training that goes on stops after the same epoch. Keras's
    SwapEMAWeights expects the end after the last of all epochs: where a training stops before, the weights
    that are not averaged would come back into the model. Put this last.

    Args:
        metrics_file: path of the `MetricsFile`.
        monitor: an entry of the logs. An epoch without it does not count.
        mode: "max" or "min": which values of it are good.
        patience: the training ends after so many epochs that were not better than the best before, >= 1.
        averages: the training's `keras.callbacks.SwapEMAWeights(swap_on_epoch=True)`, if it has one.

    Raises:
        ValueError: `patience` or `mode` is out of range.
    """

    def __init__(
        self,
        metrics_file: StrPath,
        monitor: str,
        mode: Literal["max", "min"],
        patience: int,
        averages: keras.callbacks.Callback | None = None,
    ):
        if patience < 1:
            raise ValueError(f"`patience` must be a positive integer. Received: patience={patience}.")
        if mode not in ("max", "min"):
            raise ValueError(f'`mode` must be "max" or "min". Received: mode={mode!r}.')
        super().__init__(monitor, patience=patience, mode=mode, verbose=1)
        self.metrics_file = Path(metrics_file)
        self.averages = averages
        self.is_first = True

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        super().on_train_begin(logs)
        self.is_first = True

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.is_first:
            for record in read_metrics(self.metrics_file, epoch):
                if self.monitor in record:
                    super().on_epoch_end(record["epoch"] - 1, record)
        self.is_first = False

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.monitor not in (logs or {}):
            return
        super().on_epoch_end(epoch, logs)
        if self.model.stop_training and self.averages is not None:
            # What it does after the last of all epochs: `fit` is about to put the averages into the model.
            self.averages._finalize_ema_values()

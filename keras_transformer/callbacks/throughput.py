"""Tokens per second and gradient norm, in the logs of `fit`."""

import time
from typing import Any

import keras


class Throughput(keras.callbacks.Callback):
    """Adds `tokens`, `tokens_per_second` and `gradient_norm` to the logs of each epoch.

    `tokens` counts the real target tokens of the epoch, `tokens_per_second` over the time of the training
    steps, without validation and what other callbacks do at the end; the first epoch includes tracing and
    compiling. `gradient_norm` is the
    mean over the epoch's steps of the norm of all gradients together, before clipping. Put this before the
    callbacks that write logs.

    The model must be a `keras_transformer.models.trainer.TokenMeanTrainer`, as all models of the zoo are.
    """

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.model.step_statistics.reset()
        self.start = time.perf_counter()
        self.measures: dict[str, float] = {}

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._measure()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._measure()
        if logs is not None:
            logs.update(self.measures)

    def _measure(self):
        if not self.measures:
            statistics = self.model.step_statistics
            # Reading them waits for the last step.
            tokens, norm = float(statistics.weight.result()), float(statistics.gradient_norm.result())
            seconds = time.perf_counter() - self.start
            self.measures = {"tokens": tokens, "tokens_per_second": tokens / seconds, "gradient_norm": norm}

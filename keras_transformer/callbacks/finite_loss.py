"""The end of a training whose loss is no number any more."""

import math
from typing import Any

import keras
import numpy as np

# Some 30 steps in a row had gradients that are not finite; fairseq ends here too.
SMALLEST_SCALE = 1e-4


class NotFinite(ValueError):
    """The loss or the weights of a training are not finite."""


class FiniteLoss(keras.callbacks.Callback):
    """Raises `NotFinite` at the first step whose loss is not finite, or at the end of an epoch for weights.

    Keras's TerminateOnNaN ends such a training as if it had gone well. This one raises, before any callback
    that comes after it in the list can save the model: put it first, so that all that was saved stays good.

    A `LossScaleOptimizer` (float16) skips a step whose gradients are not finite and halves its scale. That is
    no failure, and such a step's loss may be none; it ends when the scale has fallen below 1e-4.

    Raises:
        NotFinite: from `fit`.
    """

    # It reads nothing but the logs that it is given; the training need not wait for it.
    async_safe = True

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        scale = getattr(self.model.optimizer, "dynamic_scale", None)
        if scale is not None:
            if float(keras.ops.convert_to_numpy(scale)) < SMALLEST_SCALE:
                self._end(f"gradients too large for float16 at any scale in step {batch + 1}")
            return
        loss = float((logs or {}).get("loss", 0.0))  # the epoch's mean up to here: it stays what it became
        if not math.isfinite(loss):
            self._end(f"{loss} in step {batch + 1}")

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        for weight in self.model.weights:
            value = keras.ops.convert_to_numpy(weight)
            if keras.backend.is_float_dtype(weight.dtype) and not np.isfinite(value).all():
                self._end(f"weights that are not finite, {weight.path}, at the end")

    def _end(self, what):
        if hasattr(self.model, "jax_state_sync"):
            self.model.jax_state_sync()
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        raise NotFinite(
            f"The loss of a training must stay finite. Received: {what} of epoch {self.epoch + 1}, at a "
            f"learning rate of {rate:.3g}. A lower one, a longer warm-up or clipped gradients may help."
        )

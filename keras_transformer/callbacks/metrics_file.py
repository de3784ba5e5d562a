"""One line of metrics after each epoch."""

import json
import time

import keras


class MetricsFile(keras.callbacks.Callback):
    """Appends one JSON object to a file after each epoch: epoch, seconds, learning rate and all logs.

    Args:
        path: the file; made if missing.
    """

    def __init__(self, path):
        super().__init__()
        self.path = path

    def on_train_begin(self, logs=None):
        self.start = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        record = {
            "epoch": epoch + 1,
            "steps": int(self.model.optimizer.iterations.numpy()),
            "seconds": round(time.monotonic() - self.start, 1),
            "learning_rate": float(self.model.optimizer.learning_rate),
            **{name: float(value) for name, value in (logs or {}).items()},
        }
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

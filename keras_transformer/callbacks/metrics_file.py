"""One line of metrics after each epoch."""

import json
import time
from pathlib import Path
from typing import Any

import keras

from keras_transformer.types import StrPath


class MetricsFile(keras.callbacks.Callback):
    """Appends one JSON object to a file after each epoch: epoch, seconds, learning rate and all logs.

    If `fit` begins at a later epoch, the lines of that epoch and after, of a training that was interrupted,
    are dropped, and the seconds are counted on.

    Args:
        path: the file; made if missing.
    """

    def __init__(self, path: StrPath):
        super().__init__()
        self.path = Path(path)
        self.start: Any = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.start = None

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.start is None:
            records = read_metrics(self.path, epoch)
            text = "".join(json.dumps(record) + "\n" for record in records)
            if self.path.exists() and text != self.path.read_text("utf-8"):
                # Beside and renamed: what a kill interrupts here is not lost.
                beside = self.path.with_name(f".incomplete-{self.path.name}")
                beside.write_text(text, encoding="utf-8")
                beside.replace(self.path)
            self.start = time.monotonic() - (records[-1].get("seconds", 0.0) if records else 0.0)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        record = {
            "epoch": epoch + 1,
            "steps": int(self.model.optimizer.iterations.numpy()),
            "seconds": round(time.monotonic() - self.start, 1),
            "learning_rate": float(self.model.optimizer.learning_rate),
            **{name: float(value) for name, value in (logs or {}).items()},
        }
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")


def read_metrics(path: StrPath, epochs: int) -> list[dict[str, Any]]:
    """The records of a `MetricsFile`, those of the first `epochs` epochs; none if there is no file.

    Raises:
        ValueError: a line is none of a `MetricsFile`; names the file and the number of the line. A last one
            without an end is no error: a kill leaves it, and it is dropped.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} must be UTF-8. Received: {error}.") from error
    records, lines = [], text.splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            is_good = type(record["epoch"]) is int
            is_good = is_good and all(type(value) in (int, float) for value in record.values())
        except (ValueError, TypeError, LookupError, RecursionError, AttributeError):
            is_good = False
        if not is_good:
            if number == len(lines) and not text.endswith("\n"):
                break
            raise ValueError(
                f"A line of {path} must be what MetricsFile wrote, numbers by name. "
                f"Received: line {number}: {line[:99]}."
            )
        records.append(record)
    return [record for record in records if record["epoch"] <= epochs]

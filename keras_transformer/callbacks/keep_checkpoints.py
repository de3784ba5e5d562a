"""The last and the best checkpoints of a training, to choose from, to average, to export."""

import json
import math
import os
from pathlib import Path
from typing import Any, Literal

import keras

from keras_transformer.saving import model_files
from keras_transformer.saving.checkpoints import INDEX_FILE, ranked, read_index
from keras_transformer.types import StrPath


class KeepCheckpoints(keras.callbacks.Callback):
    """Saves the model after each epoch and keeps the last and the best.

    A file is written beside and renamed into place, and is entered in index.json before an older one is
    removed: whatever the index names is there and whole. After an interruption the files of epochs that come
    again are written again.

    Keras's ModelCheckpoint keeps one file or all. Put this after `keras.callbacks.SwapEMAWeights`, so that
    the averaged weights are saved, and after `TranslationQuality`, so that `val_bleu` is known.

    Args:
        folder: where epoch-00001.keras, ... and index.json are; made if missing.
        last: so many of the newest are kept, >= 1.
        best: so many of the best are kept besides, >= 0.
        monitor: the entry of the logs that decides which are best. An epoch without it is never among them,
            nor one where it is not a number.
        mode: "max" or "min": which values of it are good.

    Raises:
        ValueError: `last`, `best` or `mode` is out of range.
    """

    def __init__(
        self,
        folder: StrPath,
        last: int = 1,
        best: int = 0,
        monitor: str = "val_bleu",
        mode: Literal["max", "min"] = "max",
    ):
        super().__init__()
        if last < 1 or best < 0:
            raise ValueError(
                f"`last` must be at least 1 and `best` at least 0. Received: last={last}, best={best}."
            )
        if mode not in ("max", "min"):
            raise ValueError(f'`mode` must be "max" or "min". Received: mode={mode!r}.')
        self.folder = Path(folder)
        self.last = last
        self.best = best
        self.monitor = monitor
        self.mode = mode

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        read_index(self.folder)  # a damaged one is told now, and not after an epoch

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        name = f"epoch-{epoch + 1:05d}.keras"
        score = (logs or {}).get(self.monitor)
        self.folder.mkdir(parents=True, exist_ok=True)
        beside = self.folder / ".incomplete.keras"
        try:
            model_files.save_model(self.model, beside)
            beside.replace(self.folder / name)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        if score is not None:
            score = None if math.isnan(score) else float(score)
        entries = [entry for entry in read_index(self.folder)["checkpoints"] if entry["file"] < name]
        entries.append({"file": name, "score": score})
        kept = entries[-self.last :] + ranked(entries, self.mode)[: self.best]
        entries = [entry for entry in entries if entry in kept]
        index = {"monitor": self.monitor, "mode": self.mode, "checkpoints": entries}
        beside = self.folder / f".incomplete-{INDEX_FILE}"
        try:
            beside.write_text(json.dumps(index, indent=1), encoding="utf-8")
            os.replace(beside, self.folder / INDEX_FILE)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        names = {entry["file"] for entry in entries}
        for path in self.folder.glob("epoch-*.keras"):
            if path.name not in names:
                path.unlink()

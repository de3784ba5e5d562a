"""The best checkpoint as a served model, while the training lasts."""

import json
import subprocess
from pathlib import Path

import keras

from keras_transformer.saving.checkpoints import ranked, read_index
from keras_transformer.saving.run_files import read_json
from keras_transformer_programs import child

# In checkpoints/: {checkpoint: version's folder}.
EXPORTED_FILE = "exported.json"


class ExportBest(keras.callbacks.Callback):
    """Exports a checkpoint that is better than all before, by a `serving.export` of its own process.

    The training waits for it, and goes on if it fails. What was exported is written down: an epoch that comes
    again after an interruption is not exported again. Put this after `KeepCheckpoints`.

    Args:
        run: the run folder.
        output: folder of the served model's versions.
    """

    def __init__(self, run, output):
        super().__init__()
        self.run = Path(run).absolute()
        self.output = Path(output).absolute()

    def on_epoch_end(self, epoch, logs=None) -> None:
        folder = self.run / "checkpoints"
        index = read_index(folder)
        *before, newest = index["checkpoints"]
        best = ranked([newest, *before], index["mode"])  # of equals the later in the list: the older one
        if not best or best[0] is not newest:
            return
        record = folder / EXPORTED_FILE
        exported = read_json(record) if record.exists() else {}
        if newest["file"] in exported and Path(exported[newest["file"]]).exists():
            return
        options = ["--run", self.run, "--checkpoint", newest["file"], "--output", self.output]
        done = subprocess.run(
            child.command("serving.export", *options),
            # The training has the GPU's memory.
            env=child.environment(CUDA_VISIBLE_DEVICES="-1"),
            capture_output=True,
            text=True,
        )
        said = (done.stderr if done.returncode else done.stdout).strip().splitlines() or ["no message"]
        if done.returncode:
            print(f"\n{newest['file']} could not be exported: {said[-1]}")
            return
        print(f"\n{said[-1]}")
        versions = [int(path.name) for path in self.output.iterdir() if path.name.isdecimal()]
        exported = {newest["file"]: str(self.output / str(max(versions)))}
        beside = record.with_name(f".incomplete-{record.name}")
        beside.write_text(json.dumps(exported), encoding="utf-8")
        beside.replace(record)

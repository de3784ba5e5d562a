"""A training that only sleeps, for sweeps that are measured or tested: what a trial leaves, without a model.

Its loss falls from epoch to epoch and is least where dropout is 0.2. It notes in begun.txt and ended.txt of
its run folder's parent what it did, and goes on after a kill as `training.train` does.
"""

import json
import time
from pathlib import Path

import yaml

EPOCHS = 4


def main(arguments):
    """Sleeps `fit.seed` milliseconds an epoch.

    Args:
        arguments: ["--config", path, "--output", run folder].

    Raises:
        ValueError: the trial's dropout is 0.3, which stands for sizes that do not fit together.
    """
    config = yaml.safe_load(Path(arguments[1]).read_text(encoding="utf-8"))
    run = Path(arguments[3])
    note(run, "begun")
    dropout = config["model"]["dropout"]
    if dropout == 0.3:
        raise ValueError("`hidden_dim` must be a multiple of num_heads. Received: dropout=0.3.")
    run.mkdir(exist_ok=True)
    metrics = run / "metrics.jsonl"
    done = metrics.read_text(encoding="utf-8").count("\n") if metrics.exists() else 0
    for epoch in range(done + 1, EPOCHS + 1):
        time.sleep(config["fit"]["seed"] / 1000)
        record = {"epoch": epoch, "val_loss": (dropout - 0.2) ** 2 + 1 / epoch, "tokens": 100.0}
        with metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
    note(run, "ended")
    (run / "model.keras").write_text("")


def note(run, word):
    """Adds a line to begun.txt or ended.txt."""
    with (run.parent / f"{word}.txt").open("a", encoding="utf-8") as file:
        file.write(f"{time.time()}\n")

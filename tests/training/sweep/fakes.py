"""Sweeps whose trials are functions: a search in milliseconds, that can be killed where a test chooses."""

import json
import pathlib

from tests.training.interruptions import Killed
from training.config import config_class
from training.sweep import settings, space, worker
from training.sweep.tuner import SweepTuner

SPACE = {
    "model.num_layers": {"choice": [2, 3, 5]},
    "model.dropout": {"float": [0.0, 0.4]},
    "optimizer.clip_norm": {"choice": [None, 1.0]},
}


def make(tuner="random", mapping=SPACE, **options):
    """A sweep of 3 trials, or of Hyperband's 6 with 3 epochs at most."""
    config = space.changed(config_class("transformer")(), {"fit.epochs": 3})
    limits = {"max_trials": None if tuner == "hyperband" else 3, "objective": "val_loss"}
    return settings.make(config, space.parse(mapping, config), tuner, **{**limits, **options})


class Trainings:
    """Trains nothing, and remembers for what it was called.

    Args:
        loss: function of a configuration and an epoch; ValueError for a trial that fails.
        seconds: that a trial takes, as its folder says.
    """

    def __init__(self, loss=lambda config, epoch: config.model.dropout + 1 / epoch, seconds=30.0):
        self.loss = loss
        self.seconds = seconds
        self.ended = []
        self.kill_in = None  # number of a training

    def __call__(self, folder, config):
        folder.settle(config)
        if folder.is_finished:
            return
        name = folder.path.name.removeprefix("trial_")
        folder.run.mkdir(exist_ok=True)
        if self.kill_in == len(self.ended):
            self.kill_in = None
            raise Killed
        config = folder.config()
        records = [
            {"epoch": epoch, "val_loss": self.loss(config, epoch), "tokens": 10.0}
            for epoch in range(1, config.fit.epochs + 1)
        ]
        lines = "".join(json.dumps(record) + "\n" for record in records)
        (folder.run / "metrics.jsonl").write_text(lines)
        (folder.run / "model.keras").write_text(name)
        self.ended.append(name)
        folder.write_seconds(folder.seconds + self.seconds)


def search(sweep, folder, trainings):
    """Searches to the end, or goes on; returns the tuner."""
    settings.enter(sweep, folder)
    tuner = SweepTuner(sweep, folder, trainings)
    tuner.search()
    return tuner


def search_alone(sweep, folder, monkeypatch, trainings=None):
    """What a search without workers finds, whatever the environment says."""
    for name in worker.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return trials_of(search(sweep, folder, trainings or Trainings()))


def trials_of(tuner):
    """{trial: (status, score, values)}"""
    return {
        name: (trial.status, trial.score, tuner.values_of(trial))
        for name, trial in tuner.oracle.trials.items()
    }


def kill_at_write(monkeypatch, number, is_after):
    """The process is killed at the `number`-th file that is renamed into place, before or after it is.

    Returns:
        A list, to which each renaming adds.
    """
    replace, seen = pathlib.Path.replace, []

    def killing(path, target):
        seen.append(target)
        if len(seen) == number and not is_after:
            raise Killed
        replace(path, target)
        if len(seen) == number:
            raise Killed

    monkeypatch.setattr(pathlib.Path, "replace", killing)
    return seen

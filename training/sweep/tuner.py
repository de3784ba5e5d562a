"""keras-tuner's loop over the trials of a sweep, each of which is a training in a process of its own."""

import math
import time
from pathlib import Path
from typing import Any

import keras
import keras_tuner
from keras_tuner.engine.trial import Trial, TrialStatus

from keras_transformer.saving.checkpoints import checkpoint_path
from keras_transformer.saving.model_files import load_model
from training.hypermodels import RunHyperModel
from training.sweep import oracles, process
from training.sweep.settings import Sweep, read
from training.sweep.trial_folder import TrialFolder

# Seconds until a search that has nothing to do now is asked again.
PAUSE = 0.5


class SweepTuner(keras_tuner.Tuner):
    """A `keras_tuner.Tuner` whose trials are runs of `training.train`.

    What it needs of memory does not grow: models are built in the trials' processes. A search that was
    interrupted goes on: trials that ended stay as they are, one that was running is resumed in its run
    folder.

    Args:
        sweep: what is searched for.
        folder: that of the sweep.
        train: what trains, `process.train`; for tests.
        hypermodel: makes the trials' configurations; that of the sweep by default.
    """

    def __init__(self, sweep: Sweep, folder: Path, train=process.train, hypermodel=None):
        folder = Path(folder)
        oracle = oracles.make(sweep)
        super().__init__(
            oracle,
            hypermodel or RunHyperModel(sweep.config, sweep.space),
            directory=str(folder.parent),
            project_name=folder.name,
        )
        self.folder = folder
        self.train = train
        self.is_asking = False
        self.after_trial = lambda: None
        if self.oracle is oracle and oracle.is_saved:  # and not a worker, whose oracle is its chief's
            oracle.reload()

    def _populate_initial_space(self):
        # Without building models, for which keras-tuner's own way needs the data.
        hp = self.oracle.get_space()
        self.hypermodel.declare_hyperparameters(hp)
        self.oracle.update_space(hp)

    def save(self) -> None:
        """Nothing: the oracle saves itself with every change."""

    def pre_create_trial(self) -> None:
        if self.is_asking:  # it was asked just now, and had no trial yet
            time.sleep(PAUSE)
        self.is_asking = True

    def on_trial_begin(self, trial) -> None:
        self.is_asking = False
        values = ", ".join(f"{name} {value}" for name, value in self.values_of(trial).items())
        print(f"trial {trial.trial_id}: {values}", flush=True)

    def _try_run_and_update_trial(self, trial, *args, **kwargs):
        # keras-tuner's own prints a traceback, and takes an error in a program for one of the trial.
        try:
            self._run_and_update_trial(trial, *args, **kwargs)
            trial.status = TrialStatus.COMPLETED
        except (process.TrialFailed, ValueError, OSError) as error:
            trial.status = TrialStatus.FAILED
            trial.message = " ".join(str(error).split())

    def run_trial(self, trial, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """Trains, and returns the objective of each epoch that has it, as a `keras.callbacks.History`."""
        folder = self.folder_of(trial)
        self.train(folder, self.hypermodel.config_of(trial.hyperparameters))
        name = self.oracle.objective.name
        values = [record[name] for record in folder.records() if name in record]
        values = [value for value in values if not math.isnan(value)]
        if not values:
            raise process.TrialFailed(f"no epoch of the run has a {name}")
        history = keras.callbacks.History()
        history.history = {name: values}
        return history

    def on_trial_end(self, trial) -> None:
        if trial.status == TrialStatus.COMPLETED:
            score = self.oracle.get_trial(trial.trial_id).metrics.get_best_value(self.oracle.objective.name)
            print(f"trial {trial.trial_id}: {self.oracle.objective.name} {score:.5g}", flush=True)
        else:
            self.folder_of(trial).write_reason(trial.message)
            print(f"trial {trial.trial_id} failed: {trial.message}", flush=True)
        super().on_trial_end(trial)
        self.after_trial()

    def load_model(self, trial: Trial) -> keras.Model:
        """The model of a finished trial: its best checkpoint, by the objective.

        Raises:
            ValueError: the trial failed or is not finished.
        """
        run = self.folder_of(trial).run
        if trial.status != TrialStatus.COMPLETED:
            raise ValueError(
                f"Only a completed trial has a model. Received: {trial.trial_id}, {trial.status}."
            )
        return load_model(checkpoint_path(run, "best"))

    def values_of(self, trial: Trial) -> dict:
        """{field: value} of a trial, as its configuration has them."""
        hp = trial.hyperparameters
        return {field.name: field.value(hp.get(field.name)) for field in self.hypermodel.space}

    def folder_of(self, trial: Trial) -> TrialFolder:
        """Where a trial is."""
        return oracles.folder_of(self.folder, trial.trial_id)


def load(folder) -> SweepTuner:
    """The tuner of a sweep on disk, for `get_best_models`, `get_best_hyperparameters` and the like.

    Raises:
        ValueError: it is no folder of a sweep.
    """
    return SweepTuner(read(folder), Path(folder))

"""keras-tuner's searches, made safe against a kill at any moment, failed trials and budgets."""

import json
import sys
from pathlib import Path
from typing import Any

import keras_tuner
from keras_tuner.engine.trial import Trial, TrialStatus

from training.atomic import write_text
from training.sweep.settings import Sweep
from training.sweep.trial_folder import PREFIX, TrialFolder, spent

OVER = (TrialStatus.COMPLETED, TrialStatus.FAILED)
# If all of so many trials failed, the next will too.
HOPELESS = 3


class Restartable:
    """Mixed into an `Oracle`: its whole state is one file, which is whole at every moment.

    keras-tuner writes a file for the search and one for each trial, in place and one after the other. A kill
    in between leaves half a file, a trial that is counted and never run, or a finished trial among those
    that run, which would then be run again. Here oracle.json holds the trials too and is the only file that
    is read.

    Attributes:
        reason_to_stop: why no further trial begins, or None; set when one is asked for.
    """

    sweep: Sweep
    reason_to_stop = None
    failed_before = 0

    def save(self) -> None:
        write_text(self._get_oracle_fname(), json.dumps(self.get_state()))

    def _save_trial(self, trial):
        path = Path(self._get_trial_dir(trial.trial_id)) / "trial.json"
        write_text(path, json.dumps(trial.get_state()))

    def get_state(self) -> dict[str, Any]:
        return {
            **super().get_state(),
            "trials": {name: trial.get_state() for name, trial in self.trials.items()},
        }

    def set_state(self, state) -> None:
        self.trials = {name: Trial.from_state(value) for name, value in state["trials"].items()}
        super().set_state(state)

    @property
    def is_saved(self) -> bool:
        """Whether there is something to go on from."""
        return Path(self._get_oracle_fname()).exists()

    @property
    def has_interrupted(self) -> bool:
        """Whether a trial waits for a worker that goes on with it."""
        return bool(self._retry_queue)

    def reload(self) -> None:
        path = Path(self._get_oracle_fname())
        try:
            self.set_state(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"{path} must be what training.tune wrote. Received: {error!r}.") from error
        # keras-tuner saves the end of a trial before it strikes it off.
        interrupted = [trial for trial in self.ongoing_trials.values() if trial.status not in OVER]
        self._retry_queue += [trial.trial_id for trial in interrupted]
        self.ongoing_trials = {}
        self.failed_before = self._count(TrialStatus.FAILED)

    def give_back(self, tuner_id) -> None:
        """The trial of a worker that is gone is for the next worker that asks."""
        trial = self.ongoing_trials.pop(tuner_id, None)
        self.tuner_ids.discard(tuner_id)
        if trial is not None:
            self._retry_queue.append(trial.trial_id)
            self.save()

    def populate_space(self, trial_id) -> dict[str, Any]:
        self.reason_to_stop = self._why_stop()
        if self.reason_to_stop is not None:
            return {"status": TrialStatus.STOPPED}
        return super().populate_space(trial_id)

    def update_trial(self, trial_id, metrics, step=0) -> Any:
        if trial_id in self.end_order:  # see `end_trial`
            return self.trials[trial_id]
        return super().update_trial(trial_id, metrics, step)

    def end_trial(self, trial) -> None:
        if trial.trial_id in self.end_order:  # by a worker that was thought to be gone
            running = self.ongoing_trials.items()
            self.ongoing_trials = {name: one for name, one in running if one.trial_id != trial.trial_id}
            return
        if trial.status != TrialStatus.COMPLETED:
            # keras-tuner does not send the message from a worker to its chief.
            folder = TrialFolder(Path(self._get_trial_dir(trial.trial_id)))
            trial.message = folder.reason or trial.message
        super().end_trial(trial)
        if trial.trial_id in self._retry_queue:
            self._retry_queue.remove(trial.trial_id)
            self.save()

    def _count(self, status):
        return sum(trial.status == status for trial in self.trials.values())

    def _why_stop(self):
        failed = self._count(TrialStatus.FAILED) - self.failed_before
        if failed >= HOPELESS and not self._count(TrialStatus.COMPLETED):
            last = self.trials[self.end_order[-1]]
            return f"all of {failed} trials failed; the last: {last.message}"
        sweep = self.sweep
        minutes, tokens = spent(self._project_dir) if sweep.minutes or sweep.tokens else (0, 0)
        if sweep.minutes is not None and minutes >= sweep.minutes:
            return f"{minutes:.1f} of {sweep.minutes:g} minutes are spent"
        if sweep.tokens is not None and tokens >= sweep.tokens:
            return f"{tokens:,} of {sweep.tokens:,} tokens are spent"
        return None


class RandomOracle(Restartable, keras_tuner.oracles.RandomSearchOracle):
    """Values drawn at random."""


class HyperbandOracle(Restartable, keras_tuner.oracles.HyperbandOracle):
    """Many short trainings, fewer longer ones of the best (Li et al. 2018)."""


class BayesianOracle(Restartable, keras_tuner.oracles.BayesianOptimizationOracle):
    """Values that a Gaussian process expects much of (upper confidence bound)."""

    def populate_space(self, trial_id) -> dict[str, Any]:
        response = super().populate_space(trial_id)
        values = response.get("values")
        if values and self._duplicate(values):  # the process may expect most of what was tried already
            return self._random_populate_space()
        return response


def make(sweep: Sweep) -> keras_tuner.Oracle:
    """The oracle of a sweep."""
    common = {
        "objective": keras_tuner.Objective(sweep.objective, sweep.mode),
        "seed": 1 + sweep.seed,  # it takes 0 for none
        "max_consecutive_failed_trials": sys.maxsize,  # see `HOPELESS`
    }
    if sweep.tuner == "hyperband":
        oracle = HyperbandOracle(max_epochs=sweep.config.fit.epochs, **common)
        oracle.max_trials = sweep.max_trials
    else:
        kind = {"random": RandomOracle, "bayesian": BayesianOracle}[sweep.tuner]
        oracle = kind(max_trials=sweep.max_trials, **common)
    oracle.sweep = sweep
    oracle.verbose = 0
    return oracle


def folder_of(project, trial_id) -> TrialFolder:
    """The folder of a trial in that of a sweep."""
    return TrialFolder(Path(project) / f"{PREFIX}{trial_id}")

"""First stage: where a training starts. Several workers and resuming are decided here, and only here."""

import contextlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import tensorflow as tf

from training import config as configs
from training import devices, initial, memory, run_folder, run_lock
from training.run_config import RunConfig


@dataclass(frozen=True)
class Start:
    """What is settled before data is read.

    Attributes:
        config: the run's, whole.
        output: the run folder.
        strategy: see `devices.make_strategy`.
        is_chief: whether this process writes; of several workers one does.
        found: what was in the run folder: `run_folder.NEW`, UNFINISHED or FINISHED.
        continues: whether the run gets more epochs than it began with.
        accepts_changed_data: whether a run goes on with other data than it began with.
    """

    config: RunConfig
    output: Path
    strategy: tf.distribute.Strategy
    is_chief: bool
    found: int
    continues: bool
    accepts_changed_data: bool

    @property
    def is_finished(self) -> bool:
        """Whether there is nothing to do."""
        return self.found == run_folder.FINISHED

    @property
    def unfinished(self) -> Path | None:
        """The run folder, if the training goes on in it."""
        return self.output if self.found == run_folder.UNFINISHED else None

    @property
    def checkpoints(self) -> Path:
        """What an interrupted training goes on from."""
        return self.output / run_folder.RESUME


@contextlib.contextmanager
def settle(config: RunConfig, output: Path, continues: bool, accepts_changed_data: bool) -> Iterator[Start]:
    """Keeps other processes out of the run folder meanwhile; see `fitting.train`."""
    with devices.explain_lost_workers(), memory.explain_lack():
        configs.check(config)
        is_chief = devices.is_chief()
        with run_lock.held(output) if is_chief else contextlib.nullcontext():
            config = initial.resolve(config, output)
            strategy = devices.make_strategy(config.fit.num_devices, asdict(config))
            found = devices.from_chief(strategy, lambda: run_folder.find(output, config, continues))
            if found == run_folder.FINISHED and devices.num_workers() == 1:
                run_folder.refuse_finished(output)  # of several, one was killed behind the end
            keras.utils.set_random_seed(config.fit.seed)
            keras.config.set_dtype_policy(config.fit.precision)
            yield Start(config, output, strategy, is_chief, found, continues, accepts_changed_data)

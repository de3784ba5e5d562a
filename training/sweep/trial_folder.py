"""The folder of one trial: its configuration, its run, and what is known of it."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

from command_line import yaml_files
from training import config as configs
from training.atomic import write_text
from training.run_config import RunConfig

PREFIX = "trial_"


@dataclass(frozen=True)
class TrialFolder:
    """What lies in it: config.yaml, run/, train.log, seconds, failed.txt, lock.

    Args:
        path: the folder.
    """

    path: Path

    @property
    def run(self) -> Path:
        """The run folder, an ordinary one."""
        return self.path / "run"

    @property
    def log(self) -> Path:
        """What the training printed, all attempts one after the other."""
        return self.path / "train.log"

    @property
    def is_finished(self) -> bool:
        """Whether its training has ended."""
        return (self.run / "model.keras").exists()

    def settle(self, config: RunConfig) -> None:
        """Writes the configuration, once: a trial that is resumed keeps it."""
        path = self.path / "config.yaml"
        if not path.exists():
            self.path.mkdir(parents=True, exist_ok=True)
            write_text(path, yaml.safe_dump(asdict(config), sort_keys=False, allow_unicode=True))

    def config(self) -> RunConfig:
        """The configuration of the trial."""
        return configs.from_mapping(yaml_files.read(self.path / "config.yaml"))

    @property
    def seconds(self) -> float:
        """How long its training has taken, all attempts together; the file changes while it runs."""
        path = self.path / "seconds"
        try:
            return float(path.read_text(encoding="utf-8")) if path.exists() else 0.0
        except ValueError as error:
            raise ValueError(f"{path} must hold a number. Received: {error}.") from error

    def write_seconds(self, seconds: float) -> None:
        """See `seconds`."""
        write_text(self.path / "seconds", f"{seconds:.1f}\n")

    @property
    def reason(self) -> str | None:
        """Why it failed, in one line."""
        path = self.path / "failed.txt"
        return path.read_text(encoding="utf-8").strip() if path.exists() else None

    def write_reason(self, reason: str) -> None:
        """See `reason`."""
        write_text(self.path / "failed.txt", f"{reason}\n")

    def records(self) -> list[dict]:
        """The metrics of its epochs."""
        from keras_transformer.callbacks.metrics_file import read_metrics  # whoever asks has Keras

        return read_metrics(self.run / "metrics.jsonl", math.inf)


def spent(folder) -> tuple[float, int]:
    """Minutes and target tokens that the trials of a sweep have taken so far, those that failed included.

    Tokens are those of whole epochs. Both are in files that are written meanwhile: a restart loses nothing.
    """
    trials = [TrialFolder(path) for path in Path(folder).glob(f"{PREFIX}*")]
    tokens = sum(record.get("tokens", 0) for trial in trials for record in trial.records())
    return sum(trial.seconds for trial in trials) / 60, int(tokens)

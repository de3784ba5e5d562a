"""Settings of a sweep, on the command line and in its folder."""

import dataclasses
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from command_line import yaml_files
from training import config as configs
from training import monitors
from training.atomic import write_text
from training.run_config import RunConfig
from training.sweep import space as spaces

FILE = "sweep.yaml"
TUNERS = ("random", "hyperband", "bayesian")
DEFAULT_TRIALS = 20
# A sweep that goes on may be given more of these.
LIMITS = ("max_trials", "minutes", "tokens")


@dataclass(frozen=True)
class Sweep:
    """See `make`.

    Args:
        config: what all trials have in common. Its checkpoints.monitor is the objective, and
            checkpoints.mode says which values of it are good, "max" or "min".
        space: what differs.
        tuner: random, hyperband or bayesian.
        seed: of the choices.
        max_trials: so many trials; None for as many as Hyperband has.
        minutes: no trial begins once the trials have taken so long together; None for no limit.
        tokens: no trial begins once so many target tokens were trained on; None for no limit.
    """

    config: RunConfig
    space: tuple[spaces.Field, ...]
    tuner: str = "random"
    seed: int = 0
    max_trials: int | None = DEFAULT_TRIALS
    minutes: float | None = None
    tokens: int | None = None

    @property
    def objective(self) -> str:
        """The entry of the logs that is searched for."""
        return self.config.checkpoints.monitor

    @property
    def mode(self) -> str:
        """ "max" or "min"."""
        return self.config.checkpoints.mode


def make(config: RunConfig, space, tuner="random", objective=None, mode=None, **limits: Any) -> Sweep:
    """A sweep, checked as far as it can be before anything is started.

    Args:
        config: see `Sweep`.
        space: see `Sweep`.
        tuner: see `Sweep`.
        objective: entry of the logs; checkpoints.monitor if None.
        mode: "max" or "min"; None: known of those in our own logs.
        limits: seed, max_trials, minutes, tokens; None for the default.

    Raises:
        ValueError: something is unknown, out of range, or does not fit together.
    """
    configs.check(config)
    for field in space:
        for value in field.values:
            configs.check_value(field.name, value)
    if tuner not in TUNERS:
        raise ValueError(f"`tuner` must be one of {', '.join(TUNERS)}. Received: tuner={tuner!r}.")
    for name in LIMITS:
        if limits.get(name) is not None and limits[name] <= 0:
            raise ValueError(f"`{name}` must be above 0. Received: {name}={limits[name]}.")
    if limits.get("max_trials") is None:
        limits["max_trials"] = None if tuner == "hyperband" else DEFAULT_TRIALS
    if config.checkpoints.export_best is not None:
        raise ValueError(
            "`checkpoints.export_best` must be None in a sweep: all trials would export to one folder. "
            f"Received: {config.checkpoints.export_best!r}."
        )
    changes = {"checkpoints.best": max(1, config.checkpoints.best)}
    if objective is not None:
        changes |= {"checkpoints.monitor": objective, "checkpoints.mode": "auto"}
    if mode is not None:
        changes["checkpoints.mode"] = mode
    config = spaces.changed(config, changes)
    good = monitors.mode(config.checkpoints, names=("objective", "--mode"))
    monitors.check_quality(config, "objective")
    if tuner == "hyperband":
        _check_hyperband(config, space)
    return Sweep(spaces.changed(config, {"checkpoints.mode": good}), space, tuner, **limits)


def _check_hyperband(config, space):
    if any(field.name == "fit.epochs" for field in space):
        raise ValueError("A space may not name fit.epochs with Hyperband, which chooses the epochs itself.")
    if config.checkpoints.monitor in monitors.QUALITY_MODES and config.quality.frequency != 1:
        raise ValueError(
            "`quality.frequency` must be 1 with Hyperband, whose first trials are of one epoch. "
            f"Received: quality.frequency={config.quality.frequency}."
        )


def enter(sweep: Sweep, folder: Path) -> None:
    """Writes sweep.yaml into the folder of a sweep; one that is there must be of the same sweep.

    Raises:
        ValueError: the folder holds another sweep or something else.
    """
    check_same(sweep, folder)
    folder.mkdir(parents=True, exist_ok=True)
    values = asdict(sweep) | {"space": spaces.as_mapping(sweep.space)}
    write_text(folder / FILE, yaml.safe_dump(values, sort_keys=False, allow_unicode=True))


def check_same(sweep: Sweep, folder: Path) -> None:
    """Raises ValueError if a folder holds another sweep or something else."""
    if not (folder / FILE).exists():
        if folder.exists() and (not folder.is_dir() or list(folder.glob("[!.]*"))):
            raise ValueError(
                f"The output must be a folder to make, or one of a sweep. Received: {folder}, which holds "
                "something else."
            )
        return
    before = read(folder)
    differing = [
        (field.name, getattr(before, field.name), getattr(sweep, field.name))
        for field in dataclasses.fields(Sweep)
        if field.name not in (*LIMITS, "config", "space")
    ]
    had, have = ({field.name: field for field in one.space} for one in (before, sweep))
    differing += [(f"space {name}", had.get(name), have.get(name)) for name in had | have]
    had, have = (dict(_flat(one.config)) for one in (before, sweep))
    differing += [(name, had.get(name), have.get(name)) for name in had | have]
    for name, was, now in differing:
        if was != now:
            raise ValueError(
                f"A sweep goes on as it began, {name}: {was}. Received: {now}, for {folder}; another sweep "
                "needs another --output."
            )


def read(folder) -> Sweep:
    """The sweep of a folder.

    Raises:
        ValueError: it is no folder of a sweep.
    """
    path = Path(folder) / FILE
    if not path.is_file():
        raise ValueError(f"The folder of a sweep holds {FILE}. Received: {folder}, which does not.")
    try:
        values = yaml_files.read(path)
        config = configs.from_mapping(values["config"])
        return Sweep(**values | {"config": config, "space": spaces.parse(values["space"], config)})
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path} must be what training.tune wrote. Received: {error!r}.") from error


def _flat(config):
    """(name, value) of every field of a configuration."""
    for name in spaces.names(config):
        value = config
        for part in name.split("."):
            value = getattr(value, part)
        yield name, value

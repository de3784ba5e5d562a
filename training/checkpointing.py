"""Checkpoints of a training: which are kept, averaged and exported, and early stopping."""

import keras

from keras_transformer.callbacks import EarlyStopping, KeepCheckpoints
from keras_transformer.saving.checkpoints import average, choose
from training.export_best import ExportBest
from training.monitors import check_quality, mode
from training.run_config import CheckpointsConfig, RunConfig

FOLDER = "checkpoints"


def check(config: RunConfig, has_validation: bool) -> None:
    """Raises ValueError if something is asked for that these checkpoints cannot give."""
    checkpoints = config.checkpoints
    KeepCheckpoints(FOLDER, checkpoints.last, checkpoints.best, checkpoints.monitor, mode(checkpoints))
    if checkpoints.patience is not None and checkpoints.patience < 1:
        raise ValueError(
            "`checkpoints.patience` must be a positive integer, or None. "
            f"Received: checkpoints.patience={checkpoints.patience}."
        )
    if checkpoints.average == "last" and checkpoints.last < 2:
        raise ValueError(
            "`checkpoints.average` last needs more than one checkpoint, checkpoints.last. "
            f"Received: checkpoints.last={checkpoints.last}."
        )
    needs_best = {"average best": checkpoints.average == "best", "export_best": checkpoints.export_best}
    for name, is_asked in needs_best.items():
        if is_asked and not checkpoints.best:
            raise ValueError(f"`checkpoints.{name}` needs checkpoints.best of at least 1. Received: 0.")
    needs_monitor = {**needs_best, "patience": checkpoints.patience is not None}
    for name in (name for name, is_asked in needs_monitor.items() if is_asked):
        if checkpoints.monitor.startswith("val_") and not has_validation:
            raise ValueError(
                f"`checkpoints.{name}` needs validation data, or another checkpoints.monitor. "
                f"Received: none, and checkpoints.monitor={checkpoints.monitor!r}."
            )
        check_quality(config, f"checkpoints.{name}")


def make_callbacks(config: CheckpointsConfig, output, averages=None) -> list[keras.callbacks.Callback]:
    """The callbacks that keep checkpoints, export the best, and end the training.

    Args:
        config: see `CheckpointsConfig`.
        output: the run folder.
        averages: the training's SwapEMAWeights, if it has one.
    """
    good = mode(config)
    callbacks = [KeepCheckpoints(output / FOLDER, config.last, config.best, config.monitor, good)]
    if config.export_best is not None:
        callbacks.append(ExportBest(output, config.export_best))
    stopping = early_stopping(config, output / "metrics.jsonl", averages)
    return [*callbacks, stopping] if stopping else callbacks


def early_stopping(config: CheckpointsConfig, metrics, averages=None) -> EarlyStopping | None:
    """What ends the training, reading `metrics`, the file of `MetricsFile`; None if nothing is to."""
    if config.patience is None:
        return None
    return EarlyStopping(metrics, config.monitor, mode(config), config.patience, averages)


def final_model(model, config: CheckpointsConfig, output) -> keras.Model:
    """What becomes model.keras: the model as trained, or the mean of its checkpoints.

    Args:
        model: as the training left it.
        config: see `CheckpointsConfig`.
        output: the run folder.
    """
    if config.average == "none":
        return model
    num = config.last if config.average == "last" else config.best
    paths = choose(output / FOLDER, config.average, num)
    if not paths:  # a loss that was never a number
        print(f"no epoch had a {config.monitor}: model.keras holds the last weights")
        return model
    print(f"model.keras: mean of {', '.join(path.name for path in paths)}")
    return average(paths)

"""Entries of a training's logs that say how good it is, and which values of them are good.

Nothing here imports Keras: a misspelt name answers at once.
"""

from training.run_config import CheckpointsConfig, RunConfig

# Entries of the logs that this package makes.
MODES = {"loss": "min", "perplexity": "min", "token_accuracy": "max", "accuracy": "max"}
QUALITY_MODES = {"val_bleu": "max", "val_chrf": "max", "val_exact_match": "max"}


def mode(config: CheckpointsConfig, names=("checkpoints.monitor", "checkpoints.mode")) -> str:
    """ "max" or "min": which values of the monitor are good.

    Args:
        config: names the monitor.
        names: of the two options, for the message.

    Raises:
        ValueError: the monitor is not known and the configuration does not say.
    """
    if config.mode != "auto":
        return config.mode
    known = {**MODES, **{f"val_{name}": good for name, good in MODES.items()}, **QUALITY_MODES}
    if config.monitor not in known:
        raise ValueError(
            f"`{names[0]}` must be one of {', '.join(known)}, or {names[1]} be given. "
            f"Received: {names[0]}={config.monitor!r}."
        )
    return known[config.monitor]


def check_quality(config: RunConfig, what: str) -> None:
    """Raises ValueError if the monitor is a quality that this run does not measure.

    Args:
        config: the run's.
        what: the option that needs the monitor, for the message.
    """
    monitor = config.checkpoints.monitor
    if monitor not in QUALITY_MODES:
        return
    if not hasattr(config, "quality"):
        raise ValueError(
            f"`{what}` needs a checkpoints.monitor that the kind {config.model.kind} has, val_loss "
            f"say. Received: checkpoints.monitor={monitor!r}."
        )
    if not 0 < config.quality.frequency <= config.fit.epochs:
        raise ValueError(
            f"`{what}` needs translations of the validation set for "
            f"{monitor}: quality.frequency from 1 to fit.epochs. "
            f"Received: quality.frequency={config.quality.frequency}."
        )

"""The folder that a run leaves: all that evaluate, translate and export need (see docs/architecture.md)."""

from dataclasses import asdict
from pathlib import Path

import yaml

import command_line
from training.config import TrainingConfig


def make(folder: Path, config: TrainingConfig, source_tokenizer, target_tokenizer) -> None:
    """Writes what is known before the first step: configuration and tokenizers."""
    (folder / "checkpoints").mkdir(parents=True)
    text = yaml.safe_dump(asdict(config), sort_keys=False, allow_unicode=True)
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    source_tokenizer.save(folder / "tokenizer" / "source")
    target_tokenizer.save(folder / "tokenizer" / "target")


def save_model(model, folder: Path) -> None:
    """Writes model.keras beside and renames it into place: a reader never sees half a file."""
    beside = folder / ".model.keras"  # the suffix tells Keras the format
    model.save(beside)
    beside.rename(folder / "model.keras")


def load_config(folder) -> TrainingConfig:
    """Reads the configuration of a run.

    Raises:
        ValueError: the folder is no run folder.
    """
    path = Path(folder) / "config.yaml"
    if not path.is_file():
        raise ValueError(f"A run folder holds config.yaml. Received: {folder}, which does not.")
    parser = command_line.parser("training", "")
    parser.add_class_arguments(TrainingConfig, as_group=False)
    try:
        return command_line.instantiate(parser, parser.parse_path(path), TrainingConfig)
    except TypeError as error:  # what is no mapping where one belongs
        raise ValueError(f"{path} must be what training.train wrote. Received: {error}.") from error

"""The folder that a run leaves: all that evaluate, translate and export need (see docs/architecture.md)."""

import shutil
from dataclasses import asdict
from pathlib import Path

import yaml

import command_line
from training.config import TrainingConfig


def make(folder: Path, config: TrainingConfig, source_tokenizer, target_tokenizer, settled) -> None:
    """Writes what is known before the first step, beside and renamed: configuration, tokenizers, plan."""
    beside = folder.with_name(f".incomplete-{folder.name}")
    shutil.rmtree(beside, ignore_errors=True)
    (beside / "checkpoints").mkdir(parents=True)
    text = yaml.safe_dump(asdict(config), sort_keys=False, allow_unicode=True)
    (beside / "config.yaml").write_text(text, encoding="utf-8")
    source_tokenizer.save(beside / "tokenizer" / "source")
    target_tokenizer.save(beside / "tokenizer" / "target")
    settled.write(beside)
    beside.rename(folder)


def make_from(run: Path, folder: Path, model) -> None:
    """Writes a run folder with a run's configuration and tokenizers and another model, beside and renamed."""
    beside = folder.with_name(f".incomplete-{folder.name}")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        shutil.copytree(run / "tokenizer", beside / "tokenizer")
        shutil.copy(run / "config.yaml", beside)
        save_model(model, beside)
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def is_unfinished(folder: Path, config: TrainingConfig) -> bool:
    """Whether a folder holds a run of this configuration that was interrupted; False if it does not exist.

    Raises:
        ValueError: the folder holds a finished run, another configuration, or something else.
    """
    if not folder.exists():
        return False
    if (folder / "model.keras").exists():
        raise ValueError(f"The run folder must not hold a finished run. Received: {folder}, which does.")
    before, now = asdict(load_config(folder)), asdict(config)
    for part, values in now.items():
        for name, value in values.items():
            if before[part][name] != value:
                raise ValueError(
                    f"An interrupted run goes on with the configuration that it began with, {part}.{name}: "
                    f"{before[part][name]!r}. Received: {value!r}, for {folder}."
                )
    return True


def load_tokenizers(folder: Path):
    """Source and target tokenizer of a run; the same object if they were one when they were trained."""
    from keras_transformer import tokenizers

    source, target = (tokenizers.load(folder / "tokenizer" / side) for side in ("source", "target"))
    config = load_config(folder)
    return source, source if config.tokenizer.target is None else target


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

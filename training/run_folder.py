"""The folder that a run leaves: all that evaluate, translate and export need (see docs/architecture.md)."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import yaml

from training import config as configs
from training.config import RunConfig

# Shape of the images, names of the classes; of tasks with images.
IMAGES_FILE = "images.json"
MODEL_FILE = "model.keras"


def make(folder: Path, config: RunConfig, task, settled) -> None:
    """Writes what is known before the first step, beside and renamed: configuration, tokenizers, plan."""
    beside = folder.with_name(f".incomplete-{folder.name}")
    shutil.rmtree(beside, ignore_errors=True)
    (beside / "checkpoints").mkdir(parents=True)
    text = yaml.safe_dump(asdict(config), sort_keys=False, allow_unicode=True)
    (beside / "config.yaml").write_text(text, encoding="utf-8")
    (beside / "tokenizer").mkdir()
    for name, tokenizer in task.tokenizers.items():
        tokenizer.save(beside / "tokenizer" / name)
    if task.image_facts:
        (beside / IMAGES_FILE).write_text(json.dumps(task.image_facts), encoding="utf-8")
    settled.write(beside)
    beside.rename(folder)


def make_from(run: Path, folder: Path, model) -> None:
    """Writes a run folder with a run's configuration and tokenizers and another model, beside and renamed."""
    beside = folder.with_name(f".incomplete-{folder.name}")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        shutil.copytree(run / "tokenizer", beside / "tokenizer")
        for name in ("config.yaml", IMAGES_FILE):
            if (run / name).exists():
                shutil.copy(run / name, beside)
        save_model(model, beside)
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def is_unfinished(folder: Path, config: RunConfig) -> bool:
    """Whether a folder holds a run of this configuration that was interrupted; False if it does not exist.

    Raises:
        ValueError: the folder holds a finished run, another configuration, or something else.
    """
    if not folder.exists():
        return False
    if (folder / MODEL_FILE).exists():
        raise ValueError(f"The run folder must not hold a finished run. Received: {folder}, which does.")
    _check_same_config(folder, config)
    return True


def is_finished(folder: Path, config: RunConfig) -> bool:
    """Whether a folder holds a finished run of this configuration.

    Raises:
        ValueError: it is finished, and of another configuration.
    """
    if not (folder / MODEL_FILE).exists():
        return False
    _check_same_config(folder, config)
    return True


def _check_same_config(folder, config):
    before, now = asdict(load_config(folder)), asdict(config)
    for part, values in now.items():
        for name, value in values.items():
            had = before.get(part, {}).get(name)
            if had != value:
                raise ValueError(
                    f"A run goes on with the configuration that it began with, {part}.{name}: "
                    f"{had!r}. Received: {value!r}, for {folder}."
                )


def save_model(model, folder: Path) -> None:
    """Writes model.keras beside and renames it into place: a reader never sees half a file."""
    beside = folder / ".model.keras"  # the suffix tells Keras the format
    model.save(beside)
    beside.rename(folder / MODEL_FILE)


def load_config(folder) -> RunConfig:
    """Reads the configuration of a run.

    Raises:
        ValueError: the folder is no run folder.
    """
    path = Path(folder) / "config.yaml"
    if not path.is_file():
        raise ValueError(f"A run folder holds config.yaml. Received: {folder}, which does not.")
    try:
        return configs.from_mapping(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (TypeError, yaml.YAMLError) as error:  # what is no mapping where one belongs
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} must be what training.train wrote. Received: {reason}.") from error

"""The folder that a run leaves: all that evaluate, translate and export need (see docs/architecture.md)."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

import yaml

from command_line import yaml_files
from keras_transformer_programs import hints
from training import config as configs
from training import tasks
from training.atomic import write_text
from training.run_config import RunConfig

# What the library reads of a run; before there was the first, the second, of runs with images.
FACTS_FILE, IMAGES_FILE = "pipeline.json", "images.json"
MODEL_FILE = "model.keras"
CONFIG_FILE = "config.yaml"
# Of an imported model: where it came from.
PROVENANCE_FILE = "imported.json"
# What a training goes on from after an interruption; in a finished run, for more epochs.
RESUME = "checkpoints/resume"
# The model of a run that is continued, until there is the new one.
FINISHED_BEFORE = "checkpoints/finished.keras"
# What `find` finds.
NEW, UNFINISHED, FINISHED = range(3)


def make(folder: Path, config: RunConfig, task, settled) -> None:
    """Writes what is known before the first step, beside and renamed: configuration, tokenizers, plan."""
    beside = folder.with_name(f".incomplete-{folder.name}")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        (beside / "checkpoints").mkdir(parents=True)
        write_text(beside / CONFIG_FILE, _as_yaml(config))
        (beside / "tokenizer").mkdir()
        for name, tokenizer in task.tokenizers.items():
            tokenizer.save(beside / "tokenizer" / name)
        facts = {"kind": config.model.kind, **task.facts}
        write_text(beside / FACTS_FILE, json.dumps(facts))
        settled.write(beside)
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def make_from(run: Path, folder: Path, model) -> None:
    """Writes a run folder with a run's configuration and tokenizers and another model, beside and renamed."""
    beside = folder.with_name(f".incomplete-{folder.name}")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        shutil.copytree(run / "tokenizer", beside / "tokenizer")
        for name in (CONFIG_FILE, FACTS_FILE, IMAGES_FILE):
            if (run / name).exists():
                shutil.copy(run / name, beside)
        save_model(model, beside)
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def make_imported(folder: Path, imported, provenance: dict) -> None:
    """Writes the run folder of a model that was trained elsewhere, an `Imported`, beside and renamed."""
    beside = folder.with_name(f".incomplete-{folder.name}")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        beside.mkdir(parents=True)
        # The other sections are of trainings.
        sections = {
            name: asdict(getattr(imported.config, name))
            for name in ("data", "tokenizer", "model")
            if hasattr(imported.config, name)
        }
        write_text(beside / CONFIG_FILE, yaml.safe_dump(sections, sort_keys=False))
        for name, tokenizer in imported.tokenizers.items():
            tokenizer.save(beside / "tokenizer" / name)
        facts = {"kind": imported.config.model.kind, **imported.facts}
        write_text(beside / FACTS_FILE, json.dumps(facts))
        write_text(beside / PROVENANCE_FILE, json.dumps(provenance, ensure_ascii=False, indent=2) + "\n")
        save_model(imported.model, beside)
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def find(folder: Path, config: RunConfig, continues: bool = False) -> int:
    """What a training by this configuration finds in a folder: NEW, UNFINISHED or FINISHED.

    Args:
        folder: the run folder.
        config: of the training.
        continues: whether it may have more epochs than the run. A finished run with fewer epochs is then
            UNFINISHED, see `reopen`.

    Raises:
        ValueError: the folder holds another configuration, something else, or nothing to go on from.
    """
    if not folder.exists():
        if continues:
            raise ValueError(f"`continue` needs a run to go on with. Received: {folder}, which is not there.")
        return NEW
    before = load_config(folder)
    is_finished = (folder / MODEL_FILE).exists()
    differs = _difference(before, config, free=("fit.epochs",) if continues else ())
    if is_finished and not continues:
        return FINISHED if differs is None else refuse_finished(folder)
    if differs:
        raise ValueError(f"A run goes on with the configuration that it began with, {differs}, for {folder}.")
    if not continues:
        return UNFINISHED
    done = _num_epochs(folder) or 0
    fewest = max(done, before.fit.epochs)
    if config.fit.epochs < fewest:
        raise ValueError(
            f"`fit.epochs` must not be below those of the run that is continued, {fewest}. "
            f"Received: fit.epochs={config.fit.epochs}."
        )
    if is_finished and config.fit.epochs == done:
        return FINISHED
    if is_finished and not done:
        raise ValueError(
            f"`continue` needs the state at the end of a training, {RESUME}. Received: {folder}, without: it "
            f"ended early, or is older. --initial.run {folder} begins another run with its weights."
        )
    return UNFINISHED


def refuse_finished(folder: Path) -> NoReturn:
    """Raises ValueError: says how a finished run goes on."""
    raise ValueError(
        f"The run folder must not hold a finished run. Received: {folder}, which does. --continue with more "
        f"fit.epochs goes on with it; --initial.run {folder} begins another run with its weights."
    )


def reopen(folder: Path, config: RunConfig) -> None:
    """Makes a run an unfinished one of more epochs; a kill in between does no harm."""
    write_text(folder / CONFIG_FILE, _as_yaml(config))
    if (folder / MODEL_FILE).exists():
        (folder / MODEL_FILE).rename(folder / FINISHED_BEFORE)


def _num_epochs(folder):
    from keras_transformer.callbacks import num_epochs  # here: `average` reads a configuration before Keras

    return num_epochs(folder / RESUME)


def _difference(before, now, free):
    """The first field whose value differs, in words; None if there is none."""
    before, now = asdict(before), asdict(now)
    for part, values in now.items():
        for name, value in values.items():
            had = before.get(part, {}).get(name)
            if had != value and f"{part}.{name}" not in free:
                return f"{part}.{name}: {had!r}. Received: {value!r}"
    return None


def _as_yaml(config):
    return yaml.safe_dump(asdict(config), sort_keys=False, allow_unicode=True)


def save_model(model, folder: Path) -> None:
    """Writes model.keras beside and renames it into place: a reader never sees half a file.

    Raises:
        ValueError: a weight is not finite.
    """
    from keras_transformer.saving import model_files  # here: `average` reads a configuration before Keras

    model_files.check_finite(model, folder / MODEL_FILE)
    beside = folder / ".model.keras"  # the suffix tells Keras the format
    try:
        model_files.save_model(model, beside)
        beside.rename(folder / MODEL_FILE)
    finally:
        beside.unlink(missing_ok=True)
    (folder / FINISHED_BEFORE).unlink(missing_ok=True)


def load_config(folder, *of_tasks: Any) -> RunConfig:
    """Reads the configuration of a run.

    Args:
        folder: the run folder.
        of_tasks: each a `Task`; it must be of one of them, if there are any.

    Raises:
        ValueError: the folder is no run folder, its configuration is damaged, or it is of another task:
            names the file, or the command that uses such a run.
    """
    path = Path(folder) / CONFIG_FILE
    if not path.is_file():
        raise ValueError(f"A run folder holds {CONFIG_FILE}. Received: {folder}, which does not.")
    mapping = yaml_files.read(path)
    try:
        config = configs.from_mapping(mapping)
    except ValueError as error:
        raise ValueError(f"{path} must be what training.train wrote. Received: {error}") from error
    own = tasks.of(config.model.kind)
    if of_tasks and own not in of_tasks:
        *others, last = (kind for task in of_tasks for kind in task.models)
        kinds = f"{', '.join(others)} or {last}" if others else last
        raise ValueError(
            f"`run` must be of the kind {kinds}. Received: {folder}, of the kind {config.model.kind}, "
            f"which {hints.program(own.command)} uses and {hints.program('training.evaluate')} measures."
        )
    return config

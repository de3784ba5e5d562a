"""A folder of prepared pairs: what it was made from, its tokenizers, whether it is complete.

FOLDER/prepared.json    the parts of the configuration that it depends on
FOLDER/tokenizer/       as in a run folder
FOLDER/shard-*/         see `pipeline.shards`
FOLDER/complete.json    numbers of pairs and tokens; written last
"""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

from training.tasks.translation.config import CorpusConfig, TranslationConfig

SOURCE_FILE, END_FILE = "prepared.json", "complete.json"
# Fields of `data` that do not change what a pair's ids are: batches, other splits, where the files lie.
FREE = ("data_dir", "validation", "test", "weight", "batch_tokens", "bucket_boundaries", "prepared")


def source_of(config: TranslationConfig) -> dict:
    """The parts of a configuration that prepared pairs depend on."""
    data = {name: value for name, value in asdict(config.data).items() if name not in FREE}
    data["also"] = [{k: v for k, v in corpus.items() if k not in FREE} for corpus in data["also"]]
    return {"data": data, "tokenizer": asdict(config.tokenizer)}


def begin(folder: Path, config: TranslationConfig) -> None:
    """Makes the folder, or checks that the one that exists is an unfinished one of this configuration.

    Raises:
        ValueError: it is not.
    """
    if (folder / END_FILE).exists():
        raise ValueError(f"The output must not be prepared already. Received: {folder}, which is complete.")
    if (folder / SOURCE_FILE).exists():
        _check_same(folder, config)
        return
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"The output must be a new folder or one of prepared pairs. Received: {folder}.")
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / SOURCE_FILE, source_of(config))


def save_tokenizers(folder: Path, sides: dict) -> None:
    """Writes the tokenizers beside and renames them into place."""
    beside = folder / ".incomplete-tokenizer"
    shutil.rmtree(beside, ignore_errors=True)
    for name, tokenizer in sides.items():
        tokenizer.save(beside / name)
    beside.rename(folder / "tokenizer")


def remove_shards(folder: Path) -> None:
    """Removes all shards."""
    for path in folder.glob("shard-*"):
        shutil.rmtree(path)


def finish(folder: Path, facts: dict) -> None:
    """Says that everything is there."""
    _write(folder / END_FILE, facts)


def check(config: TranslationConfig) -> None:
    """Raises ValueError unless `data.prepared` names a complete folder for this configuration."""
    folder = Path(config.data.prepared)
    if not (folder / END_FILE).exists():
        raise ValueError(
            f"`data.prepared` must be a folder that training.prepare has finished. Received: {folder}."
        )
    _check_same(folder, config)


def _check_same(folder, config):
    # Fields that are newer than the folder had their defaults.
    default, corpus = source_of(type(config)()), asdict(CorpusConfig(""))
    try:
        before = json.loads((folder / SOURCE_FILE).read_text(encoding="utf-8"))
        before = {part: default[part] | before[part] for part in default}
        also = [{name: (corpus | one)[name] for name in corpus} for one in before["data"]["also"]]
        before["data"]["also"] = [{k: v for k, v in one.items() if k not in FREE} for one in also]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(
            f"{folder / SOURCE_FILE} must be what training.prepare wrote. Received: {error!r}."
        ) from error
    for part, values in json.loads(json.dumps(source_of(config))).items():
        had = before[part]
        for name, value in values.items():
            if had.get(name) != value:
                raise ValueError(
                    f"Prepared pairs belong to the configuration that they were made with, {part}.{name}: "
                    f"{had.get(name)!r}. Received: {value!r}, for {folder}."
                )


def _write(path, value):
    beside = path.with_name(f".{path.name}")
    beside.write_text(json.dumps(value, indent=1), encoding="utf-8")
    beside.rename(path)

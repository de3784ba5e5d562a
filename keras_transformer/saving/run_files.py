"""The small files of a run folder, read by people who may have changed them: what is wrong names the file."""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from keras_transformer.installation import needs
from keras_transformer.types import StrPath

# What a pipeline must know of a run; written by the training.
FACTS_FILE = "pipeline.json"
IMAGES_FILE = "images.json"
DEFAULT_KIND = "transformer"


def read_json(path: StrPath, kind: type[dict] | type[list] = dict) -> Any:
    """The value in a JSON file.

    Args:
        path: the file.
        kind: dict or list, what it must hold.

    Raises:
        OSError: it cannot be read.
        ValueError: it holds anything else; names the file.
    """
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} must hold JSON. Received: {error}.") from error
    if not isinstance(value, kind):
        name = {dict: "a JSON object", list: "a JSON list"}[kind]
        raise ValueError(f"{path} must hold {name}. Received: a {type(value).__name__}.")
    return value


def sha256(path: StrPath) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def flush_to_disk(path: StrPath) -> None:
    """Waits until a file or folder is on disk: after a power cut what was renamed must not be empty."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_parts(folder: StrPath, rule: str, parts: Iterable[str]) -> None:
    """Raises ValueError, with the rule, if one of the parts, paths in the folder, is not there."""
    for part in parts:
        if not (Path(folder) / part).exists():
            raise ValueError(f"{rule}. Received: {folder}, without {part}.")


def kind(folder: StrPath) -> str:
    """The kind of a run's model: "transformer", ...

    Raises:
        ValueError: the folder is no run folder, or its files are damaged; names the file.
    """
    found = _facts(folder).get("kind", DEFAULT_KIND)
    if not isinstance(found, str):
        raise ValueError(f"A kind of model has a name. Received: {folder}, with {found!r:.80}.")
    return found


def length(folder: StrPath, name: str) -> int:
    """A length that the model was trained with, "max_length" or "window".

    Raises:
        OSError: the file cannot be read.
        ValueError: it has no such number.
    """
    facts = _facts(folder)
    found = facts.get(name)
    if type(found) is not int or found < 1:
        raise ValueError(f"{facts['file']} must have a {name}, a positive integer. Received: {found!r}.")
    return found


def classes(folder: StrPath) -> list[str]:
    """The names of a run's classes, in the order of its model's logits.

    Raises:
        OSError: the file cannot be read.
        ValueError: it has no such names.
    """
    facts = _facts(folder)
    return _names(facts.get("classes"), facts["file"])


def _names(found, path) -> list[str]:
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise ValueError(f"{path} must have classes that are names. Received: {found!r}.")
    return found


def image_facts(folder: StrPath) -> dict:
    """{"image_shape": [H, W, C], "classes": names, where there are some} of a run with images.

    Raises:
        OSError: the file cannot be read.
        ValueError: it holds something else.
    """
    paths = [path for name in (FACTS_FILE, IMAGES_FILE) if (path := Path(folder) / name).is_file()]
    if not paths:
        raise ValueError(
            f"A run of images holds {FACTS_FILE}, or {IMAGES_FILE} if it is older. "
            f"Received: {folder}, with neither."
        )
    path = paths[0]
    facts = read_json(path)
    shape, names = facts.get("image_shape"), _names(facts.get("classes", []), path)
    is_shape = isinstance(shape, list) and len(shape) == 3
    if not is_shape or not all(type(size) is int and size > 0 for size in shape):
        raise ValueError(f"{path} must have an image_shape, three sizes. Received: {shape!r}.")
    return {"image_shape": shape} | ({"classes": names} if names else {})


def _facts(folder) -> dict:
    """What a run's pipeline.json holds, or what config.yaml says in its place; and "file", which it was."""
    path = Path(folder) / FACTS_FILE
    if path.exists():
        return {**read_json(path), "file": path}
    with needs("text"):
        import yaml

    path = Path(folder) / "config.yaml"
    if not path.is_file():
        raise ValueError(f"A run folder holds {FACTS_FILE} or config.yaml. Received: {folder}, with neither.")
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        data, model = (config.get(part, {}) for part in ("data", "model"))
        found = {name: data[name] for name in ("max_length", "window") if name in data}
        return found | {"kind": model.get("kind", DEFAULT_KIND), "file": path}
    except (yaml.YAMLError, RecursionError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} must be what training.train wrote. Received: {' '.join(repr(error).split())}."
        ) from error

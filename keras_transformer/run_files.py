"""The small files of a run folder, read by people who may have changed them: what is wrong names the file."""

import json
from pathlib import Path
from typing import Any

from keras_transformer.types import StrPath


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


def data_length(folder: StrPath, name: str) -> int:
    """A length that the model was trained with: `name` in the data section of a run's config.yaml.

    Raises:
        OSError: the file cannot be read.
        ValueError: it has no such number.
    """
    import yaml  # here: the callbacks do without it

    path = Path(folder) / "config.yaml"
    try:
        length = yaml.safe_load(path.read_text(encoding="utf-8"))["data"][name]
        if type(length) is not int or length < 1:
            raise ValueError(f"data.{name}={length!r}")
    except (yaml.YAMLError, RecursionError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} must have data.{name}, a positive integer. Received: {' '.join(repr(error).split())}."
        ) from error
    return length


def image_facts(folder: StrPath) -> dict:
    """{"image_shape": [H, W, C], "classes": names, where there are some} of a run's images.json.

    Raises:
        OSError: the file cannot be read.
        ValueError: it holds something else.
    """
    path = Path(folder) / "images.json"
    facts = read_json(path)
    shape, classes = facts.get("image_shape"), facts.get("classes", [])
    is_shape = isinstance(shape, list) and len(shape) == 3
    if not is_shape or not all(type(size) is int and size > 0 for size in shape):
        raise ValueError(f"{path} must have an image_shape, three sizes. Received: {shape!r}.")
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise ValueError(f"{path} must have classes that are names. Received: {classes!r}.")
    return facts

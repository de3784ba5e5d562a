"""Pipelines that were trained already, by name: `pipelines.from_preset("dates")`.

Their folders lie in a package of their own, `keras_transformer_presets`, which is small models and nothing
else: installed from presets/ of a clone, or found there. Nothing is downloaded.
"""

import importlib.util
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from keras_transformer.saving.run_files import read_json, sha256

PACKAGE = "keras_transformer_presets"
CLONE = Path(__file__).resolve().parents[2] / "presets" / PACKAGE
INDEX = "index.json"


def names() -> dict[str, str]:
    """What there is: {name: what it does}.

    Raises:
        ModuleNotFoundError: the package of the presets is not installed.
    """
    return {name: entry["about"] for name, entry in _index(_package()).items()}


def folder(name: str) -> Path:
    """The run folder of a preset, after a look at every file of it.

    Args:
        name: a key of `names()`.

    Raises:
        ModuleNotFoundError: the package of the presets is not installed.
        ValueError: there is no such preset, or a file of it is missing, changed, or none of its own.
    """
    package = _package()
    index = _index(package)
    if name not in index:
        near = get_close_matches(str(name), index)
        raise ValueError(
            f"There is no such preset. Nearest: {', '.join(near) or 'none'}; all: {', '.join(index)}. "
            f"Received: {name!r}."
        )
    found, sums = package / name, index[name]["files"]
    there = {path.relative_to(found).as_posix() for path in found.rglob("*") if path.is_file()}
    if there != sums.keys():
        raise ValueError(
            f"A preset must have the files that {package / INDEX} lists. "
            f"Received: {found}, missing or more: {', '.join(sorted(there ^ sums.keys()))}."
        )
    for file, expected in sums.items():
        received = sha256(found / file)
        if received != expected:
            raise ValueError(
                f"A preset's file must have the SHA-256 {expected}, or it was changed. "
                f"Received: {found / file}, with {received}."
            )
    return found


def _package() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    if spec is not None and spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    if (CLONE / INDEX).is_file():
        return CLONE
    raise ModuleNotFoundError(
        "Presets with weights are a package of their own: in a clone, `pip install ./presets`. "
        f"Received: no {PACKAGE}."
    )


def _index(package) -> dict[str, Any]:
    return read_json(package / INDEX)

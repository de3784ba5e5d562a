"""Copies of the folders in fixtures/torch, which fixtures/make_torch.py makes, with parts changed."""

import json
from pathlib import Path

from safetensors.numpy import load_file

from tests import marian_folder

FOLDER = Path(__file__).with_name("fixtures") / "torch"


def make(folder, name="words", tensors=None, **files):
    """Writes a folder; see `marian_folder.make`."""
    return marian_folder.make(folder, name, tensors, FOLDER, **files)


def weights(name="words"):
    """{name of a tensor: float32}."""
    return load_file(FOLDER / name / marian_folder.WEIGHTS)


def read(file, name="words"):
    """What a JSON file holds: answers.json, config.json."""
    return json.loads((FOLDER / name / file).read_text(encoding="utf-8"))

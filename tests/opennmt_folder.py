"""Copies of the folders in fixtures/opennmt, which fixtures/make_opennmt.py makes, with parts changed."""

import json
from pathlib import Path

import tensorflow as tf

from tests import marian_folder

FOLDER = Path(__file__).with_name("fixtures") / "opennmt"
PREFIX, SUFFIX = "ckpt-1", "/.ATTRIBUTES/VARIABLE_VALUE"
SPECIAL = {"<blank>": 0, "<unk>": 1, "<s>": 2, "</s>": 3}


def make(folder, name="plain", tensors=None, **files):
    """Writes a folder; see `marian_folder.make`. `tensors` are without `SUFFIX`."""
    marian_folder.make(folder, name, None, FOLDER, **files)
    if tensors is not None:
        save(folder, tensors)
    return folder


def save(folder, tensors):
    """Writes a checkpoint."""
    tf.raw_ops.SaveV2(
        prefix=str(folder / PREFIX),
        tensor_names=[name + SUFFIX for name in tensors],
        shape_and_slices=[""] * len(tensors),
        tensors=[tf.constant(value) for value in tensors.values()],
    )


def weights(name="plain"):
    """{name of a tensor: float32}."""
    reader = tf.train.load_checkpoint(str(FOLDER / name / PREFIX))
    names = [x for x in reader.get_variable_to_shape_map() if x.startswith("model/")]
    return {x.removesuffix(SUFFIX): reader.get_tensor(x) for x in names}


def read(file, name="plain"):
    """What a JSON file holds."""
    return json.loads((FOLDER / name / file).read_text(encoding="utf-8"))


def vocabulary(name, side):
    """The pieces of a side in the order of the folder's ids."""
    file = "both.vocab" if name == "relative" else f"{side}.vocab"
    return [*(FOLDER / name / file).read_text(encoding="utf-8").split("\n")[:-1], "<unk>"]

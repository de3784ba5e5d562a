"""Copies of the folders in fixtures/t5, which fixtures/make_t5.py makes, with parts changed."""

import json
from pathlib import Path

import h5py
import numpy as np
from safetensors.numpy import load_file

from tests import marian_folder

FOLDER = Path(__file__).with_name("fixtures") / "t5"


def make(folder, name="first", tensors=None, **files):
    """Writes a folder; see `marian_folder.make`."""
    return marian_folder.make(folder, name, tensors, FOLDER, **files)


def weights(name="first"):
    """{name of a tensor: float32}."""
    return load_file(FOLDER / name / marian_folder.WEIGHTS)


def read(file, name="first"):
    """What a JSON file holds: answers.json, config.json, ..."""
    return json.loads((FOLDER / name / file).read_text(encoding="utf-8"))


def save_keras_file(tensors, path):
    """tf_model.h5 as TFT5ForConditionalGeneration of transformers 4 wrote it."""
    with h5py.File(path, "w") as file:
        for name, value in tensors.items():
            coder, *parts, _ = name.split(".")
            if coder == "shared":
                file["shared/shared/weight:0"] = value
                continue
            inner = "/".join(parts).replace("block/", "block_._").replace("layer/", "layer_._")
            is_kernel = value.ndim == 2 and parts[-1] != "relative_attention_bias"
            leaf = "kernel" if is_kernel else "weight" if value.ndim == 1 else "embeddings"
            place = f"{coder}/tf_t5for_conditional_generation/{coder}/{inner}/{leaf}:0"
            file[place] = value.T if is_kernel else value


def own_ids(tokenizer, rows):
    """A folder's ids, lists, as the tokenizer's, padded: int32 (B, T)."""
    own = np.argsort(np.delete(order(tokenizer), 2))  # without the start token
    own = own + (own >= 2)
    # Where a beam ends early the library fills up with the end: padding, 0, counts as none there.
    rows = [row[: row.index(1) + 1] if 1 in row else row for row in rows]
    length = max(map(len, rows))
    return np.array([[own[x] for x in row] + [0] * (length - len(row)) for row in rows], "int32")


def order(tokenizer):
    """The folder's id of each of the tokenizer's."""
    return np.array([0, 2, 0, 1, *range(3, tokenizer.vocabulary_size - 1)])

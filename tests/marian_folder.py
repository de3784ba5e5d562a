"""Copies of the folders in fixtures/marian, which fixtures/make_marian.py makes, with parts changed."""

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
from safetensors.numpy import load_file, save_file

FOLDER = Path(__file__).with_name("fixtures") / "marian"
WEIGHTS = "model.safetensors"


def weights(name="shared"):
    """{name of a tensor: float32}."""
    return load_file(FOLDER / name / WEIGHTS)


def read(file, name="shared"):
    """What a JSON file holds: answers.json, config.json, ..."""
    return json.loads((FOLDER / name / file).read_text(encoding="utf-8"))


def make(folder, name="shared", tensors=None, family=FOLDER, **files):
    """Writes a folder.

    Args:
        folder: made.
        name: of the fixture.
        tensors: in place of its own; no file of them if empty.
        family: the folder of the fixtures.
        **files: {name: what is in it}; None for no such file, bytes as they are.
    """
    shutil.copytree(family / name, folder, ignore=shutil.ignore_patterns("answers.json"))
    if tensors is not None:
        (folder / WEIGHTS).unlink()
        if tensors:
            save_file(tensors, folder / WEIGHTS)
    for file, value in files.items():
        if value is None:
            (folder / file).unlink()
        else:
            (folder / file).write_bytes(value if isinstance(value, bytes) else json.dumps(value).encode())
    return folder


def save_keras_file(tensors, path):
    """tf_model.h5 as TFMarianMTModel of transformers 4 wrote it, sinusoids included."""
    leaves = {True: {"weight": "gamma", "bias": "beta"}, False: {"weight": "kernel", "bias": "bias"}}
    top = {
        "final_logits_bias": "final_logits_bias/final_logits_bias:0",
        "model.shared.weight": "model/model.shared/model.shared/embeddings:0",
    }
    model = "model/tf_marian_mt_model"
    with h5py.File(path, "w") as file:
        for name, value in tensors.items():
            *parts, leaf = name.split(".")
            place = "/".join(parts).replace("layers/", "layers.")
            place = f"{model}/{place}/{leaves[place.endswith('_norm')].get(leaf)}:0"
            file[top.get(name, place)] = value.T if place.endswith("kernel:0") and name not in top else value
        for coder in ("encoder", "decoder"):
            file[f"{model}/model/{coder}/embed_positions/embeddings:0"] = np.zeros((64, 12))


def own_ids(tokenizer, vocabulary, rows):
    """A folder's ids, lists, as the tokenizer's, padded: int32 (B, T)."""
    own = {piece.decode(): number for number, piece in enumerate(pieces(tokenizer))}
    own |= {"<pad>": 0, "<unk>": 1, "</s>": 3}
    names = {number: piece for piece, number in vocabulary.items()}
    length = max(map(len, rows))
    return np.array([[own[names[x]] for x in row] + [0] * (length - len(row)) for row in rows], "int32")


def pieces(tokenizer):
    """All of a tokenizer."""
    return tokenizer.id_to_piece(np.arange(tokenizer.vocabulary_size)).numpy().tolist()


def logits(tokenizer, vocabulary, values):
    """A folder's logits (B, T, V - 1) in the order of the tokenizer's ids, without the start token."""
    order = [vocabulary[piece.decode()] for number, piece in enumerate(pieces(tokenizer)) if number != 2]
    return np.asarray(values)[..., order]

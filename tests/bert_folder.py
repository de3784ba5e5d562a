"""A tiny BERT as the library transformers saves one, with weights as drawn, and its formulas in NumPy.

`make(folder)` writes the folder of a sentence encoder; what is given changes parts of it. `with_head` are
the folders in fixtures/bert, which fixtures/make_bert.py makes.
"""

import json
from math import erf
from pathlib import Path

import h5py
import numpy as np
from safetensors.numpy import load_file, save_file

from tests import reference

HEADS = Path(__file__).with_name("fixtures") / "bert"
PIECES = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "a",
    "dog",
    "two",
    "##s",
    "run",
    "##ning",
    ",",
    "cafe",
]
CONFIG = {
    "model_type": "bert",
    "vocab_size": 17,  # more rows than pieces, as in some folders
    "hidden_size": 6,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 11,
    "hidden_act": "gelu",
    "max_position_embeddings": 13,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
}
POOLED = "sentence_transformers.models."
FILES = {
    "config.json": CONFIG,
    "tokenizer_config.json": {"do_lower_case": True, "model_max_length": 512},
    "modules.json": [
        {"idx": 0, "path": "", "type": f"{POOLED}Transformer"},
        {"idx": 1, "path": "1_Pooling", "type": f"{POOLED}Pooling"},
        {"idx": 2, "path": "2_Normalize", "type": f"{POOLED}Normalize"},
    ],
    "1_Pooling/config.json": {"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True},
    "sentence_bert_config.json": {"max_seq_length": 9},
}


def shapes():
    """{name of a tensor: its shape}; matrices are (out, in)."""
    width, inner = CONFIG["hidden_size"], CONFIG["intermediate_size"]
    found = {
        "embeddings.word_embeddings.weight": (CONFIG["vocab_size"], width),
        "embeddings.position_embeddings.weight": (CONFIG["max_position_embeddings"], width),
        "embeddings.token_type_embeddings.weight": (CONFIG["type_vocab_size"], width),
    }
    norms, maps = ["embeddings.LayerNorm"], {"pooler.dense": (width, width)}
    for index in range(CONFIG["num_hidden_layers"]):
        layer = f"encoder.layer.{index}"
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
        for name in ("self.query", "self.key", "self.value", "output.dense"):
            maps[f"{layer}.attention.{name}"] = (width, width)
        maps |= {f"{layer}.intermediate.dense": (inner, width), f"{layer}.output.dense": (width, inner)}
    for name, shape in maps.items():
        found |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return found | {f"{name}.{part}": (width,) for name in norms for part in ("weight", "bias")}


def weights():
    """{name: float32}, the same each time."""
    rng = np.random.default_rng(7)
    return {name: rng.normal(0, 0.5, shape).astype("float32") for name, shape in shapes().items()}


def make(folder, tensors=None, **files):
    """Writes the folder.

    Args:
        folder: made if absent.
        tensors: in place of `weights()`; no file of them if empty.
        **files: {name: what is in it} in place of `FILES`; None for no such file, bytes as they are.
    """
    tensors = weights() if tensors is None else tensors
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in (FILES | {"vocab.txt": "\n".join(PIECES).encode() + b"\n"} | files).items():
        if value is not None:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(value if isinstance(value, bytes) else json.dumps(value).encode())
    if tensors:
        save_file(tensors, folder / "model.safetensors")
    return folder


def with_head(kind, tensors=None, **config):
    """What `make` is given for a folder with a head.

    Args:
        kind: masked_lm, text_classifier or tagger.
        tensors: in place of its own.
        **config: values of config.json in place of its own; None for none.
    """
    files = dict.fromkeys([*FILES, "vocab.txt"])
    files |= {path.name: path.read_bytes() for path in (HEADS / kind).glob("*.json")}
    found = json.loads(files["config.json"]) | config
    files["config.json"] = {name: value for name, value in found.items() if value is not None}
    del files["answers.json"]
    return {"tensors": head_weights(kind) if tensors is None else tensors, **files}


def head_weights(kind):
    """{name: float32} of a folder with a head."""
    return load_file(HEADS / kind / "model.safetensors")


def save_keras_file(tensors, path):
    """tf_model.h5 as transformers 4 wrote it of a model with a head."""
    with h5py.File(path, "w") as file:
        for name, value in tensors.items():
            *parts, leaf = name.replace("layer.", "layer_._").split(".")
            parts[0] = parts[0].replace("cls", "mlm___cls")
            if parts[-1] == "LayerNorm":
                leaf = {"weight": "gamma", "bias": "beta"}[leaf]
            elif parts[-1] in ("position_embeddings", "token_type_embeddings"):
                leaf = "embeddings"
            elif leaf == "weight" and parts[-1] != "word_embeddings":
                leaf, value = "kernel", value.T
            file[f"{parts[0]}/tf_bert/{'/'.join(parts)}/{leaf}:0"] = value


def hidden_states(tensors, ids):
    """Devlin et al. 2019, by the names of the tensors, float64: ids (B, T), padded with 0 -> (B, T, D)."""
    tensors = {name: value.astype("float64") for name, value in tensors.items()}
    heads, epsilon = CONFIG["num_attention_heads"], CONFIG["layer_norm_eps"]

    def dense(name, x):
        return x @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]

    def norm(name, x):
        return reference.layer_norm([tensors[f"{name}.weight"], tensors[f"{name}.bias"]], x, epsilon)

    def split(x):  # (B, T, D) -> (B, H, T, K)
        return x.reshape(*x.shape[:2], heads, -1).transpose(0, 2, 1, 3)

    x = (
        tensors["embeddings.word_embeddings.weight"][ids]
        + tensors["embeddings.token_type_embeddings.weight"][0]
    )
    x = norm("embeddings.LayerNorm", x + tensors["embeddings.position_embeddings.weight"][: ids.shape[1]])
    mask = (ids != 0)[:, None, None, :]
    for index in range(CONFIG["num_hidden_layers"]):
        layer = f"encoder.layer.{index}"
        parts = [split(dense(f"{layer}.attention.self.{name}", x)) for name in ("query", "key", "value")]
        attended = reference.attention(*parts, mask)[0].transpose(0, 2, 1, 3).reshape(x.shape)
        x = norm(
            f"{layer}.attention.output.LayerNorm", x + dense(f"{layer}.attention.output.dense", attended)
        )
        inner = dense(f"{layer}.intermediate.dense", x)
        inner = inner * 0.5 * (1 + np.vectorize(erf)(inner / 2**0.5))
        x = norm(f"{layer}.output.LayerNorm", x + dense(f"{layer}.output.dense", inner))
    return x


def embeddings(tensors, ids):
    """The mean of the hidden states, with the length 1: (B, T) -> (B, D)."""
    mask = (ids != 0)[:, :, None]
    mean = (hidden_states(tensors, ids) * mask).sum(axis=1) / mask.sum(axis=1)
    return mean / np.linalg.norm(mean, axis=1, keepdims=True)

"""Run folders with tiny models, in seconds.

`make` draws a Transformer that was never trained: answers that depend on the question. `train` trains a model
of any kind by the command, for some steps: too few to learn.
"""

import keras
import numpy as np
import yaml

from keras_transformer import models, tokenizers
from training import train as command

MAX_LENGTH = 13
NUM_LAYERS, NUM_HEADS = 2, 2
DIGITS = "0123456789-"

DATES = {
    "data": {"name": "dates", "num_examples": 60, "max_length": 20, "bucket_boundaries": [20]},
    "tokenizer": {"source": {"kind": "bytes"}, "target": {"kind": "code_points"}},
    "quality": {"num_pairs": 5},
}
TEXT = {"data": {"name": "text", "window": 8, "batch_size": 4}, "tokenizer": {"kind": "code_points"}}
LAYER = {"num_layers": 1, "hidden_dim": 8}
HEADS = {"num_heads": 2, "intermediate_dim": 11}
# Kind of model -> its configuration, without the files of running text.
CONFIGS = {
    "rnn_seq2seq": DATES | {"model": LAYER | {"cell": "lstm", "attention": "general"}},
    "conv_seq2seq": DATES | {"model": LAYER},
    "causal_lm": TEXT | {"model": LAYER | HEADS},
    "masked_lm": TEXT | {"model": LAYER | HEADS | {"masked": 0.5}},
    "image_captioner": {
        "data": {"num_examples": 80, "batch_size": 8, "max_length": 64, "flip": True, "shift": 1},
        "tokenizer": {"kind": "code_points"},
        "model": LAYER | {"decoder": "gru", "filters": [4, 4]},
        "quality": {"num_pairs": 5},
    },
    "text_classifier": {
        "data": {"max_length": 12, "batch_size": 4},
        "tokenizer": {"kind": "code_points"},
        "model": LAYER | HEADS,
    },
    "rnn_classifier": {
        "data": {"max_length": 12, "batch_size": 4},
        "tokenizer": {"kind": "code_points"},
        "model": LAYER | {"embedding_dim": 5},
    },
    "tagger": {
        "data": {"max_length": 12, "batch_size": 4},
        "tokenizer": {"kind": "code_points"},
        "model": LAYER | HEADS,
    },
    "attention_cnn": {
        "data": {"name": "digits", "batch_size": 32, "flip": True, "shift": 1},
        "model": {"filters": [4, 4]},
    },
    "vit": {"data": {"name": "digits", "batch_size": 32}, "model": LAYER | HEADS | {"patch_size": 4}},
}
KINDS = sorted(CONFIGS)
TAGGED = "to O\nAmy B-PER\nLee I-PER\n\nin O\nUlm B-LOC\n\n"
CLASSIFIERS = ("text_classifier", "rnn_classifier")  # of texts, whose file is written, too


def make(folder, characters=DIGITS, seed=3):
    """Writes what `training.train` leaves, as far as the other commands read it; returns the folder.

    The source's tokens are bytes and the target's are `characters`. The data set is dates.
    """
    keras.utils.set_random_seed(seed)
    source = tokenizers.CharacterTokenizer.train([], unit="bytes")
    target = tokenizers.CharacterTokenizer.train([characters])
    model = models.Transformer(
        source_vocabulary_size=source.vocabulary_size,
        target_vocabulary_size=target.vocabulary_size,
        num_layers=NUM_LAYERS,
        hidden_dim=6,
        num_heads=NUM_HEADS,
        intermediate_dim=11,
    )
    ids = np.ones((1, 2), "int32")
    model({"source_ids": ids, "target_ids": ids})
    model.set_weights([3 * weight for weight in model.get_weights()])
    (folder / "tokenizer").mkdir(parents=True)
    source.save(folder / "tokenizer" / "source")
    target.save(folder / "tokenizer" / "target")
    model.save(folder / "model.keras")
    config = {
        "data": {
            "name": "dates",
            "num_examples": 7,
            "max_length": MAX_LENGTH,
            "bucket_boundaries": [MAX_LENGTH],
        },
        "model": {"num_layers": NUM_LAYERS, "num_heads": NUM_HEADS},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return folder


def write_config(folder, kind, **model):
    """Writes the configuration of two epochs of two steps into a folder; returns the file's path.

    Args:
        kind: of `KINDS`.
        model: fields of the model that are to differ.
    """
    config = CONFIGS[kind]
    if config["data"] is TEXT["data"]:
        text = folder / "text"
        text.write_text("to be, or not to be\n" * 9, encoding="utf-8")
        config = config | {"data": TEXT["data"] | {"train": [str(text)], "validation": [str(text)]}}
    if kind in CLASSIFIERS:
        file = folder / "labelled.tsv"
        file.write_text("to be\tasked\nor not to be\tasked\nso it is\ttold\n" * 5, encoding="utf-8")
        config = config | {"data": config["data"] | {"train": [str(file)], "validation": [str(file)]}}
    if kind == "tagger":
        file = folder / "tagged.conll"
        file.write_text(TAGGED * 5, encoding="utf-8")
        config = config | {"data": config["data"] | {"train": [str(file)], "validation": [str(file)]}}
    config = config | {
        "model": {"kind": kind} | config["model"] | model,
        "optimizer": {"schedule": "cosine", "warmup_steps": 1},
        "fit": {"epochs": 2, "steps_per_epoch": 2},
    }
    path = folder / f"{kind}.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def train(folder, kind, **model):
    """Trains a model by the command, see `write_config`; returns the run folder."""
    config = write_config(folder, kind, **model)
    command.main(["--config", str(config), "--output", str(folder / "run")])
    return folder / "run"

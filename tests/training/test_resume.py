"""A training that is interrupted goes on as if nothing had happened."""

import json

import keras
import numpy as np
import pytest
import yaml

from training import fitting, train

CONFIG = {
    "data": {"name": "dates", "num_examples": 200, "max_length": 48, "batch_tokens": 1024},
    "tokenizer": {"source": {"kind": "bytes"}, "target": {"kind": "code_points"}},
    "model": {"num_layers": 1, "hidden_dim": 8, "num_heads": 2, "intermediate_dim": 11, "dropout": 0.3},
    "optimizer": {"warmup_steps": 5, "ema_momentum": 0.5},
    "fit": {"epochs": 5, "steps_per_epoch": 3},
}
# What is drawn anew in each pass must be drawn again in the same way.
CHANGED = CONFIG | {
    "data": CONFIG["data"]
    | {
        "also": [{"name": "dates", "num_examples": 70, "weight": 0.4}],
        "weight": 1.5,
        "remove_duplicates": True,
    },
    "tokenizer": {"source": {"kind": "bpe", "vocabulary_size": 500}},
    "augmentation": {
        "sampled_sides": "both",
        "word_dropout": 0.1,
        "word_unknown": 0.1,
        "word_distance": 2,
        "source_token_dropout": 0.1,
        "target_token_dropout": 0.1,
    },
}


# What differs from one run to the next.
OF_TIME = ("seconds", "tokens_per_second")


class Killed(BaseException):
    """What a test raises in place of a kill."""


class KillAt(keras.callbacks.Callback):
    """Ends the training after so many batches."""

    def __init__(self, batches):
        super().__init__()
        self.left = batches

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if not self.left:
            raise Killed


@pytest.fixture(scope="module", params=[CONFIG, CHANGED], ids=["plain", "changed"])
def config_path(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "resume.yaml"
    path.write_text(yaml.safe_dump(request.param))
    return path


def train_to(output, config_path, *options):
    train.main(["--config", str(config_path), "--output", str(output), *options])
    lines = (output / "metrics.jsonl").read_text().splitlines()
    records = [{k: v for k, v in json.loads(line).items() if k not in OF_TIME} for line in lines]
    return records, keras.models.load_model(output / "model.keras").get_weights()


@pytest.fixture(scope="module")
def undisturbed(config_path, tmp_path_factory):
    return train_to(tmp_path_factory.mktemp("runs") / "undisturbed", config_path)


def kill_after(monkeypatch, batches):
    """The next training is killed after so many batches."""
    make = fitting.make_callbacks

    def killing(*arguments):
        monkeypatch.setattr(fitting, "make_callbacks", make)
        return [*make(*arguments), KillAt(batches)]

    monkeypatch.setattr(fitting, "make_callbacks", killing)


@pytest.mark.parametrize("moments", [(2,), (5, 7)])
def test_an_interrupted_training_ends_like_an_undisturbed_one(
    undisturbed, config_path, tmp_path, monkeypatch, moments
):
    for batches in moments:
        kill_after(monkeypatch, batches)
        with pytest.raises(Killed):
            train_to(tmp_path / "run", config_path)
    records, weights = train_to(tmp_path / "run", config_path)
    expected_records, expected_weights = undisturbed
    assert records == expected_records
    for weight, expected in zip(weights, expected_weights, strict=True):
        np.testing.assert_array_equal(weight, expected)

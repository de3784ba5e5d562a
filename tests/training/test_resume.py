"""A training that is interrupted goes on as if nothing had happened."""

import json
import shutil

import keras
import numpy as np
import pytest
import yaml

from keras_transformer.saving.checkpoints import average, choose, read_index
from tests.training.interruptions import Killed, kill_after
from training import train

CONFIG = {
    "data": {"name": "dates", "num_examples": 200, "max_length": 48, "batch_tokens": 1024}
    | {"bucket_boundaries": [24, 48]},
    "tokenizer": {"source": {"kind": "bytes"}, "target": {"kind": "code_points"}},
    "model": {"num_layers": 1, "hidden_dim": 8, "num_heads": 2, "intermediate_dim": 11, "dropout": 0.3},
    "optimizer": {"warmup_steps": 5, "ema_momentum": 0.5},
    "fit": {"epochs": 5, "steps_per_epoch": 3, "freeze": ["source_embedding", "decoder/*/feed_forward"]},
    "quality": {"num_pairs": 17},
    "checkpoints": {"last": 2, "best": 3, "monitor": "val_loss", "average": "best"},
}
# What is drawn anew in each pass must be drawn again in the same way.
CHANGED = CONFIG | {
    "quality": {"frequency": 0},
    "data": CONFIG["data"]
    | {
        "also": [{"name": "dates", "num_examples": 70, "weight": 0.4}],
        "weight": 1.5,
        "remove_duplicates": True,
    },
    "tokenizer": {"source": {"kind": "bpe", "vocabulary_size": 500}},
    "model": CONFIG["model"] | {"share_embeddings": False},
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
# The loss falls: with the wrong mode the first epoch is the best, and the training ends after the third.
ENDS_EARLY = ["--quality.frequency", "0", "--checkpoints.mode", "max", "--checkpoints.patience", "2"]
ENDS_EARLY += ["--checkpoints.average", "none"]


@pytest.fixture(scope="module", params=[pytest.param("plain", marks=pytest.mark.slow), "changed"])
def config_path(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "resume.yaml"
    path.write_text(yaml.safe_dump(CONFIG if request.param == "plain" else CHANGED))
    return path


def train_to(output, config_path, *options):
    """Trains; returns the metrics of all epochs, the index of the checkpoints, and the final weights."""
    train.main(["--config", str(config_path), "--output", str(output), *options])
    lines = (output / "metrics.jsonl").read_text().splitlines()
    records = [{k: v for k, v in json.loads(line).items() if k not in OF_TIME} for line in lines]
    weights = keras.models.load_model(output / "model.keras").get_weights()
    return records, read_index(output / "checkpoints"), weights


def assert_equal(result, expected):
    assert result[:2] == expected[:2]
    for weight, expected_weight in zip(result[2], expected[2], strict=True):
        np.testing.assert_array_equal(weight, expected_weight)


@pytest.fixture(scope="module")
def undisturbed(config_path, tmp_path_factory):
    output = tmp_path_factory.mktemp("runs") / "undisturbed"
    return output, train_to(output, config_path)


@pytest.mark.slow
def test_an_interrupted_training_ends_like_an_undisturbed_one(
    undisturbed, config_path, tmp_path, monkeypatch
):
    # Within the first epoch, within another, and when nothing is missing but the final model.
    for moment in ({"batches": 2}, {"batches": 5}, {"epochs": 5}):
        kill_after(monkeypatch, **moment)
        with pytest.raises(Killed):
            train_to(tmp_path / "run", config_path)
    assert_equal(train_to(tmp_path / "run", config_path), undisturbed[1])


def test_the_model_is_the_average_of_the_best_checkpoints(undisturbed):
    output, (_, index, weights) = undisturbed
    scores = sorted(entry["score"] for entry in index["checkpoints"])
    paths = choose(output / "checkpoints", "best", 3)
    for weight, expected in zip(weights, average(paths).get_weights(), strict=True):
        np.testing.assert_array_equal(weight, expected)
    chosen = [entry["score"] for entry in index["checkpoints"] if entry["file"] in [p.name for p in paths]]
    assert sorted(chosen) == scores[:3]


def test_what_is_frozen_stays_so_to_the_end(undisturbed):
    output, _ = undisturbed
    models = [output / "model.keras", *choose(output / "checkpoints", "last")]
    first, *others = (keras.models.load_model(path, compile=False) for path in models)
    for model in others:
        assert not model.source_embedding.trainable
        for weight, expected in zip(model.weights, first.weights, strict=True):
            if not weight.trainable or "kernel" in weight.path:
                assert np.array_equal(weight.numpy(), expected.numpy()) != weight.trainable, weight.path


@pytest.mark.slow
def test_a_training_that_ends_early_does_so_after_the_same_epoch(config_path, tmp_path, monkeypatch):
    expected = train_to(tmp_path / "undisturbed", config_path, *ENDS_EARLY)
    assert len(expected[0]) == 3
    # The averaged weights are those that were measured and saved.
    last = keras.models.load_model(choose(tmp_path / "undisturbed" / "checkpoints", "last", 1)[0])
    for weight, saved in zip(expected[2], last.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, saved)
    for moment in ({"batches": 7}, {"epochs": 3}):
        kill_after(monkeypatch, **moment)
        with pytest.raises(Killed):
            train_to(tmp_path / "run", config_path, *ENDS_EARLY)
    assert_equal(train_to(tmp_path / "run", config_path, *ENDS_EARLY), expected)


def test_a_finished_run_is_made_longer_as_if_it_had_been_so_from_the_start(
    undisturbed, config_path, tmp_path, fails
):
    output = tmp_path / "run"
    train_to(output, config_path, "--fit.epochs", "3")
    given = ["--config", config_path, "--output", output]
    refused = fails(train.main, *given)
    assert "--continue" in refused and "--initial.run" in refused
    longer = [*given, "--continue"]
    assert "fit.epochs=2" in fails(train.main, *longer, "--fit.epochs", "2")
    assert "seed" in fails(train.main, *longer, "--fit.seed", "7")
    assert (output / "model.keras").exists()
    assert_equal(train_to(output, config_path, "--continue"), undisturbed[1])
    assert not (output / "checkpoints" / "finished.keras").exists()
    assert "finished run" in fails(train.main, *longer)


@pytest.mark.slow
def test_a_run_that_was_killed_and_made_longer_ends_like_an_undisturbed_one(
    undisturbed, config_path, tmp_path, monkeypatch
):
    output = tmp_path / "run"
    # Within the first epoch, and when nothing is missing but the final model.
    for moment in ({"batches": 2}, {"epochs": 3}):
        kill_after(monkeypatch, **moment)
        with pytest.raises(Killed):
            train_to(output, config_path, "--fit.epochs", "3")
    train_to(output, config_path, "--fit.epochs", "3")
    # Killed in the first of the new epochs: the same command goes on, and what was there is still there.
    kill_after(monkeypatch, batches=1)
    with pytest.raises(Killed):
        train_to(output, config_path, "--continue")
    assert (output / "checkpoints" / "finished.keras").exists()
    assert_equal(train_to(output, config_path, "--continue"), undisturbed[1])
    assert not (output / "checkpoints" / "finished.keras").exists()


def test_there_must_be_something_to_continue(tmp_path, fails, config_path, undisturbed):
    given = ["--config", config_path, "--continue", "--output"]
    assert "not there" in fails(train.main, *given, tmp_path / "run")
    older = tmp_path / "older"
    shutil.copytree(undisturbed[0], older)
    shutil.rmtree(older / "checkpoints" / "resume")
    assert f"--initial.run {older}" in fails(train.main, *given, older, "--fit.epochs", "9")

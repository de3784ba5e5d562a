"""Every kind of model by the commands: trained, gone on with, measured, used; too tiny to learn."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
import yaml

from tests.training.interruptions import Killed, kill_after
from training import average, caption, classify, evaluate, generate, train

SHORT = {
    "optimizer": {"schedule": "cosine", "warmup_steps": 1},
    "fit": {"epochs": 2, "steps_per_epoch": 2},
}
TEXT = {"window": 8, "batch_size": 4}
DATES = {
    "data": {"name": "dates", "num_examples": 60, "max_length": 48, "bucket_boundaries": [48]},
    "tokenizer": {"source": {"kind": "bytes"}, "target": {"kind": "code_points"}},
    "quality": {"num_pairs": 5},
}
LAYER = {"num_layers": 1, "hidden_dim": 8}
HEADS = {"num_heads": 2, "intermediate_dim": 11}
RUNS = {
    "rnn_seq2seq": DATES | {"model": {"kind": "rnn_seq2seq", **LAYER}},
    "conv_seq2seq": DATES | {"model": {"kind": "conv_seq2seq", **LAYER}},
    "causal_lm": {
        "data": TEXT,
        "tokenizer": {"kind": "code_points"},
        "model": {"kind": "causal_lm", **LAYER, **HEADS},
    },
    "masked_lm": {
        "data": TEXT,
        "tokenizer": {"kind": "code_points"},
        "model": {"kind": "masked_lm", **LAYER, **HEADS, "masked": 0.5},
    },
    "image_captioner": {
        "data": {"num_examples": 40, "batch_size": 8, "max_length": 160, "flip": True, "shift": 1},
        "tokenizer": {"kind": "code_points"},
        "model": {"kind": "image_captioner", "decoder": "gru", **LAYER, "filters": [4, 4]},
        "quality": {"num_pairs": 5},
    },
    "attention_cnn": {
        "data": {"name": "digits", "batch_size": 32, "flip": True, "shift": 1},
        "model": {"kind": "attention_cnn", "filters": [4, 4]},
    },
}
KINDS = sorted(RUNS)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """{kind: path of its configuration}."""
    folder = tmp_path_factory.mktemp("configs")
    (folder / "text").write_text("to be, or not to be\n\nthat is the question\n" * 4)
    for kind, config in RUNS.items():
        data = config["data"]
        if data is TEXT:
            data = TEXT | {"train": [str(folder / "text")], "validation": [str(folder / "text")]}
        (folder / f"{kind}.yaml").write_text(yaml.safe_dump(SHORT | config | {"data": data}))
    return {kind: str(folder / f"{kind}.yaml") for kind in RUNS}


@pytest.fixture(scope="module")
def runs(files, tmp_path_factory):
    """Kind -> its run folder, trained when it is first asked for."""
    folder, made = tmp_path_factory.mktemp("runs"), set()

    def run(kind):
        if kind not in made:
            train.main(["--config", files[kind], "--output", str(folder / kind)])
            made.add(kind)
        return folder / kind

    return run


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("picture") / "grey.png"
    grey = np.random.default_rng(0).integers(256, size=(30, 20, 1)).astype(np.uint8)
    path.write_bytes(tf.io.encode_png(grey).numpy())
    return str(path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_is_whole_and_can_be_measured(runs, kind, capsys):
    run = runs(kind)
    assert {"config.yaml", "plan.json", "model.keras", "metrics.jsonl"} <= {x.name for x in run.iterdir()}
    assert (run / "images.json").exists() == (kind in ("image_captioner", "attention_cnn"))
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in records] == [1, 2]
    capsys.readouterr()
    evaluate.main(["--run", str(run), "--data", "validation"])
    measures = {line.split(" = ")[0]: line for line in capsys.readouterr().out.splitlines()}
    expected = {"attention_cnn": "accuracy", "masked_lm": "token accuracy", "causal_lm": "perplexity"}
    assert expected.get(kind, "exact match") in measures


@pytest.mark.parametrize("kind", ["causal_lm", "image_captioner"])
def test_a_killed_training_goes_on_as_if_nothing_had_happened(runs, files, kind, tmp_path, monkeypatch):
    output = tmp_path / "run"
    kill_after(monkeypatch, batches=3)
    with pytest.raises(Killed):
        train.main(["--config", files[kind], "--output", str(output)])
    train.main(["--config", files[kind], "--output", str(output)])
    last, expected = (
        json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1]) for folder in (output, runs(kind))
    )
    for record in (last, expected):
        for name in ("seconds", "tokens_per_second"):
            del record[name]
    assert last == expected
    weights, expected = (
        keras.models.load_model(folder / "model.keras").get_weights() for folder in (output, runs(kind))
    )
    for found, wanted in zip(weights, expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("kind", ["causal_lm", "attention_cnn"])
def test_a_dry_run_tells_what_a_training_costs(files, kind, tmp_path, capsys):
    train.main(["--config", files[kind], "--dry_run", "--output", str(tmp_path / "run")])
    page = capsys.readouterr().out
    shape = {"causal_lm": "4 x 8", "attention_cnn": "32 x 8 x 8 x 1"}[kind]
    assert f"            {shape}: " in page and "parameters  " in page and "time        about" in page


@pytest.mark.parametrize("kind", ["masked_lm", "attention_cnn"])
def test_a_run_begins_with_the_weights_of_another(runs, files, kind, tmp_path, capsys):
    begun = ["--initial.run", str(runs(kind)), "--fit.epochs", "1"]
    train.main(
        ["--config", files[kind], "--output", str(tmp_path / "run"), *begun, "--optimizer.peak", "1e-12"]
    )
    assert "initial weights: " in capsys.readouterr().out
    before, after = (
        keras.models.load_model(folder / "model.keras") for folder in (runs(kind), tmp_path / "run")
    )
    for found, wanted in zip(after.trainable_weights, before.trainable_weights, strict=True):
        np.testing.assert_allclose(found.numpy(), wanted.numpy(), atol=1e-9)


def test_a_run_of_another_task_cannot_be_begun_with(runs, files, fails, tmp_path):
    begun = ["--initial.run", runs("attention_cnn"), "--output", tmp_path / "run"]
    assert "an attention_cnn" in fails(train.main, "--config", files["causal_lm"], *begun).replace(
        "a a", "an a"
    )
    assert not (tmp_path / "run").exists()


def test_averaged_captioners_describe_images_too(runs, picture, tmp_path, capsys):
    average.main(["--run", str(runs("image_captioner")), "--output", str(tmp_path / "mean")])
    caption.main(["--run", str(tmp_path / "mean"), "--beam", "1", picture])
    assert capsys.readouterr().out.endswith("\n")


def test_texts_go_on_within_the_window_and_beyond(runs, capsys):
    for max_length in ("8", "21"):
        options = ["--max_length", max_length, "--temperature", "5"]
        generate.main(["--run", str(runs("causal_lm")), "to be", *options])
        assert capsys.readouterr().out.startswith("to be")


def test_the_attention_over_an_image_is_drawn(runs, picture, tmp_path, capsys):
    drawn = tmp_path / "attention.png"
    caption.main(["--run", str(runs("image_captioner")), picture, "--picture", str(drawn)])
    assert drawn.stat().st_size > 1000


def test_an_image_is_classified_with_a_probability(runs, picture, capsys):
    classify.main(["--run", str(runs("attention_cnn")), picture, picture])
    first, second = (line.split("\t") for line in capsys.readouterr().out.splitlines())
    assert first == second and first[0] in ("zero", "one", "two", "three", "four", "five", "six", "seven") + (
        "eight",
        "nine",
    )
    assert 0.1 <= float(first[1]) <= 1


@pytest.mark.parametrize("command", [generate, caption, classify])
def test_a_run_of_another_kind_is_refused(runs, fails, picture, command):
    arguments = ["to be"] if command is generate else [picture]
    assert "a masked_lm" in fails(command.main, "--run", runs("masked_lm"), *arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--beam", "2"], "Options of a search"),
        (["--report", "x.html"], "`report` is for translators"),
        (["--data", "test"], "must have a test split"),
    ],
)
def test_what_a_language_model_has_not_is_refused(runs, fails, options, message):
    arguments = ["--run", runs("causal_lm"), *(["--data", "validation"] if "--data" not in options else [])]
    assert message in fails(evaluate.main, *arguments, *options)

"""Every kind of model by the commands: trained, gone on with, measured, used; too tiny to learn."""

import io
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import tiny_runs
from tests.training.interruptions import Killed, kill_after
from training import average, caption, classify, evaluate, fill, generate, train


@pytest.fixture(scope="module")
def configs(tmp_path_factory):
    """{kind: path of its configuration}."""
    folder = tmp_path_factory.mktemp("configs")
    return {kind: str(tiny_runs.write_config(folder, kind)) for kind in tiny_runs.KINDS}


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("picture") / "grey.png"
    grey = np.random.default_rng(0).integers(256, size=(30, 20, 1)).astype(np.uint8)
    path.write_bytes(tf.io.encode_png(grey).numpy())
    return str(path)


@pytest.mark.parametrize("kind", tiny_runs.KINDS)
def test_a_run_is_whole_and_can_be_measured(zoo_run, kind, capsys):
    run = zoo_run(kind)
    assert {"config.yaml", "plan.json", "model.keras", "metrics.jsonl"} <= {x.name for x in run.iterdir()}
    assert (run / "images.json").exists() == (kind in ("image_captioner", "attention_cnn"))
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in records] == [1, 2]
    capsys.readouterr()
    evaluate.main(["--run", str(run), "--data", "validation"])
    measures = {line.split(" = ")[0]: line for line in capsys.readouterr().out.splitlines()}
    expected = {"attention_cnn": "accuracy", "masked_lm": "token accuracy", "causal_lm": "perplexity"}
    assert expected.get(kind, "exact match") in measures
    if kind in expected:  # two decimals are enough from 0 to 100, not for an accuracy from 0 to 1 or a loss
        value = measures[expected[kind]].split(" = ")[1].split()[0]
        assert value == f"{records[-1]['val_' + expected[kind].replace(' ', '_')]:.4f}"


@pytest.mark.parametrize("kind", ["causal_lm", "image_captioner"])
def test_a_killed_training_goes_on_as_if_nothing_had_happened(zoo_run, configs, kind, tmp_path, monkeypatch):
    output, whole = tmp_path / "run", zoo_run(kind)
    kill_after(monkeypatch, batches=3)
    with pytest.raises(Killed):
        train.main(["--config", configs[kind], "--output", str(output)])
    train.main(["--config", configs[kind], "--output", str(output)])
    last, expected = (
        json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1]) for folder in (output, whole)
    )
    for record in (last, expected):
        for name in ("seconds", "tokens_per_second"):
            del record[name]
    assert last == expected
    weights, expected = (
        keras.models.load_model(folder / "model.keras").get_weights() for folder in (output, whole)
    )
    for found, wanted in zip(weights, expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.usefixtures("starts_warm")
@pytest.mark.parametrize("kind", ["causal_lm", "attention_cnn"])
def test_a_dry_run_tells_what_a_training_costs(configs, kind, tmp_path, capsys):
    train.main(["--config", configs[kind], "--dry_run", "--output", str(tmp_path / "run")])
    page = capsys.readouterr().out
    shape = {"causal_lm": "4 x 8", "attention_cnn": "32 x 8 x 8 x 1"}[kind]
    assert f"            {shape}: " in page and "parameters  " in page and "time        about" in page


@pytest.mark.parametrize("kind", ["masked_lm", "attention_cnn"])
def test_a_run_begins_with_the_weights_of_another(zoo_run, configs, kind, tmp_path, capsys):
    begun = ["--initial.run", str(zoo_run(kind)), "--fit.epochs", "1"]
    train.main(
        ["--config", configs[kind], "--output", str(tmp_path / "run"), *begun, "--optimizer.peak", "1e-12"]
    )
    assert "initial weights: " in capsys.readouterr().out
    before, after = (
        keras.models.load_model(folder / "model.keras") for folder in (zoo_run(kind), tmp_path / "run")
    )
    for found, wanted in zip(after.trainable_weights, before.trainable_weights, strict=True):
        np.testing.assert_allclose(found.numpy(), wanted.numpy(), atol=1e-9)


def test_a_run_of_another_task_cannot_be_begun_with(zoo_run, configs, fails, tmp_path):
    begun = ["--initial.run", zoo_run("attention_cnn"), "--output", tmp_path / "run"]
    assert "an attention_cnn" in fails(train.main, "--config", configs["causal_lm"], *begun).replace(
        "a a", "an a"
    )
    assert not (tmp_path / "run").exists()


def test_averaged_captioners_describe_images_too(zoo_run, picture, tmp_path, capsys):
    average.main(["--run", str(zoo_run("image_captioner")), "--output", str(tmp_path / "mean")])
    caption.main(["--run", str(tmp_path / "mean"), "--beam", "1", picture])
    assert capsys.readouterr().out.endswith("\n")


def test_texts_go_on_within_the_window_and_beyond(zoo_run, capsys):
    for max_length in ("8", "21"):
        options = ["--max_length", max_length, "--temperature", "5"]
        generate.main(["--run", str(zoo_run("causal_lm")), "to be", *options])
        assert capsys.readouterr().out.startswith("to be")


def test_the_attention_over_an_image_is_drawn(zoo_run, picture, tmp_path, capsys):
    drawn = tmp_path / "attention.png"
    caption.main(["--run", str(zoo_run("image_captioner")), picture, "--picture", str(drawn)])
    assert drawn.stat().st_size > 1000


def test_a_head_is_for_a_picture(zoo_run, fails, picture):
    message = fails(caption.main, "--run", zoo_run("image_captioner"), picture, "--head", "0")
    assert "`head` needs --picture" in message


def test_an_image_is_classified_with_a_probability(zoo_run, picture, capsys):
    classify.main(["--run", str(zoo_run("attention_cnn")), picture, picture])
    first, second = (line.split("\t") for line in capsys.readouterr().out.splitlines())
    assert first == second and first[0] in ("zero", "one", "two", "three", "four", "five", "six", "seven") + (
        "eight",
        "nine",
    )
    assert 0.1 <= float(first[1]) <= 1


def test_a_gap_is_filled_with_the_likeliest_tokens(zoo_run, capsys, monkeypatch):
    fill.main(["--run", str(zoo_run("masked_lm")), "be, [MASK]r", "--candidates", "3"])
    lines = capsys.readouterr().out.splitlines()
    tokens, probabilities = zip(*(line.split("\t") for line in lines), strict=True)
    assert len(lines) == 3 and {json.loads(token) for token in tokens} < set("to be, or not to be\n")
    assert 1 > float(probabilities[0]) >= float(probabilities[1]) >= float(probabilities[2]) > 0
    monkeypatch.setattr("sys.stdin", io.StringIO("be, [MASK]r\nto [MASK]\n"))
    fill.main(["--run", str(zoo_run("masked_lm")), "--candidates", "3"])
    from_input = capsys.readouterr().out.splitlines()
    assert from_input[:3] == lines and len(from_input) == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["to be"], "must hold [MASK]. Received: 'to be'"),
        (["[MASK]", "--candidates", "0"], "`candidates` must be at least 1. Received: 0"),
    ],
)
def test_what_cannot_be_filled_is_said(zoo_run, fails, arguments, message):
    assert message in fails(fill.main, "--run", zoo_run("masked_lm"), *arguments)


@pytest.mark.parametrize("command", [generate, caption, classify, fill])
def test_a_run_of_another_kind_is_refused(zoo_run, fails, picture, command):
    kind = "causal_lm" if command is fill else "masked_lm"
    arguments = [picture] if command in (caption, classify) else ["to be"]
    assert f"a {kind}" in fails(command.main, "--run", zoo_run(kind), *arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--beam", "2"], "Options of a search"),
        (["--report", "x.html"], "`report` is for translators"),
        (["--data", "test"], "must have a test split"),
    ],
)
def test_what_a_language_model_has_not_is_refused(zoo_run, fails, options, message):
    split = [] if "--data" in options else ["--data", "validation"]
    assert message in fails(evaluate.main, "--run", zoo_run("causal_lm"), *split, *options)

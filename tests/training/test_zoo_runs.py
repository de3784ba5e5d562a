"""Every kind of model by the commands: trained, gone on with, measured, used; too tiny to learn."""

import contextlib
import io
import json
import re
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
import yaml

from tests import tiny_runs
from tests.training.interruptions import Killed, kill_after
from training import (
    average,
    caption,
    classify,
    curves,
    evaluate,
    fill,
    generate,
    predict,
    score,
    train,
    translate,
)
from training.config import KINDS

TRANSLATORS = {"transformer", "rnn_seq2seq", "conv_seq2seq"}
# What each command takes beside a run, and the kinds that it is for.
OWN = {
    translate: (["5 May", "7", "--with_alignments", "--layer", "0", "--head", "0"], TRANSLATORS),
    score: (["5 May", "2031"], TRANSLATORS),
    generate: (["to", "be"], {"causal_lm"}),
    fill: (["to [MASK]", "[MASK]"], {"masked_lm"}),
    caption: (["IMAGE"], {"image_captioner"}),
    # A path is a text, too.
    classify: (["IMAGE"], {"attention_cnn", "vit", *tiny_runs.CLASSIFIERS}),
}
# Kinds without a command of their own.
ONLY_PREDICTED = {"tagger"}
# They are trained and measured as another kind is.
SECOND = {"rnn_classifier", "rnn_seq2seq"}
# Their commands are those of another kind, which is asked.
LIKE_OTHERS = ONLY_PREDICTED | {"rnn_seq2seq", "conv_seq2seq", "vit", "rnn_classifier"}
SEARCH = ["--beam", "1", "--max_length", "5"]
GONE = "/old/place/of/the/data"


def slowly(kind):
    """Of a kind that shows nothing new, before a release."""
    return pytest.param(kind, marks=pytest.mark.slow)


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


@pytest.fixture(scope="module")
def examples(picture, tmp_path_factory):
    """{kind: file to measure a run on}."""
    folder = tmp_path_factory.mktemp("examples")
    texts = {
        "pairs": "5 March 2031\t2031-03-05\n7\t7\n",
        "captions": f"{picture}\ta large one\n",
        "classes": f"{picture}\tseven\n",
        "text": "to be, or not to be\n",
        "labelled": "to be\tasked\n",
        "tagged": "Amy B-PER\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    names = {"image_captioner": "captions", "attention_cnn": "classes", "vit": "classes", "tagger": "tagged"}
    names |= dict.fromkeys(TRANSLATORS, "pairs")
    names |= dict.fromkeys(tiny_runs.CLASSIFIERS, "labelled")
    return {kind: str(folder / names.get(kind, "text")) for kind in KINDS}


@contextlib.contextmanager
def eagerly():
    """Without graphs, of which each would be made for one question."""
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)


@pytest.mark.parametrize("kind", [slowly(kind) if kind in SECOND else kind for kind in tiny_runs.KINDS])
def test_a_run_is_whole_and_can_be_measured(zoo_run, kind, capsys):
    run = zoo_run(kind)
    assert {"config.yaml", "plan.json", "model.keras", "metrics.jsonl"} <= {x.name for x in run.iterdir()}
    facts = json.loads((run / "pipeline.json").read_text())
    assert facts["kind"] == kind and len(facts) > 1
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in records] == [1, 2]
    capsys.readouterr()
    searched = SEARCH if kind in TRANSLATORS | {"image_captioner"} else []
    evaluate.main(["--run", str(run), "--data", "validation", *searched])
    measures = {line.split(" = ")[0]: line for line in capsys.readouterr().out.splitlines()}
    expected = dict.fromkeys(("attention_cnn", "vit", "tagger", *tiny_runs.CLASSIFIERS), "accuracy")
    expected |= {"masked_lm": "token accuracy", "causal_lm": "perplexity"}
    assert expected.get(kind, "exact match") in measures
    if kind in expected:  # two decimals are enough from 0 to 100, not for an accuracy from 0 to 1 or a loss
        value = measures[expected[kind]].split(" = ")[1].split()[0]
        assert value == f"{records[-1]['val_' + expected[kind].replace(' ', '_')]:.4f}"


@pytest.mark.parametrize("kind", [slowly(kind) if kind in LIKE_OTHERS else kind for kind in KINDS])
def test_a_command_works_or_names_the_right_one(
    zoo_run, drawn_run, fails, picture, examples, tmp_path, capsys, kind
):
    run = drawn_run if kind == "transformer" else zoo_run(kind)
    capsys.readouterr()
    for command, (arguments, kinds) in OWN.items():
        given = ["--run", str(run), *(picture if word == "IMAGE" else word for word in arguments)]
        if kind not in kinds:
            line = fails(command.main, *given)
            right = next((own.__name__ for own, (_, kinds) in OWN.items() if kind in kinds), predict.__name__)
            measures = "which python -m {right} uses and python -m training.evaluate measures"
            assert f"of the kind {kind}, {measures.format(right=right)}" in line
            named = re.search("must be of the kind ([a-z0-9_, ]+)[.]", line)[1]
            assert set(re.split(", | or ", named)) == kinds
            continue
        with eagerly():
            command.main([*given, *(SEARCH if command in (translate, generate, caption) else [])])
        assert capsys.readouterr().out.strip()
    with eagerly():
        if kind in ONLY_PREDICTED:
            predict.main(["--run", str(run), "to be"])
            assert capsys.readouterr().out.strip()
        searched = SEARCH if kind in TRANSLATORS | {"image_captioner"} else []
        evaluate.main(["--run", str(run), "--files", examples[kind], *searched])
    assert " = " in capsys.readouterr().out
    if run is not drawn_run:  # which has neither checkpoints nor curves
        average.main(["--run", str(run), "--output", str(tmp_path / "mean"), "--num", "1"])
        curves.main([str(run), "--output", str(tmp_path / "curves.svg")])
        assert (tmp_path / "mean/model.keras").exists() and (tmp_path / "curves.svg").exists()


@pytest.mark.parametrize(
    "kind", [slowly("conv_seq2seq"), "causal_lm", slowly("image_captioner"), "attention_cnn"]
)
def test_a_run_is_measured_where_its_data_is_not(zoo_run, fails, examples, tmp_path, capsys, kind):
    run = tmp_path / "run"
    shutil.copytree(zoo_run(kind), run)
    config = yaml.safe_load((run / "config.yaml").read_text())
    name = {"conv_seq2seq": "parallel_text", "causal_lm": "text"}.get(kind, "image_files")
    config["data"] |= {"name": name, "train": [f"{GONE}/a"], "validation": [], "test": [f"{GONE}/b"]}
    config["initial"]["run"] = config["checkpoints"]["export_best"] = GONE
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    line = fails(evaluate.main, "--run", run)
    assert f"must exist. Received: {GONE}/b. If it lies elsewhere, give --files FILE ..." in line
    line = fails(evaluate.main, "--run", run, "--data", "validation")
    assert "must have a validation split. Received: none was configured. Give --files FILE ..." in line
    capsys.readouterr()
    files = [examples[kind]]
    if kind == "conv_seq2seq":
        files = [str(tmp_path / "source"), str(tmp_path / "target")]
        for file, text in zip(files, ("5 March 2031\n", "2031-03-05\n"), strict=True):
            (tmp_path / file).write_text(text)
    with eagerly():
        evaluate.main(["--run", str(run), "--files", *files])
    assert " = " in capsys.readouterr().out


@pytest.mark.parametrize(
    "kind", ["attention_cnn", *map(slowly, ("causal_lm", "image_captioner", "vit", *tiny_runs.CLASSIFIERS))]
)
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
@pytest.mark.parametrize("kind", [slowly("causal_lm"), "attention_cnn"])
def test_a_dry_run_tells_what_a_training_costs(configs, kind, tmp_path, capsys):
    train.main(["--config", configs[kind], "--dry_run", "--output", str(tmp_path / "run")])
    page = capsys.readouterr().out
    shape = {"causal_lm": "4 x 8", "attention_cnn": "32 x 8 x 8 x 1"}[kind]
    assert f"            {shape}: " in page and "parameters  " in page and "time        about" in page


@pytest.mark.parametrize("kind", [slowly("masked_lm"), "attention_cnn"])
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
    line = fails(train.main, "--config", configs["causal_lm"], *begun)
    assert "the same task as that of the kind causal_lm" in line and "of the kind attention_cnn" in line
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
    run, drawn = zoo_run("image_captioner"), tmp_path / "attention.png"
    with eagerly():
        caption.main(["--run", str(run), picture, "--picture", str(drawn), *SEARCH])
    assert drawn.stat().st_size > 1000


def test_the_patches_that_counted_are_drawn(zoo_run, fails, picture, tmp_path, capsys):
    drawn = tmp_path / "rollout.png"
    given = [picture, "--picture", str(drawn)]
    line = fails(classify.main, "--run", zoo_run("attention_cnn"), *given)
    assert "`picture` is for a vit, whose attention covers the image. Received: " in line
    assert line.endswith("of the kind attention_cnn.") and not drawn.exists()
    capsys.readouterr()
    classify.main(["--run", str(zoo_run("vit")), *given])
    assert drawn.stat().st_size > 1000 and capsys.readouterr().out.count("\t") == 1


def test_images_that_do_not_divide_into_patches_are_refused_before_a_training(configs, fails, tmp_path):
    output = tmp_path / "run"
    for size, message in ((16, "patch_size=16"), (3, "must be a power of 2. Received: patch_size=3")):
        line = fails(train.main, "--config", configs["vit"], "--output", output, "--model.patch_size", size)
        assert message in line and not output.exists()


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
    given = io.BytesIO(b"be, [MASK]r\nto [MASK]\n")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(given))
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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--beam", "2"], "Options of a search"),
        (["--output", "x"], "`output` is for translators"),
        (["--data", "test"], "must have a test split"),
        (["--max_ratio", "2"], "Options of a search"),
    ],
)
def test_what_a_language_model_has_not_is_refused(zoo_run, fails, options, message):
    split = [] if "--data" in options else ["--data", "validation"]
    assert message in fails(evaluate.main, "--run", zoo_run("causal_lm"), *split, *options)


def test_an_option_about_a_source_is_refused_where_there_is_none(zoo_run, fails, picture, examples):
    for command, kind, text in ((caption, "image_captioner", picture), (generate, "causal_lm", "to")):
        line = fails(command.main, "--run", zoo_run(kind), text, "--coverage_penalty", "1")
        assert "unrecognized arguments: --coverage_penalty" in line
    run, files = zoo_run("image_captioner"), examples["image_captioner"]
    line = fails(evaluate.main, "--run", run, "--files", files, "--min_ratio", "1")
    assert "`min_ratio` is for translators. Received: min_ratio=1.0, for " in line


def test_any_option_of_beam_search_asks_for_it(zoo_run, capsys):
    with eagerly():
        generate.main(["--run", str(zoo_run("causal_lm")), "to", "--alpha", "1", "--max_length", "5"])
    assert capsys.readouterr().out.startswith("to")


def test_where_nothing_can_be_looked_at_nothing_is_printed(zoo_run, fails, picture, tmp_path, capsys):
    run = zoo_run("image_captioner")
    with eagerly():
        line = fails(
            caption.main, "--run", run, picture, *SEARCH, "--picture", tmp_path / "a.png", "--layer", 9
        )
    assert "`layer` must be from 0 to 0. Received: layer=9." in line and not capsys.readouterr().out
    assert not list(tmp_path.iterdir())

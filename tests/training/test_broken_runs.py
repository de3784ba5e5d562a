"""A run folder of which a file was cut, changed or replaced: a line that names the file, or an answer."""

import json
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_transformer import tokenizers
from keras_transformer.callbacks.metrics_file import read_metrics
from keras_transformer.saving import run_files
from keras_transformer.saving.checkpoints import choose
from keras_transformer.saving.model_files import load_model
from training import average, evaluate, run_folder, score, train, translate
from training.config import config_class
from training.plan import Plan
from training.sweep import settings as sweeps
from training.sweep import space

# What stands where a mapping or a list should.
OTHERS = ["", "[]", "{}", "null", "3", '"x"', "- a", "a: &a [*a]", "[" * 2000, "{" * 2000, "\x00", "\ufeff{}"]


def read_config(path):
    run_folder.load_config(path.parent)
    run_files.length(path.parent, "max_length")


def read_streams(path):
    return run_files.read_json(path, list)


def read_space(path):
    space.read(path, config_class("transformer")())


def read_sweep(path):
    sweeps.read(path.parent)


IMAGES = {"image_shape": [8, 8, 1], "classes": ["a", "b"]}


def read_images(path):
    """Of a run that is older than pipeline.json."""
    (path.parent / "pipeline.json").unlink(missing_ok=True)
    run_files.image_facts(path.parent)


# File -> what reads it, given the file's path.
READERS = {
    "config.yaml": lambda path: (
        run_folder.load_config(path.parent),
        run_files.length(path.parent, "max_length"),
    ),
    "pipeline.json": lambda path: (
        run_files.kind(path.parent),
        run_files.length(path.parent, "max_length"),
        run_files.image_facts(path.parent),
    ),
    "plan.json": lambda path: Plan.read(path.parent),
    "tokenizer/target/tokenizer.json": lambda path: tokenizers.load(path.parent),
    "checkpoints/index.json": lambda path: choose(path.parent, "best"),
    "checkpoints/resume/epoch-00001/random_streams.json": read_streams,
    "metrics.jsonl": lambda path: read_metrics(path, 9),
    "images.json": read_images,
    "model.keras": load_model,
}


@pytest.fixture(scope="module")
def copy(run, tmp_path_factory):
    """A copy of the run that may be broken, with a file of images beside; the good files stay."""
    folder = tmp_path_factory.mktemp("broken") / "run"
    shutil.copytree(run, folder)
    (folder / "pipeline.json").write_text(json.dumps({"kind": "attention_cnn", "max_length": 9} | IMAGES))
    (folder / "images.json").write_text(json.dumps(IMAGES))
    return folder


def changed(content: bytes) -> st.SearchStrategy[bytes]:
    """The content cut, with some bytes replaced or twice, or something else in its place."""
    place = st.integers(0, len(content))
    cut = place.map(lambda end: content[:end])
    replaced = st.tuples(place, st.integers(0, 9), st.binary(max_size=9)).map(
        lambda x: content[: x[0]] + x[2] + content[x[0] + x[1] :]
    )
    twice = st.tuples(place, place).map(lambda x: content[: max(x)] + content[min(x) :])
    signs = st.tuples(place, st.sampled_from(list('{}[]:,"-0n\n&*'))).map(
        lambda x: content[: x[0]] + x[1].encode() + content[x[0] + 1 :]
    )
    return st.one_of(cut, replaced, twice, signs, st.sampled_from(OTHERS).map(str.encode))


@pytest.mark.parametrize("name", READERS)
def test_any_change_of_a_file_is_one_line_or_an_answer(copy, name):
    path = copy / name
    content = path.read_bytes()

    @settings(max_examples={"model.keras": 15, "config.yaml": 8}.get(name, 80), deadline=None, database=None)
    @given(changed(content))
    def check(broken):
        path.write_bytes(broken)
        try:
            READERS[name](path)
        except (ValueError, OSError) as error:
            # The line that `command_line.run` makes of it says which file it is.
            assert path.name in str(error) or str(path.parent) in str(error), error

    try:
        check()
    finally:
        path.write_bytes(content)


def arguments(copy, output):
    """Commands that read a run's configuration first, and what makes them do so."""
    return [
        (translate.main, ["--run", copy, "text"]),
        (evaluate.main, ["--run", copy]),
        (score.main, ["--run", copy, "--data", "test"]),
        (average.main, ["--run", copy, "--output", output]),
        (train.main, ["--data.name", "dates", "--initial.run", copy, "--output", output]),
        (train.main, ["--data.name", "dates", "--output", copy]),
    ]


@pytest.mark.parametrize(
    "text", ["", "- a\n", "3\n", "model: [1]\n", "a: &a [*a]\n", "model: {}\nmodel: {}\n"]
)
def test_every_command_says_that_a_configuration_is_none(copy, fails, tmp_path, text):
    content = (copy / "config.yaml").read_text()
    (copy / "config.yaml").write_text(text)
    try:
        for main, given_ in arguments(copy, tmp_path / "new"):
            message = fails(main, *given_)
            assert "config.yaml must be" in message and len(message) < 1000, message
    finally:
        (copy / "config.yaml").write_text(content)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "name",
    [
        "plan.json",
        "tokenizer/target/tokenizer.json",
        "checkpoints/index.json",
        "checkpoints/resume/epoch-00001/random_streams.json",
        "checkpoints/resume/epoch-00001/model.keras",
    ],
)
def test_a_training_that_cannot_go_on_says_which_file_is_damaged(copy, fails, tiny_config, name):
    path = copy / name
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    (copy / "model.keras").rename(copy / "aside")
    try:
        message = fails(train.main, "--config", tiny_config, "--output", copy)
        assert path.name in message or str(path.parent) in message
    finally:
        path.write_bytes(content)
        (copy / "aside").rename(copy / "model.keras")


@pytest.mark.parametrize("text", OTHERS)
def test_files_of_a_sweep_too(tmp_path, text):
    for name, read in [("space.yaml", read_space), ("sweep.yaml", read_sweep)]:
        (tmp_path / name).write_text(text)
        with pytest.raises(ValueError, match=name):
            read(tmp_path / name)

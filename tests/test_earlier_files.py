"""Files that an earlier version wrote are read today, with the same answers; see `earlier_files`."""

import json
import tarfile

import numpy as np
import pytest
import tensorflow as tf

from keras_transformer import models
from keras_transformer.saving import model_files
from serving import export
from tests import earlier_files
from training import average, run_folder, translate
from training.config import KINDS
from training.python import Run

# Kinds of models that the earlier version could train.
RUNS = (
    "transformer",
    "rnn_seq2seq",
    "conv_seq2seq",
    "causal_lm",
    "masked_lm",
    "image_captioner",
    "attention_cnn",
)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("earlier")
    with tarfile.open(earlier_files.ARCHIVE) as archive:
        # Python 3.11.3 and before have no filters.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def answers(files):
    return json.loads((files / "runs" / "answers.json").read_text(encoding="utf-8"))


def test_the_files_hold_every_kind_of_model_that_there_was(answers):
    classes = {class_name for class_name, *_ in earlier_files.MODELS.values()}
    assert classes <= set(models.__all__)
    assert set(answers) == set(RUNS) < set(KINDS)


@pytest.mark.parametrize("name", earlier_files.MODELS)
def test_a_model_is_loaded_and_says_the_same(files, name):
    folder = files / "models" / name
    asked = dict(np.load(folder / "call.npz"))
    expected = asked.pop("output")
    model = model_files.load_model(folder / "model.keras")
    assert type(model).__name__ == earlier_files.MODELS[name][0]
    np.testing.assert_allclose(earlier_files.call(model, asked), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", RUNS)
def test_a_run_is_read_and_gives_the_same_answers(files, answers, kind):
    run = files / "runs" / kind
    assert run_folder.load_config(run).model.kind == kind
    assert len(Run.read(run)) == 2
    tf.config.run_functions_eagerly(True)  # each would be compiled for one question
    try:
        found = earlier_files.answers(run, kind)
    finally:
        tf.config.run_functions_eagerly(False)
    assert found["texts"] == answers[kind]["texts"]
    np.testing.assert_allclose(found["numbers"], answers[kind]["numbers"], atol=1e-5)


def test_the_training_of_a_run_can_go_on(files):
    model = model_files.load_model(files / "runs" / "transformer" / "model.keras", compile=True)
    assert int(model.optimizer.iterations) == 160
    first = model.optimizer.variables[2].numpy()
    assert np.abs(first).max() > 0


@pytest.mark.slow
def test_a_run_is_translated_averaged_and_exported_with_the_same_texts(files, answers, tmp_path, capsys):
    run, options = files / "runs" / "transformer", ["--beam", "2", "--max_length", "7"]
    best = [texts[0] for texts in answers["transformer"]["texts"]]
    translate.main([*earlier_files.QUESTIONS, "--run", str(run), *options])
    assert capsys.readouterr().out.splitlines() == best
    average.main(["--run", str(run), "--output", str(tmp_path / "mean")])
    export.main(["--run", str(tmp_path / "mean"), "--output", str(tmp_path / "exported"), *options])
    served = tf.saved_model.load(tmp_path / "exported" / "1").signatures["translate"]
    found = served(text=tf.constant(earlier_files.QUESTIONS))["translation"]
    assert [text.decode() for text in found.numpy()] == best

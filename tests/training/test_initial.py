"""A training that begins with another run's weights: with the same vocabulary or a new one."""

import re
import shutil

import keras
import numpy as np
import pytest
import yaml

from keras_transformer import models, tokenizers
from keras_transformer.saving.layer_paths import weight_paths
from tests import tiny_runs
from tests.training.interruptions import Killed, kill_after
from training import initial, run_folder, train
from training.run_config import InitialConfig
from training.tasks.translation import Translation, TranslationConfig

SIZES = dict(num_layers=2, hidden_dim=6, num_heads=2, intermediate_dim=11)
BYTES = tokenizers.CharacterTokenizer("bytes")


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """An untrained run: bytes to "-0123456789"."""
    folder = tiny_runs.make(tmp_path_factory.mktemp("runs") / "other")
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["tokenizer"] = {"source": {"kind": "bytes"}, "target": {"kind": "code_points"}}
    config["model"] |= {"hidden_dim": 6, "intermediate_dim": 11}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


def make(source, target, **options):
    model = models.Transformer(source.vocabulary_size, target.vocabulary_size, **{**SIZES, **options})
    model.build()
    return model


def task(source, target, **options):
    """The task of a run that begins with the weights of another."""
    made = Translation(TranslationConfig(initial=InitialConfig(**options)))
    made.tokenizers = {"source": source, "target": target}
    return made


def weights(path):
    model = keras.models.load_model(path, compile=False)
    return {name: variable.numpy() for name, variable in weight_paths(model).items()}


def test_with_the_same_tokenizers_every_weight_is_taken(other):
    target = tokenizers.load(other / "tokenizer" / "target")
    model = make(BYTES, target)
    initial.take_weights(model, task(BYTES, target, run=str(other)))
    for name, value in weights(other / "model.keras").items():
        np.testing.assert_array_equal(weight_paths(model)[name].numpy(), value, err_msg=name)


def test_the_embeddings_of_common_pieces_are_taken_and_the_others_stay_as_drawn(other, capsys):
    target = tokenizers.CharacterTokenizer("code_points", "x9a-b0")  # other places, and other pieces
    model = make(BYTES, target)
    drawn = model.target_embedding.embeddings.numpy()
    initial.take_weights(model, task(BYTES, target, run=str(other), tokenizer="new"))
    printed = capsys.readouterr().out
    assert "source vocabulary: 260 of 260 pieces" in printed
    assert "target vocabulary: 7 of 10 pieces" in printed  # 9, -, 0 and four special ones
    expected = weights(other / "model.keras")
    rows = model.target_embedding.embeddings.numpy()
    theirs = expected.pop("target_embedding/embeddings")
    place = {"-": 4, "0": 5, "9": 14}
    for index, piece in enumerate("x9a-b0", 4):
        row = theirs[place[piece]] if piece in place else drawn[index]
        np.testing.assert_array_equal(rows[index], row, err_msg=piece)
    np.testing.assert_array_equal(rows[:4], theirs[:4])
    for name, value in expected.items():
        np.testing.assert_array_equal(weight_paths(model)[name].numpy(), value, err_msg=name)


def test_of_a_matrix_for_the_logits_alone_columns_are_taken(other, tmp_path):
    run = shutil.copytree(other, tmp_path / "run")
    theirs = make(BYTES, tokenizers.load(other / "tokenizer" / "target"), tie_logits=False)
    theirs.save(run / "model.keras")
    target = tokenizers.CharacterTokenizer("code_points", "x9")
    model = make(BYTES, target, tie_logits=False)
    drawn = model.target_embedding.reverse_embeddings.numpy()
    initial.take_weights(model, task(BYTES, target, run=str(run), tokenizer="new"))
    columns = model.target_embedding.reverse_embeddings.numpy()
    expected = theirs.target_embedding.reverse_embeddings.numpy()
    np.testing.assert_array_equal(columns[:, [0, 1, 2, 3, 5]], expected[:, [0, 1, 2, 3, 14]])
    np.testing.assert_array_equal(columns[:, 4], drawn[:, 4])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden_dim": 8}, r"decoder/layer_0/\S+, .*8.* in this model and .*6.* in that one|embeddings"),
        ({"intermediate_dim": 13}, r"intermediate/kernel, \(6, 13\) in this model and \(6, 11\) in that one"),
        ({"num_layers": 1}, "layer_1/.* only that one has"),
        ({"num_layers": 3}, "layer_2/.* only this model has"),
    ],
)
@pytest.mark.parametrize("kind", ["keep", "new"])
def test_other_sizes_are_refused_by_the_name_of_the_layer(other, kind, options, message):
    target = tokenizers.load(other / "tokenizer" / "target")
    model = make(BYTES, target, **options)
    with pytest.raises(ValueError, match=f"Received: .*({message})"):
        initial.take_weights(model, task(BYTES, target, run=str(other), tokenizer=kind))


def test_kept_tokenizers_and_vocabularies_of_another_size_are_refused(other):
    target = tokenizers.CharacterTokenizer("code_points", "123")
    with pytest.raises(ValueError, match=r"target_embedding/\w+, \(7, 6\) in this model and \(15, 6\)"):
        initial.take_weights(make(BYTES, target), task(BYTES, target, run=str(other)))


def test_embeddings_that_only_one_of_the_models_shares_are_refused(other):
    model = make(BYTES, BYTES, share_embeddings=True)
    with pytest.raises(ValueError, match="source_embedding/embeddings, which only that one has"):
        initial.take_weights(model, task(BYTES, BYTES, run=str(other), tokenizer="new"))


def test_tokenizers_that_are_kept_are_in_the_configuration(other, tmp_path):
    kept = run_folder.load_config(other).tokenizer
    config = TranslationConfig(initial=InitialConfig(run=str(other)))
    assert initial.resolve(config, tmp_path / "absent").tokenizer == kept
    assert initial.resolve(TranslationConfig(tokenizer=kept, initial=config.initial), tmp_path / "absent")


def options(run, *more):
    return ["--quality.frequency", "0", "--fit.steps_per_epoch", "2", "--initial.run", str(run), *more]


def test_frozen_layers_keep_the_weights_of_the_other_run(run, tiny_config, tmp_path):
    freeze = ["--fit.freeze", "[encoder, source_embedding]"]
    train.main(["--config", tiny_config, "--output", str(tmp_path / "run"), *options(run, *freeze)])
    before, after = weights(run / "model.keras"), weights(tmp_path / "run" / "model.keras")
    for name, value in after.items():
        if name.startswith(("encoder/", "source_embedding/")):
            np.testing.assert_array_equal(value, before[name], err_msg=name)
        elif name.endswith("kernel"):
            assert not np.array_equal(value, before[name]), name
            np.testing.assert_allclose(value, before[name], atol=0.5)  # few steps away
    model = keras.models.load_model(tmp_path / "run" / "model.keras")
    num_moments = sum(len(variable.shape) > 0 for variable in model.optimizer.variables)
    assert num_moments == 3 * len(model.trainable_weights)  # two of Adam, and the moving average
    assert int(model.optimizer.iterations) == 2  # the optimizer started anew


@pytest.mark.slow
def test_the_other_run_is_needed_at_the_start_only(run, tiny_config, tmp_path, monkeypatch):
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    command = ["--config", tiny_config, *options(copy, "--initial.checkpoint", "best", "--fit.epochs", "3")]
    train.main([*command, "--output", str(tmp_path / "undisturbed")])
    kill_after(monkeypatch, batches=3)
    with pytest.raises(Killed):
        train.main([*command, "--output", str(tmp_path / "interrupted")])
    shutil.rmtree(copy)
    train.main([*command, "--output", str(tmp_path / "interrupted")])
    expected = weights(tmp_path / "undisturbed" / "model.keras")
    for name, value in weights(tmp_path / "interrupted" / "model.keras").items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--initial.checkpoint", "best"], "initial.checkpoint='best' without it"),
        (["--initial.run", "nowhere"], "Received: nowhere"),
        (["--initial.run", "OTHER", "--initial.checkpoint", "worst"], "checkpoint='worst'"),
        (
            ["--initial.run", "OTHER", "--tokenizer.target.kind", "bytes"],
            "trains others. Received: .*bytes",
        ),
        (["--initial.run", "OTHER", "--model.intermediate_dim", "13"], r"\(\d+, 13\) in this model"),
        (["--initial.run", "OTHER", "--fit.freeze", "[encoders]"], "target_embedding. Received: 'encoders'"),
    ],
)
def test_what_does_not_fit_is_told_in_one_line_and_nothing_is_left(
    fails, run, tiny_config, tmp_path, arguments, message
):
    arguments = [str(run) if argument == "OTHER" else argument for argument in arguments]
    line = fails(train.main, "--config", tiny_config, "--output", tmp_path / "run", *arguments)
    assert re.search(message, line), line
    assert not (tmp_path / "run").exists()

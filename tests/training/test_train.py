"""The training command, in-process: a tiny run is trained once; bad input ends in one line."""

import errno
import json
import os
import re
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import yaml

import command_line
from keras_transformer import callbacks
from keras_transformer_programs import hints
from tests import tiny_runs
from training import fitting, plan, train


def test_training_leaves_a_whole_run_folder(run):
    names = {path.name for path in run.iterdir()}
    assert names == {
        "config.yaml",
        "tokenizer",
        "checkpoints",
        "model.keras",
        "metrics.jsonl",
        "pipeline.json",
        "logs",
        "plan.json",
    }
    record = json.loads((run / "metrics.jsonl").read_text())
    assert record["epoch"] == 1 and record["steps"] > 0
    assert {"loss", "perplexity", "val_loss", "val_token_accuracy", "learning_rate"} <= set(record)
    assert {"tokens_per_second", "gradient_norm"} <= set(record)


def test_the_run_remembers_every_field_of_its_configuration(run):
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["model"]["intermediate_dim"] == 17
    assert config["optimizer"]["beta_2"] == 0.98  # a default


def test_a_checkpoint_loads_by_keras_alone_with_its_optimizer(run):
    model = keras.models.load_model(run / "checkpoints" / "epoch-00001.keras")
    assert int(model.optimizer.iterations) == json.loads((run / "metrics.jsonl").read_text())["steps"]
    assert model.optimizer.get_config()["learning_rate"]["class_name"] == "TransformerSchedule"


def test_the_command_line_overrides_the_file(tiny_config, tmp_path):
    output = tmp_path / "run"
    train.main(
        ["--config", tiny_config, "--output", str(output), "--model.hidden_dim", "8"]
        + ["--fit.precision", "mixed_float16", "--data.num_examples", "40", "--quality.frequency", "0"]
    )
    model = keras.models.load_model(output / "model.keras")
    assert model.hidden_dim == 8
    assert model.dtype_policy.name == "mixed_float16"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model.hidden_dim", "15"], "hidden_dim=15, num_heads=2"),
        (["--model.num_layer", "3"], "model.num_layers"),
        (["--model.num_layers", "few"], "int"),
        (["--data.name", "datez"], "datez"),
        (["--data.max_length", "3"], "max_length=3"),
        (["--data.max_length_ratio", "0.5"], "max_length_ratio=0.5"),
        (["--data.weight", "0"], "data.weight=0.0"),
        (["--data.also", "[{name: dates, weight: -1}]"], r"data.also\[0\].weight=-1.0"),
        (["--data.also", "[{name: datez}]"], "datez"),
        (["--data.also", "[{weight: 2}]"], "name"),
        (["--data.also", "[{name: dates, wait: 2}]"], "wait"),
        (["--augmentation.sampled_sides", "both"], "sampled_sides='both', and for the source Char"),
        (["--augmentation.word_dropout", "1"], "word_dropout=1.0"),
        (["--data.bucket_boundaries", "[8]"], r"bucket_boundaries=\[8\]"),
        (
            ["--tokenizer.source", "{kind: bpe, vocabulary_size: 20}"],
            "source.vocabulary_size. .* 20",
        ),
        (["--optimizer.warmup_steps", "0"], "warmup_steps=0"),
        (["--fit.precision", "float8"], "float8"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_left(fails, tiny_config, tmp_path, arguments, message):
    output = tmp_path / "run"
    line = fails(train.main, "--config", tiny_config, "--output", output, *arguments)
    assert re.search(message, line), line
    assert not output.exists()


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (b"a\nb\nc\n", b"x\ny\n", "3.*2"),
        (b"", b"", "empty"),
        (b"a\n\xff\xfe\n", b"x\ny\n", "UTF-8"),
    ],
)
def test_bad_files_are_named_and_nothing_is_left(fails, tmp_path, source, target, message):
    (tmp_path / "a.src").write_bytes(source)
    (tmp_path / "a.tgt").write_bytes(target)
    files = f"[{tmp_path}/a.src,{tmp_path}/a.tgt]"
    output = tmp_path / "run"
    line = fails(train.main, "--data.name", "parallel_text", "--data.train", files, "--output", output)
    assert re.search(message, line), line
    assert not output.exists()


def test_a_misspelt_key_in_a_file_is_named(fails, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("data: {batch_token: 3}\n")
    assert "data.batch_tokens" in fails(train.main, "--config", path)


def test_an_existing_output_folder_is_left_as_it_is(fails, tiny_config, tmp_path):
    (tmp_path / "precious.txt").write_text("kept")
    assert str(tmp_path) in fails(train.main, "--config", tiny_config, "--output", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


def test_without_anything_it_says_what_to_give_it(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train"])
    with pytest.raises(SystemExit) as exit_info:
        train.main()
    assert exit_info.value.code == 2
    (message,) = capsys.readouterr().err.splitlines()
    assert "--data.train" in message and "dates, " in message and "multi30k_de_en, " in message


def test_sizes_that_do_not_fit_together_are_told_before_data_is_read(fails, tmp_path):
    given = ["--data.name", "parallel_text", "--data.train", tmp_path / "absent.tsv"]
    for option, value, message in [
        ("--model.num_heads", 7, "hidden_dim=512, num_heads=7"),
        ("--fit.freeze", "encodr", "encodr"),
        ("--model.hidden_dim", 2**20, "parameters, which take"),
        ("--model.hidden_dim", 100_000_000_000, "model.hidden_dim=100000000000"),
        ("--optimizer.peak", ".inf", "optimizer.peak=inf"),
    ]:
        assert message in fails(train.main, *given, option, value, "--output", tmp_path / "run")
    # One path is a list of one.
    assert "absent.tsv" in fails(train.main, *given, "--output", tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_memory_that_runs_out_is_told_in_one_line(fails, tiny_config, tmp_path, monkeypatch):
    def run_out(*arguments):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor\nwith shape")

    monkeypatch.setattr(fitting.fit, "fit", run_out)
    message = fails(train.main, "--config", tiny_config, "--output", tmp_path / "run")
    assert "out of memory" in message and "num_micro_batches" in message
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", [(plan.Plan, "write"), (callbacks.MetricsFile, "on_epoch_end")])
def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(fails, tmp_path, monkeypatch, place):
    def fill(*arguments, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "somewhere")

    monkeypatch.setattr(*place, fill)
    config = tiny_runs.write_config(tmp_path, "attention_cnn")
    message = fails(train.main, "--config", config, "--output", tmp_path / "run")
    assert "No space left" in message
    assert list(tmp_path.iterdir()) == [config]


@pytest.mark.parametrize("has_begun", [False, True])
def test_who_interrupts_is_told_how_to_go_on(tmp_path, monkeypatch, capsys, tiny_config, has_begun):
    output = tmp_path / "a run"

    def interrupt(*arguments):
        if has_begun:
            output.mkdir()
        raise KeyboardInterrupt

    monkeypatch.setattr(fitting, "train", interrupt)
    given = ["--config", tiny_config, "--output", str(output)]
    with pytest.raises(SystemExit) as exit_info:
        command_line.run(lambda: train.main(given))
    assert exit_info.value.code == 130
    command = hints.command("training.train", *given)
    assert f"train --config {tiny_config} --output '{output}'" in command
    rest = f"the same command goes on: {command}" if has_begun else "nothing was learnt yet"
    assert capsys.readouterr().err.strip().splitlines() == [f"interrupted; {rest}"]


def test_a_loss_that_is_no_number_ends_the_training_and_keeps_what_was_good(fails, tmp_path, monkeypatch):
    config = tiny_runs.write_config(tmp_path, "attention_cnn")
    given = ["--config", config, "--output", tmp_path / "run", "--optimizer.schedule", "inverse_square_root"]
    message = fails(train.main, *given, "--optimizer.peak", "1e38")
    where = r"in step 2 of epoch 1, at a learning rate of .*e\+37.* optimizer.peak"
    assert re.search(where, message), message
    assert not (tmp_path / "run").exists()

    make = fitting.fit.make_callbacks

    def spoiling(*arguments):
        return [*make(*arguments), Spoil()]

    monkeypatch.setattr(fitting.fit, "make_callbacks", spoiling)
    message = fails(train.main, *given)
    assert "of epoch 2" in message
    assert f"--initial.run {tmp_path / 'run'} --initial.checkpoint last" in message
    assert not (tmp_path / "run" / "model.keras").exists()
    for path in (tmp_path / "run" / "checkpoints").rglob("*.keras"):
        for weight in keras.models.load_model(path, compile=False).get_weights():
            assert np.isfinite(weight).all()


class Spoil(keras.callbacks.Callback):
    """Makes a weight no number as the second epoch begins."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            weight = self.model.trainable_variables[0]
            weight.assign(weight * np.nan)

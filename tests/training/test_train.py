"""The training command, in-process: a tiny run is trained once; bad input ends in one line."""

import json
import re

import keras
import pytest
import yaml

from training import train


def test_training_leaves_a_whole_run_folder(run):
    names = {path.name for path in run.iterdir()}
    assert names == {
        "config.yaml",
        "tokenizer",
        "checkpoints",
        "model.keras",
        "metrics.jsonl",
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
        (["--data.weight", "0"], "weight=0.0 of dates"),
        (["--data.also", "[{name: dates, weight: -1}]"], "weight=-1.0 of dates"),
        (["--data.also", "[{name: datez}]"], "datez"),
        (["--data.also", "[{weight: 2}]"], "name"),
        (["--data.also", "[{name: dates, wait: 2}]"], "wait"),
        (["--augmentation.sampled_sides", "both"], "sampled_sides='both', and a source in bytes"),
        (["--augmentation.word_dropout", "1"], "word_dropout=1.0"),
        (["--data.bucket_boundaries", "[8]"], r"bucket_boundaries=\[8\]"),
        (["--tokenizer.source", "{kind: bpe, vocabulary_size: 90000}"], "90000"),
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

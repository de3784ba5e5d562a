"""The commands, in-process: a tiny run is trained once; bad input ends in one line and leaves nothing."""

import io
import json
import re
import shutil
import sys

import keras
import pytest
import yaml

import command_line
from training import evaluate, train, translate

TINY = {
    "data": {"name": "dates", "num_examples": 300, "max_length": 48, "bucket_boundaries": [48]},
    "tokenizer": {"source": {"kind": "bytes"}, "target": {"kind": "code_points"}},
    "model": {"num_layers": 1, "hidden_dim": 16, "num_heads": 2, "intermediate_dim": 17},
    "optimizer": {"warmup_steps": 5, "ema_momentum": 0.5},
    "fit": {"epochs": 1},
}


@pytest.fixture(scope="module")
def tiny_config(tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "tiny.yaml"
    path.write_text(yaml.safe_dump(TINY))
    return str(path)


@pytest.fixture(scope="module")
def run(tiny_config, tmp_path_factory):
    output = tmp_path_factory.mktemp("runs") / "tiny"
    train.main(["--config", tiny_config, "--output", str(output)])
    return output


def fails(capsys, main, *arguments):
    """Runs a command that must fail and returns its one line of error."""
    with pytest.raises(SystemExit) as exit_info:
        command_line.run(lambda: main([str(argument) for argument in arguments]))
    printed = capsys.readouterr().err
    message = exit_info.value.code if isinstance(exit_info.value.code, str) else printed
    assert exit_info.value.code not in (0, None)
    assert len(message.strip().splitlines()) == 1
    assert "Traceback" not in printed
    return message


def test_training_leaves_a_whole_run_folder(run):
    names = {path.name for path in run.iterdir()}
    assert names == {"config.yaml", "tokenizer", "checkpoints", "model.keras", "metrics.jsonl", "logs"}
    record = json.loads((run / "metrics.jsonl").read_text())
    assert record["epoch"] == 1 and record["steps"] > 0
    assert {"loss", "perplexity", "val_loss", "val_token_accuracy", "learning_rate"} <= set(record)


def test_the_run_remembers_every_field_of_its_configuration(run):
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["model"]["intermediate_dim"] == 17
    assert config["optimizer"]["beta_2"] == 0.98  # a default


def test_a_checkpoint_loads_by_keras_alone_with_its_optimizer(run):
    model = keras.models.load_model(run / "checkpoints" / "last.keras")
    assert int(model.optimizer.iterations) == json.loads((run / "metrics.jsonl").read_text())["steps"]
    assert model.optimizer.get_config()["learning_rate"]["class_name"] == "TransformerSchedule"


def test_the_command_line_overrides_the_file(tiny_config, tmp_path):
    output = tmp_path / "run"
    train.main(
        ["--config", tiny_config, "--output", str(output), "--model.hidden_dim", "8"]
        + ["--fit.precision", "mixed_float16", "--data.num_examples", "40"]
    )
    model = keras.models.load_model(output / "model.keras")
    assert model.hidden_dim == 8
    assert model.dtype_policy.name == "mixed_float16"


def test_evaluation_prints_exact_match_and_writes_the_translations(run, tmp_path, capsys):
    output = tmp_path / "translations.txt"
    evaluate.main(["--run", str(run), "--data", "validation", "--output", str(output)])
    assert "exact match" in capsys.readouterr().out
    assert len(output.read_text().splitlines()) == 2000


def test_bleu_and_chrf_come_with_their_signatures():
    lines = evaluate.corpus_measures(["a small dog runs ."], ["A small dog runs."], lowercase=True)
    assert lines[0].startswith("BLEU = 100.00") and "case:lc" in lines[0] and "version:" in lines[0]
    assert lines[1].startswith("chrF2 = ") and "version:" in lines[1]


def test_exact_match_counts_equal_strings():
    assert evaluate.exact_match(["a", "b", "c"], ["a", "x", "c"]) == "exact match 66.67 % (2 of 3)"


def test_an_argument_a_file_and_standard_input_translate_alike(run, tmp_path, capsys, monkeypatch):
    texts = ["5 March 2031", "", "2. 3. 1999", "\udcff broken".encode("utf-8", "surrogateescape")]
    lines = [text if isinstance(text, bytes) else text.encode() for text in texts]
    translate.main(["--run", str(run), texts[0]])
    by_argument = capsys.readouterr().out
    source, output = tmp_path / "in.txt", tmp_path / "out.txt"
    source.write_bytes(b"\n".join(lines) + b"\n")
    translate.main(["--run", str(run), "--input", str(source), "--output", str(output)])
    by_file = output.read_text(encoding="utf-8")
    stdin = io.TextIOWrapper(io.BytesIO(source.read_bytes()))
    monkeypatch.setattr(sys, "stdin", stdin)
    translate.main(["--run", str(run)])
    assert capsys.readouterr().out == by_file
    assert len(by_file.splitlines()) == 4
    assert by_file.splitlines()[0] == by_argument.strip()


def test_the_run_folder_can_be_moved(run, tmp_path, capsys):
    moved = tmp_path / "elsewhere"
    shutil.copytree(run, moved)
    translate.main(["--run", str(run), "5 March 2031"])
    here = capsys.readouterr().out
    translate.main(["--run", str(moved), "5 March 2031"])
    assert capsys.readouterr().out == here


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model.hidden_dim", "15"], "hidden_dim=15, num_heads=2"),
        (["--model.num_layer", "3"], "model.num_layers"),
        (["--model.num_layers", "few"], "int"),
        (["--data.name", "datez"], "datez"),
        (["--data.max_length", "3"], "max_length=3"),
        (["--data.bucket_boundaries", "[8]"], r"bucket_boundaries=\[8\]"),
        (["--tokenizer.source", "{kind: bpe, vocabulary_size: 90000}"], "90000"),
        (["--optimizer.warmup_steps", "0"], "warmup_steps=0"),
        (["--fit.precision", "float8"], "float8"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_left(capsys, tiny_config, tmp_path, arguments, message):
    output = tmp_path / "run"
    line = fails(capsys, train.main, "--config", tiny_config, "--output", output, *arguments)
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
def test_bad_files_are_named_and_nothing_is_left(capsys, tmp_path, source, target, message):
    (tmp_path / "a.src").write_bytes(source)
    (tmp_path / "a.tgt").write_bytes(target)
    files = f"[{tmp_path}/a.src,{tmp_path}/a.tgt]"
    output = tmp_path / "run"
    line = fails(
        capsys, train.main, "--data.name", "parallel_text", "--data.train", files, "--output", output
    )
    assert re.search(message, line), line
    assert not output.exists()


def test_a_misspelt_key_in_a_file_is_named(capsys, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("data: {batch_token: 3}\n")
    assert "data.batch_tokens" in fails(capsys, train.main, "--config", path)


def test_an_existing_output_folder_is_left_as_it_is(capsys, tiny_config, tmp_path):
    (tmp_path / "precious.txt").write_text("kept")
    assert str(tmp_path) in fails(capsys, train.main, "--config", tiny_config, "--output", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


@pytest.mark.parametrize("main", [evaluate.main, translate.main])
def test_a_folder_that_is_no_run_is_refused(capsys, tmp_path, main, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    assert "run folder" in fails(capsys, main, "--run", tmp_path)


def test_a_tokenizer_of_another_model_is_refused(capsys, run, tmp_path):
    mixed = tmp_path / "mixed"
    shutil.copytree(run, mixed)
    shutil.rmtree(mixed / "tokenizer" / "target")
    shutil.copytree(mixed / "tokenizer" / "source", mixed / "tokenizer" / "target")
    assert "260" in fails(capsys, translate.main, "--run", mixed, "5 March 2031")

"""What all commands do with a run: any place will do, and what is no run is told in one line."""

import io
import shutil
import sys

import pytest

import command_line
from tests import tiny_runs
from training import evaluate, prepare, score, train, translate, tune
from training.config import files

COMMANDS = [(evaluate.main, ()), (translate.main, ()), (score.main, ("--data", "test"))]
NAMES = ["evaluate", "translate", "score"]


def test_the_run_folder_can_be_moved(drawn_run, tmp_path, capsys):
    moved = tmp_path / "elsewhere"
    shutil.copytree(drawn_run, moved)
    answers = []
    for folder in (drawn_run, moved):
        translate.main(["--run", str(folder), "--beam", "1", "5 March 2031"])
        answers.append(capsys.readouterr().out)
    assert answers[0] == answers[1] != "\n"


@pytest.mark.parametrize(("main", "arguments"), COMMANDS, ids=NAMES)
def test_a_folder_that_is_no_run_is_refused(fails, tmp_path, monkeypatch, main, arguments):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    assert "run folder" in fails(main, "--run", tmp_path, *arguments)


@pytest.mark.parametrize(("main", "arguments"), COMMANDS, ids=NAMES)
def test_an_ensemble_has_the_same_tokenizers(fails, drawn_run, tmp_path, main, arguments):
    other = tiny_runs.make(tmp_path / "other", characters="abc")
    line = fails(main, "--run", drawn_run, "--ensemble", other, *arguments)
    assert f"must have the same tokenizers. Received: {other}" in line


@pytest.mark.parametrize(("main", "arguments"), COMMANDS, ids=NAMES)
def test_an_output_that_cannot_be_written_is_told_before_a_model_is_loaded(
    fails, drawn_run, tmp_path, monkeypatch, main, arguments
):
    monkeypatch.setattr("keras.models.load_model", lambda *_, **__: pytest.fail("a model was loaded"))
    output = tmp_path / "nowhere" / "out.txt"
    line = fails(main, "--run", drawn_run, "--output", output, *arguments)
    assert line.endswith(f"No such file or directory: '{output}'")


@pytest.mark.parametrize(("main", "arguments"), COMMANDS, ids=NAMES)
def test_a_checkpoint_takes_the_place_of_the_model(fails, drawn_run, tmp_path, monkeypatch, main, arguments):
    shutil.copytree(drawn_run, tmp_path / "run")
    (tmp_path / "run" / "checkpoints").mkdir()
    (tmp_path / "run" / "model.keras").rename(tmp_path / "run" / "checkpoints" / "epoch-00007.keras")
    line = fails(main, "--run", tmp_path / "run", "--checkpoint", "epoch-00008.keras", *arguments)
    assert "a file in" in line and "epoch-00007.keras. Received: checkpoint='epoch-00008.keras'." in line
    loaded = []

    def load_model(path, **_):
        loaded.append(path)
        raise ValueError("stop here")

    monkeypatch.setattr("keras.models.load_model", load_model)
    fails(main, "--run", tmp_path / "run", "--checkpoint", "epoch-00007.keras", *arguments)
    assert loaded == [tmp_path / "run" / "checkpoints" / "epoch-00007.keras"]


def test_a_tokenizer_of_another_model_is_refused(fails, drawn_run, tmp_path):
    mixed = tmp_path / "mixed"
    shutil.copytree(drawn_run, mixed)
    shutil.rmtree(mixed / "tokenizer" / "target")
    shutil.copytree(mixed / "tokenizer" / "source", mixed / "tokenizer" / "target")
    assert "a tokenizer with 260" in fails(translate.main, "--run", mixed, "5 March 2031")


@pytest.mark.parametrize("program", [train, tune, prepare])
def test_a_command_that_is_told_no_data_says_what_to_give(fails, tmp_path, monkeypatch, program):
    """And begins nothing with defaults that nobody chose."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["/bin/keras-transformer"])
    command = f"keras-transformer {program.__name__.rpartition('.')[2]}"
    for arguments in ([], ["--output", "mine"], ["--model.num_layers=2", "--output=mine"]):
        line = fails(program.main, *arguments)
        assert line.startswith(f"error: say what to {command.split()[1]}: --config FILE") and "dates," in line
        example = line.partition(f"{command} ")[2].partition(". All options")[0].split()
        assert example[:2] == ["--config", "parallel_text"] and "--data.train" in example
    assert not list(tmp_path.iterdir())
    # Of the example nothing is missing but the files.
    assert "train.tsv" in fails(program.main, *example)


def test_data_is_named_in_any_way_of_the_command_line(monkeypatch):
    parser = command_line.parser("training.train", "Trains.")
    for given in ("--config", "--config=a", "--data.train+=[a]", "--data.train+", "--data.name", "--help"):
        files.check_given(parser, ["--output", "mine", given], "train", "")

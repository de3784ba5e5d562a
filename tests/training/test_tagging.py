"""Tagged words by the commands: what is wrong with the data, lines, words that are not read."""

import io

import pytest

from tests import tiny_runs
from training import classify, evaluate, predict, train


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"validation": "Amy B-PER\n\nin O\nRome B-CITY\n"},
            "be one of the training data's. Received: 'B-CITY', FOLDER/validation, line 4.",
        ),
        ({"train": "Amy O\nLee O\n"}, "at least two classes. Received: O."),
        ({"train": "Amy B-PER\nLee\n"}, "Received: FOLDER/train, line 2, with 1."),
        ({"validation": ""}, "at least one sentence. Received: FOLDER/validation, without."),
    ],
)
def test_data_that_cannot_be_used_is_told_and_nothing_is_made(tmp_path, fails, files, message):
    config = tiny_runs.write_config(tmp_path, "tagger")
    given = []
    for split, text in files.items():
        (tmp_path / split).write_text(text)
        given += [f"--data.{split}", tmp_path / split]
    line = fails(train.main, "--config", config, "--output", tmp_path / "run", *given)
    assert message.replace("FOLDER", str(tmp_path)) in line
    assert {path.name for path in tmp_path.iterdir()} == {config.name, "tagged.conll", *files}


def test_what_cannot_be_measured_is_told(zoo_run, fails, tmp_path):
    run = zoo_run("tagger")
    (tmp_path / "other").write_text("\nAmy B-CITY\n")
    line = fails(evaluate.main, "--run", run, "--files", tmp_path / "other")
    assert f"Received: 'B-CITY', {tmp_path}/other, line 2." in line
    line = fails(evaluate.main, "--run", run, "--data_dir", tmp_path)
    assert f"`data_dir` is for data that comes as a folder. Received: {tmp_path}, for conll." in line
    line = fails(classify.main, "--run", run, "to")
    assert "which python -m training.predict uses" in line


def test_long_sentences_are_measured_whole(zoo_run, tmp_path, capsys):
    words = ["Amy B-PER", "O O", *["to O"] * 6]  # 4, 2 and 3 characters with their spaces, behind the start
    (tmp_path / "long").write_text("\n".join(words))
    run, report = str(zoo_run("tagger")), tmp_path / "new" / "report.html"
    evaluate.main(["--run", run, "--files", str(tmp_path / "long"), "--report", str(report)])
    assert "entity F1" in report.read_text() and "<svg" in report.read_text()
    told = capsys.readouterr().out
    assert "test: 4 words lie beyond data.max_length, 12 tokens, and are not in the loss" in told
    assert "of 8 words)" in told and "entity F1 = " in told and "  type  precision" in told


def test_each_word_is_a_line_of_columns_that_can_be_trained_on(zoo_run, capsys, monkeypatch, tmp_path):
    run = str(zoo_run("tagger"))
    capsys.readouterr()
    predict.main(["--run", run, "to Amy", "", " in\u2028Ulm "])
    found = capsys.readouterr().out
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("to Amy\n\n in\u2028Ulm \n".encode())))
    predict.main(["--run", run])
    assert capsys.readouterr().out == found
    first, second, *rest = (line.split("\t") for line in found.splitlines())
    assert [first[0], second[0]] == ["to", "Amy"] and [line[0] for line in rest] == ["", "", "in Ulm", ""]
    assert 0 < float(first[1]) <= 1 and first[2] in ("B-LOC", "B-PER", "I-PER", "O")

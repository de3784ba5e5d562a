"""Classified texts by the commands: what is wrong with the data, pictures, means of checkpoints."""

import io

import pytest

from tests import tiny_runs
from training import average, classify, evaluate, predict, train
from training.tasks.text_classification import TextClassification, TextClassificationConfig


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"validation": "to be\tsung\n"}, "must be one of the training data's. Received: 'sung'"),
        ({"train": "to be\tasked\n"}, "at least two classes. Received: asked."),
        ({"train": "to be\n"}, "exactly one tab. Received: "),
        ({"train": ""}, "at least one line. Received: "),
    ],
)
def test_data_that_cannot_be_used_is_told_and_nothing_is_made(tmp_path, fails, files, message):
    config = tiny_runs.write_config(tmp_path, "text_classifier")
    given = []
    for split, text in files.items():
        (tmp_path / split).write_text(text)
        given += [f"--data.{split}", tmp_path / split]
    assert message in fails(train.main, "--config", config, "--output", tmp_path / "run", *given)
    assert {path.name for path in tmp_path.iterdir()} == {config.name, "labelled.tsv", *files}


def test_a_run_to_begin_with_says_the_order_of_the_classes(tmp_path):
    task = TextClassification(TextClassificationConfig())
    (tmp_path / "pipeline.json").write_text('{"kind": "text_classifier", "classes": ["b", "a", "c"]}')
    for own, kept in (("abc", "bac"), ("ac", "bac"), ("ad", "ad")):
        task.classes = list(own)
        task.keep_classes(tmp_path)
        assert task.classes == list(kept)


def test_a_class_that_was_not_trained_cannot_be_measured(zoo_run, fails, tmp_path):
    (tmp_path / "other.tsv").write_text("to be\tsung\n")
    line = fails(evaluate.main, "--run", zoo_run("rnn_classifier"), "--files", tmp_path / "other.tsv")
    assert "Received: 'sung'" in line


def test_texts_of_the_command_line_and_lines_are_classified_alike(zoo_run, capsys, monkeypatch):
    run = str(zoo_run("text_classifier"))
    capsys.readouterr()
    predict.main(["--run", run, "to be", "so it is"])
    found = capsys.readouterr().out
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"to be\nso it is\n")))
    classify.main(["--run", run])
    assert capsys.readouterr().out == found
    lines = [line.split("\t") for line in found.splitlines()]
    assert len(lines) == 2 and all(name in ("asked", "told") for name, _ in lines)
    assert all(0.5 <= float(probability) <= 1 for _, probability in lines)


def test_what_was_looked_at_is_drawn(zoo_run, tmp_path, capsys):
    picture = tmp_path / "words.png"
    classify.main(["--run", str(zoo_run("rnn_classifier")), "to be", "or not", "--picture", str(picture)])
    assert picture.stat().st_size > 1000 and len(capsys.readouterr().out.splitlines()) == 2


def test_only_a_recurrent_network_says_what_it_looked_at(zoo_run, fails, tmp_path):
    run = zoo_run("text_classifier")
    line = fails(classify.main, "--run", run, "to be", "--picture", tmp_path / "words.png")
    assert f"`picture` is for an rnn_classifier, which weighs words. Received: {run}, of the kind" in line
    assert not list(tmp_path.iterdir())


def test_help_without_a_run_speaks_of_images_and_of_texts(capsys):
    with pytest.raises(SystemExit):
        classify.main(["--help"])
    told = capsys.readouterr().out
    assert "Says what images show" in told and "Names the classes of texts" in told


def test_a_mean_of_checkpoints_is_measured(zoo_run, tmp_path, capsys):
    average.main(["--run", str(zoo_run("text_classifier")), "--output", str(tmp_path / "mean")])
    evaluate.main(["--run", str(tmp_path / "mean"), "--data", "validation"])
    told = capsys.readouterr().out
    assert "accuracy = " in told and "macro F1 = " in told and "right \\ found  asked  told" in told

"""Which examples a run is measured on: named once, and another place for them is offered."""

import pytest

from training import evaluate, score


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--source", "a"], "Give --source and --target. Received: a, None."),
        (["--files", "a", "--data", "test"], "Received: --data, --files."),
        (["--files", "a", "--source", "a", "--target", "b"], "Received: --files, --source and --target."),
        (["--files", "a", "--data_dir", "b"], "`data_dir` is of the run's data. Received: b, and files."),
    ],
)
@pytest.mark.parametrize("main", [evaluate.main, score.main], ids=["evaluate", "score"])
def test_data_is_named_once(fails, drawn_run, main, arguments, message):
    assert message in fails(main, "--run", drawn_run, *arguments)


@pytest.mark.parametrize(
    ("data", "offered"),
    [
        ("{name: parallel_text, test: [gone.tsv]}", "--files FILE ..., or --source FILE --target FILE."),
        ("{name: multi30k, data_dir: gone}", "--data_dir FOLDER."),
    ],
)
def test_data_that_is_gone_may_lie_elsewhere(fails, tmp_path, data, offered):
    (tmp_path / "config.yaml").write_text(f"data: {data}\n")
    assert f"If it lies elsewhere, give {offered}" in fails(evaluate.main, "--run", tmp_path)


def test_files_take_the_place_of_any_data(tmp_path):
    """Also of a set with languages, which files have not."""
    (tmp_path / "config.yaml").write_text("data: {name: multi30k, source_language: de, data_dir: gone}\n")
    (tmp_path / "a.tsv").write_text("ein Hund\ta dog\n")
    config = evaluate.run_folder.load_config(tmp_path)
    assert evaluate.corpora.load_split(config, "train", files=[str(tmp_path / "a.tsv")]) == [
        [b"ein Hund"],
        [b"a dog"],
    ]

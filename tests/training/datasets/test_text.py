"""Running text: files, and Tiny Shakespeare where a folder holds it."""

import gzip

import pytest

from training.datasets import text


def test_files_follow_each_other_with_their_empty_lines(tmp_path):
    (tmp_path / "a").write_text("one\n\ntwo\n")
    with gzip.open(tmp_path / "b.gz", "wt") as file:
        file.write("three")
    files = [str(tmp_path / "a"), str(tmp_path / "b.gz")]
    assert text.load("text", "train", files=files) == ["one", "", "two", "three"]
    assert text.load("text", "validation") is None


@pytest.mark.parametrize("name", ["input.txt", "tinyshakespeare.txt"])
def test_shakespeare_is_cut_between_lines_after_nine_tenths(tmp_path, name):
    (tmp_path / name).write_text("".join(f"line {number}\n" for number in range(10, 60)))
    train, validation = (text.load("tiny_shakespeare", s, data_dir=str(tmp_path)) for s in ("train", "test"))
    assert train == [f"line {number}" for number in range(10, 55)]
    assert validation == [f"line {number}" for number in range(55, 60)]
    assert text.load("tiny_shakespeare", "validation", data_dir=str(tmp_path)) == validation


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "novel"}, "Received: 'novel'"),
        ({"split": "tset"}, "Received: 'tset'"),
        ({"data_dir": "x"}, "`data_dir` is no option of the data set text"),
        ({"name": "tiny_shakespeare", "files": ["x"]}, "`files` is no option"),
        ({}, "`data.train` must name"),
    ],
)
def test_what_cannot_be_used_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        text.load(**{"name": "text", "split": "train", **options})


def test_a_text_without_characters_and_a_folder_without_the_file_are_refused(tmp_path):
    (tmp_path / "empty").write_text("\n\n")
    with pytest.raises(ValueError, match="at least one character"):
        text.load("text", "train", files=[str(tmp_path / "empty")])
    with pytest.raises(FileNotFoundError, match="input.txt.gz"):
        text.load("tiny_shakespeare", "train", data_dir=str(tmp_path))

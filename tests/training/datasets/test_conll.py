"""Words with tags in CoNLL's columns, and what is wrong with files of them."""

import gzip

import pytest

from training.datasets.conll import load

SHARED_TASK = """\
-DOCSTART- -X- -X- O

EU NNP B-NP B-ORG
rejects\tVBZ  B-VP O\x20

-DOCSTART- -X- -X- O
\t
Zoë\u00a0L NNP B-NP B-PER
"""


def test_words_and_tags_are_the_first_and_the_last_column(tmp_path):
    (tmp_path / "a").write_text(SHARED_TASK, encoding="utf-8")
    (tmp_path / "b.gz").write_bytes(gzip.compress(b"x O\r\n\r\n\r\ny B-A\r\n"))
    found = load("conll", "train", files=[str(tmp_path / "a"), str(tmp_path / "b.gz")])
    assert [one.words for one in found] == [["EU", "rejects"], ["Zoë\u00a0L"], ["x"], ["y"]]
    assert [one.tags for one in found] == [["B-ORG", "O"], ["B-PER"], ["O"], ["B-A"]]
    assert [one.line for one in found] == [3, 8, 1, 4] and found[2].file == str(tmp_path / "b.gz")


def test_other_columns_are_counted_from_either_end(tmp_path):
    (tmp_path / "a").write_text("1 EU NNP x\n2 is VBZ y\n")
    (found,) = load("conll", "test", files=[str(tmp_path / "a")], word_column=2, tag_column=-2)
    assert found.words == ["EU", "is"] and found.tags == ["NNP", "VBZ"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("EU B-ORG\nrejects\n", "as many columns as its first, 2. Received: FILE, line 2, with 1"),
        ("\nEU\n", "word and its tag, columns 1 and -1. Received: FILE, line 2, which has 1"),
        ("", "at least one sentence. Received: FILE, without"),
        ("-DOCSTART- O\n\n \n", "at least one sentence. Received: FILE, without"),
    ],
)
def test_what_is_wrong_names_file_and_line(tmp_path, text, message):
    path = tmp_path / "a"
    path.write_text(text)
    with pytest.raises(ValueError, match=message.replace("FILE", str(path))):
        load("conll", "train", files=[str(path)])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"word_column": 3}, "columns 3 and -1. Received: .*, line 1, which has 2"),
        ({"word_column": 0}, "Received: word_column=0, tag_column=-1"),
        ({"tag_column": 1}, "must be two columns"),
        ({"files": []}, "`data.train` must name at least one file"),
        ({"name": "conllu"}, "must be conll. Received: 'conllu'"),
    ],
)
def test_options_that_do_not_fit_are_refused(tmp_path, options, message):
    (tmp_path / "a").write_text("EU B-ORG\n")
    given = {"name": "conll", "split": "train", "files": [str(tmp_path / "a")]} | options
    with pytest.raises(ValueError, match=message):
        load(**given)
    assert load("conll", "validation") is None

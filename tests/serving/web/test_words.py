"""Pieces as words, and which of them belong together."""

import numpy as np
import pytest

pytest.importorskip("starlette", reason='pip install ".[web]"')

from serving.web.words import links, words  # noqa: E402


def parts(text, tokens):
    found, _ = words(text, tokens)
    assert "".join(part for part, _ in found) == text
    return [part for part, number in found if number is not None]


def test_pieces_that_begin_with_the_mark_begin_words():
    found, groups = words("Die Katzen schlafen.", "▁Die ▁Katze n ▁sch lafen . </s>".split() + ["", ""])
    assert found == [["Die", 0], [" ", None], ["Katzen", 1], [" ", None], ["schlafen.", 2]]
    assert groups == [[0], [1, 2], [3, 4, 5]]


def test_a_mark_alone_and_spaces_as_pieces_begin_words_too():
    assert parts("a  bc", ["▁", "a", "▁", "b", "c", "</s>"]) == ["a", "bc"]
    assert parts("a bc", ["a", " ", "b", "c"]) == ["a", "bc"]
    assert parts("a bc", ["a", "<0x20>", "<0x62>", "c"]) == ["a", "bc"]


def test_words_of_a_text_that_the_tokenizer_changes_are_those_of_the_text():
    assert parts("Ｋａｔｚｅ ﬁel", ["▁Katze", "▁fi", "el", "</s>"]) == ["Ｋａｔｚｅ", "ﬁel"]


def test_where_no_spaces_are_written_pieces_stand_for_words():
    assert parts("これはペンです。", ["▁これは", "ペン", "です", "。", "</s>"]) == [
        "これは",
        "ペン",
        "です",
        "。",
    ]
    assert parts("2031-03-05", [*"2031-03-05", "</s>"]) == list("2031-03-05")
    # Another spelling than the text's: it stays whole.
    assert parts("ｶﾞｲ", ["ガ", "イ", "</s>"]) == ["ｶﾞｲ"]


def test_what_the_model_did_not_read_is_no_word():
    found, _ = words("one two three", ["▁one", "▁two", "</s>"])
    assert found == [["one", 0], [" ", None], ["two", 1], [" three", None]]


def test_pieces_that_are_none_of_the_text_have_no_words():
    assert words("one", ["▁one", "▁two", "</s>"]) is None
    assert words("one", ["</s>"]) is None and words("", []) is None
    row = {"source_tokens": ["</s>"], "target_tokens": ["▁a", "</s>"], "attention": [[1.0], [1.0]]}
    assert links("one", "a", row) is None


def test_weights_are_summed_over_the_pieces_that_are_read_and_averaged_over_those_that_are_written():
    attention = np.array([[0.1, 0.2, 0.3, 0.4], [0.3, 0.2, 0.1, 0.4], [0, 0, 1, 0]]).tolist()
    row = {
        "source_tokens": ["▁so", "ft", "▁cat", "</s>"],
        "target_tokens": ["▁Kat", "ze", "</s>"],
        "attention": attention,
    }
    found = links("soft cat", "Katze", row | {"target_tokens": ["▁Kat", "ze", "</s>"]})
    assert found["source"] == [["soft", 0], [" ", None], ["cat", 1]]
    assert found["target"] == [["Kat", 0], ["ze", 1]]
    assert np.allclose(found["weights"], [[0.3, 0.3], [0.5, 0.1]])
    found = links("soft cat", "eine Katze", row | {"target_tokens": ["▁eine", "▁Katze", "</s>"]})
    assert np.allclose(found["weights"], [[0.3, 0.3], [0.5, 0.1]])
    found = links("soft cat", "eine Katze", {**row, "target_tokens": ["▁eine", "▁Kat", "ze"]})
    assert np.allclose(found["weights"], [[0.3, 0.3], [0.25, 0.55]])

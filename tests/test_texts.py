"""Lists of texts: what is one, and what is refused by name."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_transformer import quality
from keras_transformer.texts import as_list

TEXTS = ["a b", "", b"\xff c"]


class Column:
    """As a table has it: iterable, with a length and numbers of its own."""

    def __iter__(self):
        return iter(TEXTS)


@pytest.mark.parametrize(
    "texts",
    [TEXTS, tuple(TEXTS), iter(TEXTS), dict.fromkeys(TEXTS).keys(), np.array(TEXTS, object), Column()],
    ids=lambda texts: type(texts).__name__,
)
def test_any_iterable_of_strings_is_a_list_of_texts(texts):
    assert as_list(texts) == TEXTS
    assert as_list([]) == []


def test_arrays_and_tensors_of_strings_are_lists_of_texts():
    assert as_list(np.array(["a", "b"])) == ["a", "b"]
    assert as_list(tf.constant(["a", "b"])) == [b"a", b"b"]


@pytest.mark.parametrize(
    ("texts", "received"),
    [
        ("Wo ist Tom?", r"one string, 'Wo ist Tom\?'; put it into a list"),
        (b"Wo", "one string, b'Wo'"),
        (tf.constant("Wo"), "one string, b'Wo'"),
        (np.array("Wo"), "ndarray"),
        (None, "NoneType, None"),
        (7, "int, 7"),
        ({"a": "b"}, "dict"),
        (["a", None], "NoneType as number 1"),
        ([3], "int as number 0, 3"),
        ([["a"]], "list as number 0"),
        (np.array([["a"]]), "ndarray"),
        (["\ud800"], "half of a surrogate pair in number 0"),
    ],
    ids=str,
)
def test_what_is_no_list_of_texts_is_refused(texts, received):
    with pytest.raises(ValueError, match=f"`lines` must be a list of strings. Received: {received}"):
        as_list(texts, "lines")


@settings(max_examples=60, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=2),
        max_leaves=5,
    )
)
def test_anything_is_a_list_of_texts_or_refused_in_one_line(value):
    try:
        assert all(isinstance(text, str | bytes) for text in as_list(value))
    except ValueError as error:
        assert str(error).startswith("`texts` must be a list of strings. Received:")
        assert "\n" not in str(error) and len(str(error)) < 250


def test_a_corpus_may_be_bytes_and_any_iterable():
    expected = quality.measure(["a b c d", "ü"], ["a b c d", "ü"])
    assert quality.measure([b"a b c d", "ü"], iter(["a b c d", "ü".encode()])) == expected


def test_a_corpus_is_no_single_string():
    for call in (
        lambda: quality.measure("abc", ["a", "b", "c"]),
        lambda: quality.measure(["a"], "a"),
        lambda: quality.sentence_scores("a", ["a"]),
        lambda: quality.paired_bootstrap({"ours": "a"}, ["a"]),
    ):
        with pytest.raises(ValueError, match="must be a list of strings. Received: one string"):
            call()

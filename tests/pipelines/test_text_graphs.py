"""Steps that the functions of texts share: results of which no two are one text, and rows that match."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_transformer import decoding
from keras_transformer.pipelines.text_graphs import distinct, same_rows

SEARCH = decoding.BeamSearch(5, width=4, n_best=3)
# What searches find for a row, best first, with scores -1, -2, ...: by three results, and by six.
FOUND = {
    0: ("abc", "abcdef"),
    1: ("aab", "aababc"),  # one text twice; the wider search has a third
    2: ("aba", "dabaef"),  # the wider one finds a better one first
    3: ("aaa", "aaaaa"),  # there is no other
    4: ("a", "a"),  # nor another hypothesis
}


class Scripted:
    """Decodes rows of numbers as `FOUND` says, and remembers what it was asked for."""

    def __init__(self):
        self.asked = []

    def __call__(self, search, inputs):
        self.asked.append((search.width, search.n_best, inputs["row"].numpy().tolist()))
        texts = [FOUND[row][search.n_best > 3].ljust(search.n_best) for row in self.asked[-1][2]]
        scores = [[-np.inf if x == " " else -1.0 - i for i, x in enumerate(text)] for text in texts]
        return {
            "texts": tf.strings.strip(tf.constant([list(text) for text in texts])),
            "scores": tf.constant(scores, tf.float32),
            "ids": tf.constant([[[ord(x), search.n_best] for x in text] for text in texts]),
        }


def asked(rows, is_exempt=False, search=SEARCH):
    """The texts of the rows, joined, what was asked for, and all of the answer."""
    decode = Scripted()
    found = distinct(decode, search, {"row": tf.constant(rows)}, is_exempt)
    return [b"".join(row).decode() for row in found["texts"].numpy()], decode.asked, found


def test_equal_texts_are_joined_and_a_wider_search_fills_up():
    texts, searches, found = asked([0, 1, 2, 3, 4])
    assert texts == ["abc", "abc", "abd", "a", "a"]
    assert searches == [(4, 3, [0, 1, 2, 3, 4]), (8, 6, [1, 2, 3])]
    # The better score of an equal text stays, and what comes later has that of its own search.
    expected = [[-1, -2, -3], [-1, -3, -6], [-1, -2, -1], [-1, -np.inf, -np.inf], [-1, -np.inf, -np.inf]]
    np.testing.assert_array_equal(found["scores"], expected)
    np.testing.assert_array_equal(found["ids"][1], [[ord("a"), 3], [ord("b"), 3], [ord("c"), 6]])
    np.testing.assert_array_equal(found["ids"][3], [[ord("a"), 3], [0, 0], [0, 0]])


def test_rows_without_equal_texts_are_searched_once():
    texts, searches, _ = asked([0, 4])
    assert texts == ["abc", "a"] and len(searches) == 1
    assert asked([1, 0])[0] == asked([1])[0] + asked([0])[0]  # neighbours change nothing


def test_rows_may_be_exempt_and_samples_stay_as_they_were_drawn():
    texts, searches, _ = asked([3, 1], tf.constant([True, False]))
    assert texts == ["aaa", "abc"] and searches[1:] == [(8, 6, [1])]
    for search in (decoding.BeamSearch(5, width=4), decoding.BeamSearch(5, width=3)):
        decode = Scripted()
        distinct(decode, search, {"row": tf.constant([3])})
        assert len(decode.asked) == 1
    drawn = {"texts": tf.constant([["a", "a"]]), "scores": tf.constant([[-1.0, -1.0]])}
    assert distinct(lambda *_: drawn, decoding.Sampling(5, num_samples=2), {}) is drawn


def test_no_rows_have_no_results():
    def decode(search, inputs):
        texts = tf.repeat(inputs["text"][:, None], search.n_best, axis=1)
        return {"texts": texts, "scores": tf.zeros(tf.shape(texts))}

    specs = [tf.TensorSpec([None], tf.string)]
    graph = tf.function(lambda text: distinct(decode, SEARCH, {"text": text}), specs, autograph=False)
    assert graph(tf.zeros([0], tf.string))["texts"].shape == (0, 3)
    assert graph(tf.constant(["a"]))["texts"].numpy().tolist() == [[b"a", b"", b""]]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=2, max_size=4), st.booleans())
def test_tensors_with_different_rows_are_refused_and_others_pass(counts, is_graph):
    tensors = {f"x{i}": tf.zeros([count, *[2] * i]) for i, count in enumerate(counts)}
    check = SAME_ROWS[len(counts)] if is_graph else same_rows
    if len(set(counts)) == 1:
        assert [x.shape for x in check(**tensors)] == [x.shape for x in tensors.values()]
        return
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        check(**tensors)
    for part in (" and ".join(tensors), "must have the same number of rows. Received:", *map(str, counts)):
        assert part in str(error.value)


def unknown(count):
    """`same_rows` in a graph that knows no shapes, for so many tensors."""
    specs = {f"x{i}": tf.TensorSpec([None, *[2] * i]) for i in range(count)}
    return tf.function(same_rows, autograph=False).get_concrete_function(**specs)


SAME_ROWS = {count: unknown(count) for count in (2, 3, 4)}

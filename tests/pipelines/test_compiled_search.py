"""A search that is compiled for a few shapes: what is filled up, and that each answer is the row's own."""

import types

import numpy as np
import pytest
import tensorflow as tf

from keras_transformer import decoding
from keras_transformer.pipelines import compiled_search
from keras_transformer.pipelines.compiled_search import CompiledSearch

SEARCH = decoding.Greedy(max_length=3)
SHAPE = 1_000  # of the scores: rows * SHAPE + ids of a row, as the search saw them


@pytest.fixture
def compiled(monkeypatch):
    """Compiled for 2 or 5 rows of 3 or 7 ids, with a search that gives back what it was given."""

    def search(model, inputs, search, prefix_ids=None, seed=None):
        ids = inputs["source_ids"]
        shape = tf.shape(ids)
        sums = tf.reduce_sum(ids, axis=1)[:, None]
        return sums[..., None], tf.fill([shape[0], 1], tf.cast(shape[0] * SHAPE + shape[1], tf.float32))

    monkeypatch.setattr(compiled_search, "decoding", types.SimpleNamespace(generate_n_best=search))
    return CompiledSearch([2, 5], [3, 7])


@pytest.fixture
def asked(compiled):
    """Answers of a graph, (sums, (rows, ids) that were searched)."""

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32)], autograph=False)
    def graph(source_ids):
        return compiled(None, {"source_ids": source_ids}, SEARCH)

    def ask(rows, length):
        source_ids = np.arange(rows * length, dtype="int32").reshape(rows, length) + 1
        ids, scores = graph(source_ids)
        assert ids.numpy()[:, 0, 0].tolist() == source_ids.sum(axis=1).tolist()
        assert scores.shape == (rows, 1)
        return divmod(int(scores[0, 0]), SHAPE) if rows else None

    return ask


@pytest.mark.parametrize(
    "given, searched",
    [
        ((1, 1), (2, 3)),
        ((2, 3), (2, 3)),
        ((2, 4), (2, 7)),
        ((3, 2), (5, 3)),
        ((5, 7), (5, 7)),
        ((6, 3), (6, 3)),  # beyond what is compiled: as they are
        ((1, 8), (1, 8)),
    ],
)
def test_inputs_are_filled_up_to_the_smallest_shape_that_holds_them(asked, given, searched):
    assert asked(*given) == searched


def test_no_rows_have_no_answers(asked):
    assert asked(0, 3) is None


def test_added_rows_are_the_first_and_seeds_come_along(compiled):
    given = {"source_ids": tf.constant([[4, 5], [6, 7], [8, 9]]), "seed": tf.constant([1, 2, 3])}
    filled = compiled.filled_up(given)
    assert filled["source_ids"].numpy().tolist() == [[4, 5, 0], [6, 7, 0], [8, 9, 0], [4, 5, 0], [4, 5, 0]]
    assert filled["seed"].numpy().tolist() == [1, 2, 3, 1, 1]
    assert compiled.filled_up({"seed": tf.constant(7)})["seed"] == 7


def test_equal_searches_share_one_compiled_function(compiled):
    given = {"source_ids": tf.constant([[4, 5]])}
    one = compiled._compiled(None, SEARCH, given)
    assert compiled._compiled(None, decoding.Greedy(max_length=3), given) is one
    assert compiled._compiled(None, decoding.Greedy(max_length=4), given) is not one


def test_there_is_a_request_for_each_shape_and_it_has_that_shape():
    def ids(texts):  # a token for each character, and an end
        return tf.strings.unicode_decode(texts, "UTF-8").to_tensor()

    found = list(CompiledSearch([1, 4], [3, 9]).requests(ids))
    assert [(len(texts), ids(texts).shape[1]) for texts in found] == [(1, 3), (1, 9), (4, 3), (4, 9)]


@pytest.mark.parametrize(
    "rows, lengths, message",
    [
        ([2, 2], [3], r"`xla_rows` must be positive integers in ascending order, each once.*\[2, 2\]"),
        ([2], [0, 3], r"`xla_lengths` must be positive.*\[0, 3\]"),
        ([8, 1], [3], r"`xla_rows` must be positive.*\[8, 1\]"),
        ([], [3], "`xla_rows` must have a number of rows"),
    ],
)
def test_shapes_that_are_no_shapes_are_refused(rows, lengths, message):
    with pytest.raises(ValueError, match=message):
        CompiledSearch(rows, lengths)


def test_a_length_that_no_text_has_is_refused():
    with pytest.raises(ValueError, match=r"one that a text has.*none has 4 to 4 tokens"):
        list(CompiledSearch([1], [3, 4]).requests(lambda texts: tf.ones([tf.size(texts), 3], tf.int32)))

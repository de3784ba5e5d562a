"""Beam search against brute force over all sequences, and against a beam in NumPy that never stops early."""

import numpy as np
import pytest
from keras import ops

from keras_transformer import decoding
from tests import checks
from tests.decoding import numpy_search
from tests.decoding.numpy_search import assert_same
from tests.decoding.scripted import END, PAD, TableModel, without_padding

# (V, L, number of sequences): all but padding and start go on, the end token ends.
SPACES = [(5, 4, 31), (6, 3, 40), (7, 2, 21), (5, 1, 3)]
KEYS = [3, 17, 101, 997, 2003]
LENGTHS = [5, 1, 4, 2, 3]


def assert_rows_are(expected, model, search, **kwargs):
    """Each row's results are `expected(search, model, row, prefix)`."""
    ids, scores, _ = model.search(search, **kwargs)
    prefixes = kwargs.get("prefix_ids", np.zeros((model.batch_size, 0), "int32"))
    for row, prefix in enumerate(prefixes):
        prefix = without_padding(checks.as_array(prefix))
        assert_same((ids[row], scores[row]), expected(search, model, row, prefix))
    return ids


# Brute force


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.5])
@pytest.mark.parametrize("vocabulary_size, length, count", SPACES)
def test_full_width_ranks_all_sequences(vocabulary_size, length, count, alpha):
    model = TableModel(vocabulary_size, KEYS)
    search = decoding.BeamSearch(length, width=count, n_best=count, alpha=alpha)
    ids = assert_rows_are(numpy_search.exhaustive, model, search)
    assert (ids[..., 0] != PAD).all()  # there are as many


@pytest.mark.parametrize("n_best", [1, 3])
@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.5, 5.0])
def test_full_width_finds_the_best_sequences(alpha, n_best):
    model = TableModel(5, range(0, 4000, 97), end=1.0)
    search = decoding.BeamSearch(4, width=31, n_best=n_best, alpha=alpha)
    assert_rows_are(numpy_search.exhaustive, model, search)


OPTIONS = [
    {"coverage_penalty": 0.7},
    {"coverage_penalty": 3.0, "alpha": 1.5},
    {"min_length": 3},
    {"min_length": 4, "alpha": 0.0},
    {"no_repeat_ngram_size": 1},
    {"no_repeat_ngram_size": 2},
    {"repetition_penalty": 1.7},
    {"repetition_penalty": 0.6, "alpha": 1.5},
    {"max_ratio": 0.7},
    {"min_ratio": 0.6},
    {"min_ratio": 0.4, "max_ratio": 0.7, "no_repeat_ngram_size": 1, "coverage_penalty": 0.2},
    {"min_length": 2, "no_repeat_ngram_size": 2, "repetition_penalty": 1.3, "coverage_penalty": 0.5},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_full_width_finds_the_best_sequences_under_rules(options):
    model = TableModel(5, KEYS, LENGTHS, seed=1)
    search = decoding.BeamSearch(4, width=31, n_best=7, **options)
    assert_rows_are(numpy_search.exhaustive, model, search)


PREFIXES = np.array([[4, 0, 0], [1, 4, 4], [0, 0, 0], [4, 1, 0], [1, 3, 0]], "int32")


@pytest.mark.parametrize("alpha", [0.0, 1.5])
def test_full_width_finds_the_best_sequences_that_begin_as_told(alpha):
    model = TableModel(5, KEYS, seed=2)
    search = decoding.BeamSearch(4, width=31, n_best=5, alpha=alpha)
    ids = assert_rows_are(numpy_search.exhaustive, model, search, prefix_ids=ops.convert_to_tensor(PREFIXES))
    is_told = np.broadcast_to((PREFIXES != PAD)[:, None], (5, 5, 3)) & (ids[..., :1] != PAD)
    np.testing.assert_array_equal(ids[..., :3][is_told], np.repeat(PREFIXES[:, None], 5, axis=1)[is_told])


# Narrow beams, hundreds of tables in a batch


@pytest.mark.parametrize(
    "options",
    [
        {"width": 2, "alpha": 0.0},
        {"width": 3, "n_best": 2},
        {"width": 5, "n_best": 5, "alpha": 1.5},
        {"width": 2, "alpha": 4.0, "min_length": 2},
        {"width": 3, "coverage_penalty": 0.5, "no_repeat_ngram_size": 2, "max_ratio": 1.5},
        {"width": 4, "n_best": 3, "repetition_penalty": 1.5, "min_ratio": 0.7, "alpha": 1.0},
    ],
    ids=str,
)
def test_narrow_beams_are_those_of_a_search_that_never_stops_early(options):
    lengths = np.random.default_rng(3).integers(1, 6, 211)
    model = TableModel(7, range(0, 4 * 211, 4), lengths, end=1.0, seed=3)
    ids = assert_rows_are(numpy_search.beam, model, decoding.BeamSearch(7, **options))
    assert len(np.unique((ids[:, 0] == END).argmax(axis=-1))) > 2  # results of many lengths


def test_narrow_beams_over_a_large_vocabulary():
    model = TableModel(331, KEYS, LENGTHS, end=5.0, seed=8)
    search = decoding.BeamSearch(7, width=5, n_best=5, repetition_penalty=1.2, max_ratio=2.0)
    assert_rows_are(numpy_search.beam, model, search)


def test_narrow_beams_begin_as_told():
    model = TableModel(7, range(0, 500, 5), end=1.0, seed=4)
    prefix_ids = np.random.default_rng(5).integers(4, 7, (100, 4)).astype("int32")
    prefix_ids[np.arange(4) >= np.random.default_rng(6).integers(0, 5, (100, 1))] = PAD
    search = decoding.BeamSearch(7, width=3, n_best=2, no_repeat_ngram_size=2, repetition_penalty=1.2)
    assert_rows_are(numpy_search.beam, model, search, prefix_ids=ops.convert_to_tensor(prefix_ids))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"min_length": 3, "no_repeat_ngram_size": 1, "repetition_penalty": 1.4, "max_ratio": 1.2},
    ],
    ids=str,
)
@pytest.mark.parametrize("alpha", [0.0, 0.6, 3.0])
def test_width_one_is_greedy_search(alpha, options):
    lengths = np.random.default_rng(7).integers(3, 6, 307)
    model = TableModel(11, range(0, 10 * 307, 10), lengths, seed=5)
    ids, scores, _ = model.search(decoding.BeamSearch(7, width=1, alpha=alpha, **options))
    greedy_ids, greedy_scores, _ = model.search(decoding.Greedy(7, **options))
    np.testing.assert_array_equal(ids, greedy_ids)
    np.testing.assert_allclose(scores, greedy_scores, atol=1e-5)
    for row in range(0, model.batch_size, 13):
        assert_same((ids[row], scores[row]), numpy_search.greedy(decoding.Greedy(7, **options), model, row))

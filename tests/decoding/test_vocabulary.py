"""Products over the vocabulary against NumPy."""

import numpy as np
import pytest
from keras import ops

from keras_transformer.decoding import vocabulary
from tests import checks


@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize("size", [5, 64, 331, 1024, 4099])
def test_top_k_is_the_beginning_of_the_sorted_row(size, k):
    x = checks.numbers(7, size)
    x[1] = np.sort(x[1])[::-1]  # the largest in one fold
    x[2] = np.sort(x[2])  # and in the rest that fills no fold
    x[3] -= 1e9 * (np.arange(size) % 5 > 0)
    x[3].sort()
    values, places = vocabulary.top_k(ops.convert_to_tensor(x), k)
    np.testing.assert_array_equal(checks.as_array(values), -np.sort(-x, axis=1)[:, :k])
    places = checks.as_array(places)
    assert places.dtype == np.int32
    np.testing.assert_array_equal(np.take_along_axis(x, places, axis=1), checks.as_array(values))
    assert all(len(set(row)) == k for row in places.tolist())


def test_top_k_of_equal_values_gives_different_places():
    _, places = vocabulary.top_k(ops.zeros((3, 331)), 5)
    assert all(len(set(row)) == 5 for row in checks.as_array(places).tolist())


@pytest.mark.parametrize("size", [1, 2, 4099])
@pytest.mark.parametrize("offset", [0.0, 300.0, -1e4])
def test_log_normaliser_is_the_log_of_the_sum_of_exponentials(size, offset):
    logits = 5 * checks.numbers(7, size) + np.float32(offset)
    logits[0] -= 1e9 * (np.arange(size) > 0)  # all but one banned
    exact = logits.astype("float64")
    largest = exact.max(axis=1, keepdims=True)
    expected = largest + np.log(np.exp(exact - largest).sum(axis=1, keepdims=True))
    actual = checks.as_array(vocabulary.log_normaliser(ops.convert_to_tensor(logits)))
    np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-5)

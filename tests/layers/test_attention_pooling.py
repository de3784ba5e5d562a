"""Word attention: the formula, and blindness to padding."""

import numpy as np
import pytest
from keras import ops

from keras_transformer import layers
from tests import checks

B, T, D, U = 3, 5, 7, 4
X = checks.numbers(B, T, D, seed=1)
MASK = np.arange(T) < np.array([[5], [2], [0]])


def small(**kwargs):
    return layers.AttentionPooling(U, **kwargs)


@pytest.mark.parametrize("check", checks.STANDARD)
def test_standard_checks(check, tmp_path):
    check(small, (X, MASK), tmp_path)


def test_the_mean_is_weighted_by_equations_5_to_7():
    layer = checks.shared(small, (X, MASK))
    (kernel, bias), (context,) = layer.inner.get_weights(), layer.context.get_weights()
    exponentials = np.exp(np.tanh(X.astype("float64") @ kernel + bias) @ context[:, 0]) * MASK
    expected = exponentials / np.maximum(exponentials.sum(axis=1, keepdims=True), 1e-9)
    pooled, weights = layer.attend(ops.convert_to_tensor(X), ops.convert_to_tensor(MASK))
    np.testing.assert_allclose(checks.as_array(weights), expected, atol=1e-5)
    np.testing.assert_allclose(checks.as_array(pooled), np.einsum("bt,btd->bd", expected, X), atol=1e-5)


def test_padding_says_nothing_and_no_word_gives_zeros():
    layer = checks.shared(small, (X, MASK))
    found = checks.as_array(layer(X, mask=ops.convert_to_tensor(MASK)))
    loud = np.where(MASK[..., None], X, 1e3)
    np.testing.assert_allclose(
        checks.as_array(layer(loud, mask=ops.convert_to_tensor(MASK))), found, atol=1e-5
    )
    assert not found[2].any() and found[:2].all()

"""Self-attention over a grid: the paper's formula, and that it begins as the identity."""

import keras
import numpy as np
import pytest

from keras_transformer import layers
from tests import checks, reference

B, H, W, C = 2, 3, 5, 7
X = checks.numbers(B, H, W, C)


def make(**kwargs):
    return layers.SpatialSelfAttention(**{"reduction": 2, **kwargs})


@pytest.mark.parametrize("check", checks.STANDARD)
def test_standard_checks(check, tmp_path):
    check(make, (X,), tmp_path)


def test_layer_equals_the_formula_of_the_paper():
    layer = checks.shared(make, (X,))
    gamma, w_f, w_g, w_h, w_v = (weight.numpy().astype("float64") for weight in layer.weights)
    output, weights = layer(X, return_attention_scores=True)
    assert tuple(weights.shape) == (B, H * W, H * W)
    for x, y, actual in zip(X, checks.as_array(output), checks.as_array(weights), strict=True):
        x = x.reshape(H * W, C).astype("float64")
        queries, keys, values = x @ w_f[:, 0], x @ w_g[:, 0], x @ w_h[:, 0]
        expected = reference.softmax(queries @ keys.T / np.sqrt(C // 2))
        np.testing.assert_allclose(actual, expected, atol=1e-5)
        o = expected @ values @ w_v[0]
        np.testing.assert_allclose(y.reshape(H * W, C), gamma * o + x, atol=1e-5)


def test_case_by_hand():
    # Two pixels, one channel: 0 and ln 3. Every kernel 1, gamma 2. Of pixel 0 the scores are 0 and 0, so it
    # reads (0 + ln 3) / 2; pixel 1 has the scores 0 and (ln 3)^2.
    layer = layers.SpatialSelfAttention(reduction=1)
    x = np.array([0.0, np.log(3)], "float32").reshape(1, 1, 2, 1)
    layer.build(x.shape)
    layer.set_weights([np.array(2.0), *[np.ones(w.shape) for w in layer.weights[1:]]])
    share = 3 ** np.log(3) / (1 + 3 ** np.log(3))
    expected = np.log(3) * np.array([2 * 0.5, 2 * share + 1])
    np.testing.assert_allclose(checks.as_array(layer(x)).ravel(), expected, rtol=1e-5)


def test_a_new_layer_is_the_identity():
    np.testing.assert_array_equal(checks.as_array(make()(X)), X)


def test_rows_of_a_batch_do_not_meet():
    checks.batch_invariance(checks.shared(make, (X,)), X)


def test_every_position_sees_every_position():
    layer = checks.shared(make, (X,))

    def of_positions(x):
        return keras.ops.reshape(layer(keras.ops.reshape(x, (-1, H, W, C))), (-1, H * W, C))

    positions = X[:1].reshape(1, H * W, C)
    assert checks.influence(of_positions, positions).all()
    checks.permutation_equivariance(of_positions, positions)


def test_few_channels_still_make_a_query():
    layer = layers.SpatialSelfAttention()  # 7 channels, 8 times narrower
    layer.build(X.shape)
    assert layer.attention.key_dim == 1


def test_weights_have_their_shape_in_a_functional_model():
    x = keras.Input((H, W, C))
    _, weights = make()(x, return_attention_scores=True)
    assert weights.shape == (None, H * W, H * W)


@pytest.mark.parametrize("reduction", [0, 2.0])
def test_reduction_is_a_positive_integer(reduction):
    with pytest.raises(ValueError, match=f"`reduction` must be a positive integer.*{reduction}"):
        layers.SpatialSelfAttention(reduction)


def test_the_input_is_a_grid():
    with pytest.raises(ValueError, match=r"4 axes.*\(2, 3, 5\)"):
        make().build((2, 3, 5))

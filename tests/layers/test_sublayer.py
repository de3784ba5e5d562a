"""The residual sub-layer and the feed-forward network."""

import keras
import numpy as np
import pytest

from keras_transformer import layers
from tests import checks, reference

B, T, D = 2, 5, 7
X = checks.numbers(B, T, D)


def post_norm(**kwargs):
    return layers.Sublayer(layers.FeedForward(11), dropout=0.1, **kwargs)


def pre_norm(**kwargs):
    return layers.Sublayer(layers.FeedForward(11), dropout=0.1, norm_first=True, **kwargs)


def feed_forward(**kwargs):
    return layers.FeedForward(11, dropout=0.1, activation="gelu", **kwargs)


@pytest.mark.parametrize("make", [post_norm, pre_norm, feed_forward])
@pytest.mark.parametrize("check", checks.STANDARD)
def test_standard_checks(check, make, tmp_path):
    check(make, (X,), tmp_path)


# Sub-layer


@pytest.mark.parametrize("make", [post_norm, pre_norm])
def test_sublayer_equals_its_formula(make):
    layer = checks.shared(make, (X,))
    _, (network,), (norm,) = reference.sublayer_weights(layer)
    expected = reference.sublayer(
        norm, X, lambda h: reference.feed_forward(network, h), norm_first=make is pre_norm
    )
    np.testing.assert_allclose(checks.as_array(layer(X)), expected, atol=1e-5)


def test_norm_after_leaves_normalised_vectors():
    output = checks.as_array(layers.Sublayer(layers.FeedForward(11))(X))
    np.testing.assert_allclose(output.mean(axis=-1), 0, atol=1e-5)
    np.testing.assert_allclose(output.std(axis=-1), 1, atol=1e-3)


def test_epsilon_is_added_to_the_variance():
    # Without a function, x of variance 1 and epsilon 3: divided by the root of 4.
    layer = layers.Sublayer(keras.layers.Dense(2, kernel_initializer="zeros"), norm_epsilon=3.0)
    output = checks.as_array(layer(np.array([[[1.0, -1.0]]], "float32")))
    np.testing.assert_allclose(output, [[[0.5, -0.5]]], atol=1e-6)


def test_dropout_acts_on_the_function_and_not_on_the_residual():
    ones = keras.layers.Dense(101, kernel_initializer="zeros", bias_initializer="ones")
    layer = layers.Sublayer(ones, dropout=0.5, norm_first=True)
    x = checks.numbers(B, T, 101)
    added = checks.as_array(layer(x, training=True)) - x
    # f = 1 is dropped, or kept and doubled: its mean stays.
    np.testing.assert_allclose(added, np.where(added > 1, 2.0, 0.0), atol=1e-5)
    assert 0.4 < (added > 1).mean() < 0.6
    np.testing.assert_allclose(checks.as_array(layer(x, training=False)) - x, 1.0, atol=1e-5)


def test_dropout_comes_before_the_norm():
    ones = keras.layers.Dense(101, kernel_initializer="zeros", bias_initializer="ones")
    layer = layers.Sublayer(ones, dropout=0.5)
    output = checks.as_array(layer(np.zeros((B, T, 101), "float32"), training=True))
    # Dropout after the norm would leave exact zeros.
    assert (output != 0).all()
    np.testing.assert_allclose(output.mean(axis=-1), 0, atol=1e-5)


def test_sublayer_wraps_any_keras_layer(tmp_path):
    def make(**kwargs):
        return layers.Sublayer(keras.layers.Dense(D, activation="tanh"), **kwargs)

    checks.config_round_trip(make, (X,), tmp_path)
    checks.file_round_trip(make, (X,), tmp_path)


# Feed-forward network


def test_feed_forward_by_hand():
    layer = layers.FeedForward(2)
    layer(np.zeros((1, 1, 1), "float32"))
    layer.set_weights([np.array([[1.0, -1.0]]), np.zeros(2), np.array([[2.0], [3.0]]), np.ones(1)])
    output = checks.as_array(layer(np.array([[[5.0], [-5.0]]], "float32")))
    np.testing.assert_allclose(output, [[[11.0], [16.0]]])


def test_feed_forward_equals_the_formula():
    layer = checks.built(lambda: layers.FeedForward(11), (X,))
    expected = reference.feed_forward(layer.get_weights(), X)
    np.testing.assert_allclose(checks.as_array(layer(X)), expected, atol=1e-5)


def test_feed_forward_names_its_two_layers():
    layer = checks.shared(feed_forward, (X,))
    names = [weight.path.split("/")[-2:] for weight in layer.weights]
    assert names == [[o, w] for o in ("intermediate", "output") for w in ("kernel", "bias")]


def test_feed_forward_sees_each_position_alone():
    layer = checks.shared(feed_forward, (X,))
    np.testing.assert_array_equal(checks.influence(layer, X), np.eye(T, dtype=bool))


def test_feed_forward_drops_inner_values_in_training_only():
    layer = layers.FeedForward(1, dropout=0.5)
    layer(X)
    layer.set_weights([np.zeros((D, 1)), np.ones(1), np.ones((1, D)), np.zeros(D)])
    output = checks.as_array(layer(checks.numbers(B, 101, D), training=True))
    # The one inner value is dropped or doubled, for all outputs of a position at once.
    assert set(np.unique(output)) == {0.0, 2.0}
    assert (output == output[..., :1]).all()
    assert set(np.unique(checks.as_array(layer(X)))) == {1.0}


@pytest.mark.parametrize("size", [0, -1, 2.5])
def test_intermediate_dim_is_a_positive_integer(size):
    message = f"`intermediate_dim` must be a positive integer.*intermediate_dim={size}"
    with pytest.raises(ValueError, match=message):
        layers.FeedForward(size)

"""Gated feed-forward networks against their formula, and which network a name is."""

import keras
import numpy as np
import pytest

from keras_transformer import layers
from keras_transformer.layers import feed_forward
from tests import checks

B, T, D, INNER = 2, 5, 7, 11
X = checks.numbers(B, T, D)

# In float64.
ACTIVATIONS = {
    "bilinear": lambda x: x,
    "geglu_tanh": lambda x: x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
    "glu": lambda x: 1 / (1 + np.exp(-x)),
    "reglu": lambda x: np.maximum(x, 0),
    "swiglu": lambda x: x / (1 + np.exp(-x)),
}


@pytest.mark.parametrize("check", checks.STANDARD)
def test_standard_checks(check, tmp_path):
    check(lambda **kwargs: layers.GatedFeedForward(INNER, dropout=0.1, **kwargs), (X,), tmp_path)


def test_every_bias_is_trained():
    checks.gradients(lambda **kwargs: layers.GatedFeedForward(INNER, use_bias=True, **kwargs), (X,), None)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_gated_networks_equal_their_formula(name):
    # Shazeer 2020, equations 5 and 6: (activation(x W) * x V) W_2.
    layer = checks.built(lambda: feed_forward.feed_forward(INNER, name), (X,))
    assert isinstance(layer, layers.GatedFeedForward)
    x = X.astype("float64")
    w, w2, v = (weight.numpy() for weight in layer.weights)
    expected = (ACTIVATIONS[name](x @ w) * (x @ v)) @ w2
    np.testing.assert_allclose(checks.as_array(layer(X)), expected, atol=1e-5)


def test_a_gate_by_hand():
    layer = layers.GatedFeedForward(1, activation="relu", use_bias=True)
    layer(np.zeros((1, 1, 1), "float32"))
    # relu(2 x + 1) * (3 x - 1) * 5 + 7
    w, b, w2, b2, v, c = [[2.0]], [1.0], [[5.0]], [7.0], [[3.0]], [-1.0]
    layer.set_weights([np.array(value) for value in (w, b, w2, b2, v, c)])
    output = checks.as_array(layer(np.array([[[1.0], [-2.0]]], "float32")))
    np.testing.assert_allclose(output, [[[37.0], [7.0]]])


def test_other_names_are_the_network_of_the_paper():
    for activation in ("relu", "gelu", keras.activations.silu):
        layer = feed_forward.feed_forward(INNER, activation, dropout=0.1)
        assert type(layer) is layers.FeedForward
        assert layer.activation is keras.activations.get(activation)
        assert layer.dropout == 0.1


def test_no_bias_where_none_is_wanted():
    layer = checks.built(lambda: layers.FeedForward(INNER, use_bias=False), (X,))
    w1, w2 = layer.get_weights()
    np.testing.assert_allclose(checks.as_array(layer(X)), np.maximum(X @ w1, 0) @ w2, atol=1e-5)


@pytest.mark.filterwarnings("ignore:.*does not have a `quantize` method")
def test_a_gate_is_quantized_and_saved_with_the_rest(tmp_path):
    layer = checks.built(lambda: layers.GatedFeedForward(INNER), (X,))
    inputs = keras.Input((None, D))
    model = keras.Model(inputs, layer(inputs))
    model.quantize("int8")
    assert {str(w.dtype) for w in layer.weights if w.path.endswith("kernel")} == {"int8"}
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(checks.as_array(loaded(X)), checks.as_array(model(X)))


def test_intermediate_dim_is_a_positive_integer():
    with pytest.raises(ValueError, match="`intermediate_dim` must be a positive integer.*intermediate_dim=0"):
        layers.GatedFeedForward(0)

"""Norms by name: in sub-layers, and of queries and keys."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_transformer import layers
from keras_transformer.layers.normalization import norm_layer
from tests import checks, reference

B, T, H, D, K = 2, 5, 2, 7, 4
X = checks.numbers(B, T, D)


def rms_norm(scale, x, epsilon=1e-6):
    """Zhang and Sennrich 2019, equation 4."""
    return scale * x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + epsilon)


def norm(name, weights, x):
    return rms_norm(*weights, x) if name == "rms_norm" else reference.layer_norm(weights, x)


both = pytest.mark.parametrize("name", ["layer_norm", "rms_norm"])


@both
@pytest.mark.parametrize("epsilon", [1e-6, 0.3])
def test_norms_equal_their_formula(name, epsilon):
    layer = checks.built(lambda: norm_layer(name, epsilon), (X,))
    formula = rms_norm if name == "rms_norm" else reference.layer_norm
    weights = layer.get_weights() if name == "rms_norm" else (layer.get_weights(),)
    expected = formula(*weights, X.astype("float64"), epsilon=epsilon)
    np.testing.assert_allclose(checks.as_array(layer(X)), expected, atol=1e-5)


def test_the_mean_square_of_large_halves_does_not_overflow():
    found = checks.as_array(norm_layer("rms_norm", dtype="float16")(np.full((1, 1, 4), 1e3, "float16")))
    np.testing.assert_allclose(found, 1.0, atol=1e-3)


# Sub-layers


@pytest.mark.parametrize("check", checks.STANDARD)
def test_standard_checks_of_a_sublayer(check, tmp_path):
    def make(**kwargs):
        inner = layers.GatedFeedForward(11, dtype=kwargs.get("dtype"))
        return layers.Sublayer(inner, norm_first=True, normalization="rms_norm", **kwargs)

    check(make, (X,), tmp_path)


@pytest.mark.parametrize("norm_first", [False, True])
def test_a_sublayer_with_another_norm(norm_first):
    def make():
        dense = keras.layers.Dense(D, use_bias=False)
        return layers.Sublayer(dense, norm_first=norm_first, norm_epsilon=1e-5, normalization="rms_norm")

    layer = checks.shared(make, (X,))
    (kernel,), (scale,) = (part.get_weights() for part in (layer.layer, layer.norm))
    x = X.astype("float64")
    if norm_first:
        expected = x + rms_norm(scale, x, 1e-5) @ kernel
    else:
        expected = rms_norm(scale, x + x @ kernel, 1e-5)
    np.testing.assert_allclose(checks.as_array(layer(X)), expected, atol=1e-5)


# Queries and keys


def normalised(**kwargs):
    return layers.MultiHeadAttention(H, K, qk_norm="rms_norm", **kwargs)


@pytest.mark.parametrize("check", checks.STANDARD)
def test_standard_checks_of_attention(check, tmp_path):
    check(normalised, (X,), tmp_path)


@both
def test_queries_and_keys_are_normalised_in_each_head_before_they_are_turned(name):
    def make():
        return layers.MultiHeadAttention(H, K, qk_norm=name, rotary=layers.RotaryEmbedding())

    layer = checks.shared(make, (X,))
    wq, bq, wk, bk, wv, bv, wo, bo, *norms = layer.get_weights()
    half = len(norms) // 2
    x = X.astype("float64")
    query, key, value = (
        np.einsum("btd,dhk->bhtk", x, w) + b[:, None] for w, b in ((wq, bq), (wk, bk), (wv, bv))
    )
    query, key = norm(name, norms[:half], query), norm(name, norms[half:], key)
    turned = (checks.as_array(layers.RotaryEmbedding()(x.astype("float32"))) for x in (query, key))
    heads, _ = reference.attention(*turned, value)
    expected = np.einsum("bhtv,hvd->btd", heads, wo) + bo
    np.testing.assert_allclose(checks.as_array(layer(X)), expected, atol=1e-5)


def test_steps_with_normalised_queries_and_keys_equal_one_pass():
    layer = checks.shared(normalised, (X,))
    checks.cached_equals_uncached(
        layer(X, X, use_causal_mask=True),
        layer.step,
        layer.initial_state(B, T),
        [X[:, t : t + 1] for t in range(T)],
    )


def test_large_queries_have_scores_as_small_as_any():
    layer = layers.MultiHeadAttention(H, K, use_bias=False, qk_norm="rms_norm")
    _, weights = layer(X, X, return_attention_scores=True)
    layer._query_dense.kernel.assign(1e3 * layer._query_dense.kernel)
    _, again = layer(X, X, return_attention_scores=True)
    np.testing.assert_allclose(checks.as_array(again), checks.as_array(weights), atol=1e-4)


def test_inputs_of_a_higher_rank():
    x = checks.numbers(B, 3, T, D)
    layer = layers.MultiHeadAttention(H, K, attention_axes=2, qk_norm="layer_norm")
    output = checks.as_array(layer(x))
    np.testing.assert_allclose(output[:, 1], checks.as_array(layer(x[:, 1:2]))[:, 0], atol=1e-5)


def test_a_norm_that_does_not_exist():
    message = r"must be one of \['layer_norm', 'rms_norm'\]. Received: "
    with pytest.raises(ValueError, match=f"`normalization` {message}normalization='batch_norm'"):
        layers.Sublayer(layers.FeedForward(3), normalization="batch_norm")
    with pytest.raises(ValueError, match=f"`qk_norm` {message}qk_norm=True"):
        layers.MultiHeadAttention(H, K, qk_norm=True)


# A layer inside that has another dtype policy


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_positions_of_another_dtype_policy_leave_the_dtype_of_the_attention(policy):
    for extension in (
        {"rotary": layers.RotaryEmbedding(dtype="float32")},
        {"position_bias": layers.RelativeKeysAndValues(2, dtype="float32")},
        {"position_bias": layers.RelativePositionBias(H, dtype="float32")},
    ):
        layer = layers.MultiHeadAttention(H, K, dtype=policy, **extension)
        output = layer(ops.convert_to_tensor(X))
        assert keras.backend.standardize_dtype(output.dtype) == layer.compute_dtype

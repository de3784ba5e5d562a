"""Heads that share keys and values: grouped-query and multi-query attention."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_transformer import layers
from tests import checks, reference

B, T, S, H, D, K = 3, 5, 7, 6, 11, 4
QUERY = checks.numbers(B, T, D, seed=1)
VALUE = checks.numbers(B, S, D, seed=2)
VALUE_MASK = np.arange(S) < np.array([[7], [3], [1]])
GROUPS = [1, 2, 3, 6]


def make(num_key_value_heads=2, **kwargs):
    return layers.GroupedQueryAttention(K, H, num_key_value_heads, **kwargs)


def multi_head_weights(layer, shared):
    """The weights of attention whose every head has the keys and values of its group."""
    repeated = range(2, 6)  # kernels and biases of keys and values
    return [
        np.repeat(w, H // shared, axis=-2) if index in repeated else w
        for index, w in enumerate(layer.get_weights())
    ]


@pytest.mark.parametrize("check", checks.STANDARD)
def test_standard_checks(check, tmp_path):
    check(make, (QUERY, VALUE), tmp_path)


@pytest.mark.parametrize("shared", GROUPS)
def test_equals_multi_head_attention_with_repeated_keys(shared):
    layer = checks.built(lambda: make(shared), (QUERY, VALUE))
    assert [w.shape for w in layer.get_weights()][2:4] == [(D, shared, K), (shared, K)]
    mask = VALUE_MASK[:, None, None]
    expected = reference.multi_head_attention(multi_head_weights(layer, shared), QUERY, VALUE, mask=mask)
    actual = layer(QUERY, VALUE, value_mask=VALUE_MASK, return_attention_scores=True)
    for mine, other in zip(
        (*actual, layer(QUERY, VALUE, value_mask=VALUE_MASK)), (*expected, expected[0]), strict=True
    ):
        np.testing.assert_allclose(checks.as_array(mine), other, atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"use_gate": True}, {"sliding_window": 2}, {"use_bias": False}])
def test_equals_the_layer_of_keras(options):
    ours, theirs = make(**options), keras.layers.GroupQueryAttention(K, H, 2, **options)
    for layer in (ours, theirs):
        layer(QUERY, VALUE)
    ours.set_weights(checks.randomized(theirs).get_weights())
    # Each query sees one key: one without sees all of them in Keras's layer.
    mask = VALUE_MASK[:, None] | np.eye(T, S, dtype=bool)
    call = {"attention_mask": mask, "return_attention_scores": True}
    for mine, other in zip(ours(QUERY, VALUE, **call), theirs(QUERY, VALUE, **call), strict=True):
        np.testing.assert_allclose(checks.as_array(mine), checks.as_array(other), atol=1e-5)


@pytest.mark.parametrize("shared", [1, 3])
def test_step_by_step_equals_one_causal_pass(shared):
    layer = checks.built(lambda: make(shared, sliding_window=3), (QUERY,))
    state = layer.initial_state(B, T)
    assert tuple(state["key"].shape) == tuple(state["value"].shape) == (B, shared, T, K)
    checks.cached_equals_uncached(
        layer(QUERY, QUERY, use_causal_mask=True), layer.step, state, [QUERY[:, t : t + 1] for t in range(T)]
    )


def test_projecting_once_and_attending_equals_call():
    layer = checks.shared(make, (QUERY, VALUE))
    projected = layer.project(ops.convert_to_tensor(VALUE))
    output, weights = layer.attend(ops.convert_to_tensor(QUERY), projected)
    assert tuple(weights.shape) == (B, H, T, S)
    np.testing.assert_allclose(checks.as_array(output), checks.as_array(layer(QUERY, VALUE)), atol=1e-5)


def test_a_query_without_keys_gives_the_output_bias():
    layer = checks.shared(make, (QUERY, VALUE))
    nothing = VALUE_MASK & [[True], [False], [True]]
    output = checks.as_array(layer(QUERY, VALUE, value_mask=nothing))
    np.testing.assert_array_equal(output[1], np.tile(layer.get_weights()[-1], (T, 1)))


def test_several_axes_are_attended_over():
    x = checks.numbers(B, 2, 3, D, seed=5)
    grid, flat = (
        checks.built(lambda: layers.MultiHeadAttention(H, K, num_key_value_heads=2), (inputs,))
        for inputs in (x, QUERY)
    )
    expected = checks.as_array(flat(x.reshape(B, 6, D))).reshape(x.shape)
    np.testing.assert_allclose(checks.as_array(grid(x)), expected, atol=1e-5)


def test_int8_and_lora():
    model = keras.Sequential([keras.Input((T, D)), make()])
    layer = model.layers[0]
    checks.randomized(layer)
    expected = checks.as_array(model(QUERY))
    for dense in (layer._query_dense, layer._key_dense, layer._value_dense):
        dense.enable_lora(2)
    np.testing.assert_allclose(checks.as_array(model(QUERY)), expected, atol=1e-5)
    model.quantize("int8")
    assert layer._key_dense.quantization_mode == "int8"
    np.testing.assert_allclose(checks.as_array(model(QUERY)), expected, atol=0.2)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ((4, 6, 4), r"must be a multiple of `num_key_value_heads`. Received: 6 heads, num_key_value_heads=4"),
        ((4, 6, 0), r"`num_key_value_heads` must be a positive integer. Received: num_key_value_heads=0"),
        ((4, 0, 2), r"`num_query_heads` must be a positive integer. Received: num_query_heads=0"),
        ((2.0, 6, 2), r"`head_dim` must be a positive integer. Received: head_dim=2.0"),
    ],
)
def test_bad_sizes_are_one_line(arguments, match):
    with pytest.raises(ValueError, match=match) as raised:
        layers.GroupedQueryAttention(*arguments)
    assert "\n" not in str(raised.value)


def test_a_subclass_of_keras_layer_stays_one():
    seen = []

    class Sub(layers.GroupedQueryAttention):
        def _compute_attention(self, query, key, value, attention_mask=None, training=None):
            seen.append((key.shape[2], attention_mask is None))
            return super()._compute_attention(query, key, value, attention_mask, training)

    layer = Sub(K, H, 2)
    output, weights = layer(QUERY, VALUE, use_causal_mask=True, return_attention_scores=True)
    assert tuple(output.shape) == (B, T, D)
    assert tuple(weights.shape) == (B, H, T, S)
    assert seen[-1] == (H, False)

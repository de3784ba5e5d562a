"""Scaled dot-product attention: the formula, and the rules of masks and dtypes."""

import warnings

import keras
import numpy as np
import pytest
from keras import ops

from keras_transformer import layers
from tests import checks, reference

B, T, S, H, D, K, V = 3, 5, 7, 2, 11, 4, 6


def tensors(*arrays):
    return [ops.convert_to_tensor(x) for x in arrays]


def heads():
    return (checks.numbers(B, H, *tail, seed=tail[0]) for tail in ((T, K), (S, K), (S, V)))


def test_formula_by_hand():
    # Scores log 3 and 0 give weights 3/4 and 1/4; the root of d_k = 4 is 2.
    query = np.array([2 * np.log(3.0), 0, 0, 0]).reshape(1, 1, 1, 4)
    key = np.array([[1.0, 0, 0, 0], [0, 0, 0, 0]]).reshape(1, 1, 2, 4)
    value = np.array([[4.0], [8.0]]).reshape(1, 1, 2, 1)
    arrays = (x.astype("float32") for x in (query, key, value))
    output, weights = layers.scaled_dot_product_attention(*tensors(*arrays))
    np.testing.assert_allclose(checks.as_array(weights).ravel(), [0.75, 0.25], atol=1e-6)
    np.testing.assert_allclose(checks.as_array(output).ravel(), [5.0], atol=1e-5)


@pytest.mark.parametrize("mask_shape", [None, (B, H, T, S), (B, 1, 1, S), (1, 1, T, S), (T, S)])
@pytest.mark.parametrize("bias_shape", [None, (1, H, T, S)])
def test_formula_equals_the_reference(mask_shape, bias_shape):
    query, key, value = heads()
    mask = None if mask_shape is None else np.random.default_rng(0).random(mask_shape) < 0.4
    bias = None if bias_shape is None else checks.numbers(*bias_shape, seed=9)
    output, weights = layers.scaled_dot_product_attention(
        *tensors(query, key, value),
        mask=None if mask is None else ops.convert_to_tensor(mask),
        bias=None if bias is None else ops.convert_to_tensor(bias),
    )
    expected = reference.attention(query, key, value, mask, 0.0 if bias is None else bias)
    np.testing.assert_allclose(checks.as_array(output), expected[0], atol=1e-5)
    np.testing.assert_allclose(checks.as_array(weights), expected[1], atol=1e-5)


def test_another_scale_than_the_root_of_the_width():
    query, key, value = heads()
    output, _ = layers.scaled_dot_product_attention(*tensors(query, key, value), scale=1.0)
    expected, _ = reference.attention(2 * query, key, value)  # the root of K = 4
    np.testing.assert_allclose(checks.as_array(output), expected, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_row_without_keys_gives_zeros(dtype):
    arrays = [checks.numbers(1, 1, 2, K, seed=seed) for seed in range(3)]
    query, key, value = (ops.cast(x, dtype) for x in arrays)
    mask = ops.convert_to_tensor([[True, False], [False, False]])
    output, weights = layers.scaled_dot_product_attention(query, key, value, mask=mask)
    assert keras.backend.standardize_dtype(output.dtype) == dtype
    np.testing.assert_array_equal(checks.as_array(weights)[0, 0], [[1, 0], [0, 0]])
    np.testing.assert_array_equal(checks.as_array(output)[0, 0, 0], checks.as_array(value)[0, 0, 0])
    np.testing.assert_array_equal(checks.as_array(output)[0, 0, 1], 0)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_products_of_large_heads_do_not_overflow(dtype):
    # The product of the first keys is 2.6 million, 320,000 times the scale: beyond float16's 65,504.
    query, key = np.full((1, 1, 1, 64), 200.0), np.stack([np.full(64, 200.0), np.full(64, 199.0)])[None, None]
    query, key, value = (ops.cast(x, dtype) for x in (query, key, key[..., :2]))
    output, weights = layers.scaled_dot_product_attention(query, key, value)
    np.testing.assert_array_equal(checks.as_array(weights).ravel(), [1.0, 0.0])
    np.testing.assert_array_equal(checks.as_array(output).ravel(), 200.0)
    assert keras.backend.standardize_dtype(output.dtype) == dtype


# A mask wins, whatever the scores are


@pytest.mark.parametrize("score", [0.0, -1e9, -1e30, -1e38, 1e9, 1e38])
def test_masked_keys_have_no_weight_whatever_the_scores(score):
    mask = np.array([[True, False, True], [False, True, False], [False, False, False]])
    query = np.zeros((1, 1, 3, 1))
    scores = np.where(mask, score, -score)[None, None].astype("float32")
    for bias in (scores, np.where(mask, score, 1e38).astype("float32")[None, None]):
        output, weights = layers.scaled_dot_product_attention(
            *tensors(*[query.astype("float32")] * 3), mask=ops.convert_to_tensor(mask), bias=bias
        )
        np.testing.assert_array_equal(checks.as_array(weights)[0, 0], [[0.5, 0, 0.5], [0, 1, 0], [0, 0, 0]])
        assert np.isfinite(checks.as_array(output)).all()


def test_scores_below_any_offset_leave_masked_keys_without_weight():
    # q k = -1e30 for the one key that may be seen.
    query, key = (
        np.full((1, 1, 1, 1), 1e15, "float32"),
        np.array([-1e15, 0, 1e15], "float32").reshape(1, 1, 3, 1),
    )
    mask = ops.convert_to_tensor([[True, False, False]])
    _, weights = layers.scaled_dot_product_attention(*tensors(query, key, key), mask=mask)
    np.testing.assert_array_equal(checks.as_array(weights).ravel(), [1, 0, 0])


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="counts TensorFlow's operations")
def test_no_scores_are_chosen_one_by_one():
    # TensorFlow's `where` of (B, H, T, S) takes as long as the soft-max.
    import tensorflow as tf

    def attend(x, mask):
        return layers.scaled_dot_product_attention(x, x, x, mask=mask)

    specs = (tf.TensorSpec([None, 3, None, 5]), tf.TensorSpec([None, 1, None, None], tf.bool))
    graph = tf.function(attend, autograph=False).get_concrete_function(*specs).graph
    chosen = [node.outputs[0].shape for node in graph.get_operations() if node.type == "SelectV2"]
    assert [shape[1] for shape in chosen] == [1]  # of the mask alone


def test_a_bias_of_minus_infinity_is_a_mask():
    bias = np.array([[0, -np.inf, 0], [-np.inf, -np.inf, -np.inf], [-1e9, -np.inf, -1e9]], "float32")
    mask = ops.convert_to_tensor([[True, True, False], [True, True, True], [False, True, True]])
    zeros = ops.zeros((1, 1, 3, 1))
    for given, expected in (
        (None, [[0.5, 0, 0.5], [0, 0, 0], [0.5, 0, 0.5]]),
        (mask, [[1, 0, 0], [0, 0, 0], [0, 0, 1]]),
    ):
        _, weights = layers.scaled_dot_product_attention(zeros, zeros, zeros, mask=given, bias=bias)
        np.testing.assert_array_equal(checks.as_array(weights)[0, 0], expected)


def test_a_bias_of_minus_infinity_keeps_gradients_finite():
    bias = np.array([[0, -np.inf], [-np.inf, -np.inf]], "float32")
    x = checks.numbers(1, 1, 2, 3)

    def total(query):
        return ops.sum(layers.scaled_dot_product_attention(query, query, query, bias=bias)[0] ** 2)

    assert np.isfinite(checks.as_array(checks.input_gradient(total, x))).all()


def test_another_huge_bias_does_not_turn_into_nan():
    bias = np.array([[np.inf, np.inf], [3e38, 0]], "float32")
    zeros = ops.zeros((1, 1, 2, 1))
    _, weights = layers.scaled_dot_product_attention(zeros, zeros, zeros, bias=bias)
    np.testing.assert_array_equal(checks.as_array(weights)[0, 0], [[0.5, 0.5], [1, 0]])


@pytest.mark.parametrize("masked", [False, True])
def test_no_keys_give_zeros(masked):
    query, key, value = tensors(*(np.zeros((B, H, *tail), "float32") for tail in ((T, K), (0, K), (0, V))))
    mask = ops.ones((B, 1, 1, 0), "bool") if masked else None

    def attend(*heads):
        return layers.scaled_dot_product_attention(*heads, mask=mask)

    for function in (attend, checks.compiled(attend, xla=False)):
        output, weights = function(query, key, value)
        assert tuple(weights.shape) == (B, H, T, 0)
        np.testing.assert_array_equal(checks.as_array(output), np.zeros((B, H, T, V)))


def test_dropout_is_applied_to_the_weights_that_meet_the_values():
    query, key, value = tensors(*(checks.numbers(B, H, T, K, seed=seed) for seed in range(3)))
    plain, weights = layers.scaled_dot_product_attention(query, key, value)
    output, reported = layers.scaled_dot_product_attention(
        query, key, value, dropout=lambda weights: 3.0 * weights
    )
    np.testing.assert_allclose(checks.as_array(output), 3 * checks.as_array(plain), atol=1e-5)
    # As Keras's layer does, it reports the weights before dropout.
    np.testing.assert_allclose(checks.as_array(reported), checks.as_array(weights), atol=1e-6)


def test_single_key_gets_all_the_weight_without_a_warning():
    query, key, value = tensors(*(checks.numbers(B, H, 1, K, seed=seed) for seed in range(3)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        output, weights = layers.scaled_dot_product_attention(query, key, value)
    np.testing.assert_array_equal(checks.as_array(weights), 1.0)
    np.testing.assert_allclose(checks.as_array(output), checks.as_array(value), atol=1e-6)

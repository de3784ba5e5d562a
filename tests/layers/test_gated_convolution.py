"""Gated convolution: the formula, who sees whom, one position at a time, and how its weights begin."""

import numpy as np
import pytest
from keras import ops

from keras_transformer import layers
from keras_transformer.layers import gated_convolution
from tests import checks, reference

B, T, D = 3, 7, 5
X = checks.numbers(B, T, D)


def layer(**kwargs):
    return layers.GatedConvolution(3, **kwargs)


def causal(**kwargs):
    return layers.GatedConvolution(3, causal=True, dropout=0.2, **kwargs)


both = pytest.mark.parametrize("make", [layer, causal])


@both
@pytest.mark.parametrize("check", checks.STANDARD)
def test_standard_checks(check, make, tmp_path):
    check(make, (X,), tmp_path)


def test_formula_by_hand():
    built = layers.GatedConvolution(2, causal=True)
    built.build((1, 3, 1))
    # Value: x_t - x_(t-1). Gate: 0 for all, then log 3, whose sigmoid is 3/4.
    built.set_weights([np.array([[[-1.0, 0.0]], [[1.0, 0.0]]]), np.array([0.0, np.log(3.0)])])
    output = checks.as_array(built(np.array([[[2.0], [6.0], [4.0]]], "float32")))
    np.testing.assert_allclose(output[0, :, 0], [1.5, 3.0, -1.5], atol=1e-6)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("kernel_size", [1, 2, 3, 4, 9])
def test_layer_equals_the_reference(kernel_size, causal):
    built = checks.built(lambda: layers.GatedConvolution(kernel_size, causal=causal), (X,))
    expected = reference.gated_convolution([w.numpy() for w in built.weights], X, causal)
    np.testing.assert_allclose(checks.as_array(built(X)), expected, atol=1e-5)


@pytest.mark.parametrize(
    "kernel_size, causal, before, after",
    [(3, False, 1, 1), (4, False, 1, 2), (1, True, 0, 0), (3, True, 2, 0)],
)
def test_an_output_sees_the_positions_of_its_window(kernel_size, causal, before, after):
    built = checks.built(lambda: layers.GatedConvolution(kernel_size, causal=causal), (X,))
    distance = np.arange(T) - np.arange(T)[:, None]  # of the input from the output
    expected = (-before <= distance) & (distance <= after)
    np.testing.assert_array_equal(checks.influence(built, X), expected)


def test_rows_of_a_batch_do_not_meet():
    checks.batch_invariance(checks.shared(layer, (X,)), X)


@pytest.mark.parametrize("kernel_size", [1, 2, 5])
def test_step_by_step_equals_one_pass(kernel_size):
    built = checks.built(lambda: layers.GatedConvolution(kernel_size, causal=True), (X,))
    steps = [X[:, t : t + 1] for t in range(T)]
    state = built.initial_state(B)
    checks.cached_equals_uncached(built(X), lambda x, state, index: built.step(x, state), state, steps)


def test_first_outputs_have_a_variance_that_does_not_grow():
    # Section 3.5: a gated linear unit passes a quarter of its input's variance, if that is small.
    built = layers.GatedConvolution(3, dropout=0.0)
    x = 0.1 * checks.numbers(50, 20, 64)
    output = checks.as_array(built(x))[:, 1:-1]
    assert np.std(output) == pytest.approx(0.1, rel=0.1)


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_first_weights_are_those_of_section_3_5(dropout):
    built = layers.GatedConvolution(3, dropout=dropout)
    built.build((None, None, 50))
    kernel, bias = (w.numpy() for w in built.weights)
    assert np.std(kernel) == pytest.approx(np.sqrt(4 * (1 - dropout) / (3 * 50)), rel=0.05)
    assert not bias.any()
    dense = gated_convolution.linear(70, dropout)
    dense.build((None, 60))
    assert np.std(dense.kernel.numpy()) == pytest.approx(np.sqrt((1 - dropout) / 60), rel=0.05)


def test_dropout_acts_in_training_only():
    built = checks.built(causal, (X,))
    np.testing.assert_array_equal(checks.as_array(built(X)), checks.as_array(built(X, training=False)))
    assert np.abs(checks.as_array(built(X, training=True) - built(X))).max() > 1e-2


@pytest.mark.parametrize("kernel_size", [0, -1, 2.0])
def test_kernel_size_is_a_positive_integer(kernel_size):
    with pytest.raises(ValueError, match=f"`kernel_size` must be a positive.*kernel_size={kernel_size}"):
        layers.GatedConvolution(kernel_size)


def test_beyond_the_ends_there_are_zeros():
    # A constant input gives another output there.
    built = checks.shared(layer, (X,))
    output = checks.as_array(built(ops.ones_like(X)))
    assert np.abs(output[:, 0] - output[:, 3]).max() > 1e-2
    np.testing.assert_allclose(output[:, 2], output[:, 3], atol=1e-6)

"""Smoothed cross-entropy: real tokens only, and smoothing as written out in a table."""

import json

import keras
import numpy as np
import pytest
from keras import ops

from keras_transformer import losses
from tests import checks, reference

B, T, V = 3, 5, 7
LABELS = np.array([[3, 5, 1, 6, 2], [4, 0, 0, 0, 0], [6, 2, 3, 0, 0]], "int32")
LOGITS = 2 * checks.numbers(B, T, V)
REAL = LABELS != 0


def loss_of(labels=LABELS, logits=LOGITS, **kwargs):
    value = losses.SmoothedCrossEntropy(**kwargs)(labels, ops.convert_to_tensor(logits))
    assert tuple(value.shape) == ()
    assert keras.backend.standardize_dtype(value.dtype) == "float32"
    return float(value)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1, 0.5])
def test_loss_equals_the_reference(label_smoothing):
    values, mean = reference.smoothed_cross_entropy(LABELS, LOGITS, label_smoothing)
    assert loss_of(label_smoothing=label_smoothing) == pytest.approx(mean, abs=1e-5)
    loss = losses.SmoothedCrossEntropy(label_smoothing)
    per_token = checks.as_array(loss.call(LABELS, ops.convert_to_tensor(LOGITS)))
    assert per_token.shape == (B, T)
    np.testing.assert_allclose(per_token[REAL], values[REAL], atol=1e-5)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_uniform_logits_give_the_logarithm_of_the_vocabulary(label_smoothing):
    uniform = np.full((B, T, V), 3.0, "float32")
    assert loss_of(logits=uniform, label_smoothing=label_smoothing) == pytest.approx(np.log(V))


def test_smoothed_targets_written_out():
    # Epsilon 0.1 over 5 ids is 0.02 each; the label has 0.9 more.
    targets = np.array([[0.02, 0.02, 0.92, 0.02, 0.02], [0.02, 0.02, 0.02, 0.02, 0.92]])
    logits = checks.numbers(1, 2, 5)
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    expected = -(targets * log_probabilities).sum(axis=-1).mean()
    labels = np.array([[2, 4]])
    assert loss_of(labels, logits, label_smoothing=0.1) == pytest.approx(expected, abs=1e-6)


def test_perfect_prediction_costs_nothing_without_smoothing_and_something_with_it():
    logits = 50.0 * np.eye(V, dtype="float32")[LABELS]
    assert loss_of(logits=logits) == pytest.approx(0.0, abs=1e-6)
    # All mass on the label: 6 of 7 parts of epsilon lie 50 away.
    assert loss_of(logits=logits, label_smoothing=0.1) == pytest.approx(0.1 * 6 / 7 * 50, rel=1e-5)


def test_no_smoothing_is_the_loss_of_keras_on_real_tokens():
    theirs = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    expected = float(theirs(LABELS[REAL], ops.convert_to_tensor(LOGITS[REAL])))
    assert loss_of() == pytest.approx(expected, abs=1e-6)


def test_smoothing_is_that_of_keras_on_one_hot_labels():
    theirs = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.3)
    one_hot = np.eye(V, dtype="float32")[LABELS[REAL]]
    expected = float(theirs(one_hot, ops.convert_to_tensor(LOGITS[REAL])))
    assert loss_of(label_smoothing=0.3) == pytest.approx(expected, abs=1e-6)


def test_every_token_counts_the_same_in_long_and_short_rows():
    values, _ = reference.smoothed_cross_entropy(LABELS, LOGITS)
    of_rows = np.mean([values[row][REAL[row]].mean() for row in range(B)])
    assert abs(of_rows - values[REAL].mean()) > 0.01, "a case that tells the two means apart"
    assert loss_of() == pytest.approx(values[REAL].mean(), abs=1e-5)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_more_padding_changes_nothing(label_smoothing):
    labels = np.pad(LABELS, [(0, 1), (0, 3)])
    logits = np.pad(LOGITS, [(0, 1), (0, 3), (0, 0)], constant_values=100.0)
    logits[..., 2] -= 77.0 * (labels == 0)
    expected = loss_of(label_smoothing=label_smoothing)
    assert loss_of(labels, logits, label_smoothing=label_smoothing) == pytest.approx(expected)


def test_batch_of_padding_costs_nothing():
    assert loss_of(np.zeros((B, T), "int32")) == 0.0


def test_another_pad_id():
    labels = np.where(REAL, LABELS, 5)
    _, expected = reference.smoothed_cross_entropy(labels, LOGITS, pad_id=5)
    assert loss_of(labels, pad_id=5) == pytest.approx(expected, abs=1e-5)


def test_what_counts_for_nothing_may_be_no_class():
    labels = np.where(REAL, LABELS, -100).astype("int32")
    assert loss_of(labels, pad_id=-100) == pytest.approx(loss_of(), abs=1e-6)

    def gradient(labels, pad_id):
        loss = losses.SmoothedCrossEntropy(0.1, pad_id=pad_id)
        return checks.as_array(checks.input_gradient(lambda x: loss(labels, x), LOGITS))

    np.testing.assert_allclose(gradient(labels, -100), gradient(LABELS, 0), atol=1e-6)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_gradient_is_prediction_minus_target_on_real_tokens(label_smoothing):
    loss = losses.SmoothedCrossEntropy(label_smoothing)
    targets = (1 - label_smoothing) * np.eye(V)[LABELS] + label_smoothing / V
    expected = REAL[..., None] * (reference.softmax(LOGITS) - targets) / REAL.sum()

    def gradient(logits):
        return checks.input_gradient(lambda z: loss(LABELS, z), logits)

    for function in (gradient, checks.compiled(gradient, xla=False), checks.compiled(gradient)):
        actual = checks.as_array(function(ops.convert_to_tensor(LOGITS)))
        np.testing.assert_allclose(actual, expected, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_logits_are_summed_in_float32(dtype):
    # exp(20) is beyond float16, and so is a sum of 66,000 ones.
    logits = ops.cast(np.full((1, 2, 66_000), 20.0, "float32"), dtype)
    loss = losses.SmoothedCrossEntropy(label_smoothing=0.1)
    value = loss(np.array([[1, 2]]), logits)
    assert float(value) == pytest.approx(np.log(66_000), abs=1e-3)


def test_large_logits_stay_finite():
    logits = 1e4 * LOGITS
    assert np.isfinite(loss_of(logits=logits, label_smoothing=0.1))
    loss = losses.SmoothedCrossEntropy(0.1)
    gradient = checks.input_gradient(lambda z: loss(LABELS, z), logits)
    assert np.isfinite(checks.as_array(gradient)).all()


def test_sample_weights_multiply_the_mask():
    weights = np.random.default_rng(0).random((B, T)).astype("float32")
    values, _ = reference.smoothed_cross_entropy(LABELS, LOGITS)
    expected = (weights * REAL * values).sum() / (weights * REAL).sum()
    loss = losses.SmoothedCrossEntropy()
    value = loss(LABELS, ops.convert_to_tensor(LOGITS), sample_weight=weights)
    assert float(value) == pytest.approx(expected, abs=1e-5)


def test_loss_is_the_same_in_a_graph_and_under_xla():
    loss = losses.SmoothedCrossEntropy(0.1)
    inputs = (ops.convert_to_tensor(LABELS), ops.convert_to_tensor(LOGITS))
    for xla in (False, True):
        value = checks.compiled(lambda y, z: loss(y, z), xla)(*inputs)
        assert float(value) == pytest.approx(loss_of(label_smoothing=0.1), abs=1e-6)


def test_config_round_trip():
    loss = losses.SmoothedCrossEntropy(label_smoothing=0.1, pad_id=5, name="other")
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(loss)))
    assert config["registered_name"] == "keras_transformer>SmoothedCrossEntropy"
    again = keras.saving.deserialize_keras_object(config)
    assert again.get_config() == loss.get_config()
    assert (again.label_smoothing, again.pad_id, again.name) == (0.1, 5, "other")
    assert float(again(LABELS, LOGITS)) == float(loss(LABELS, LOGITS))


@pytest.mark.parametrize("value", [1.0, -0.1, float("nan"), "0.1", True])
def test_label_smoothing_is_a_probability_below_one(value):
    match = f"`label_smoothing` must lie in 0 <= epsilon < 1. Received: label_smoothing={value!r}"
    with pytest.raises(ValueError, match=match):
        losses.SmoothedCrossEntropy(value)


def test_the_id_of_padding_is_an_integer():
    with pytest.raises(ValueError, match="`pad_id` must be an integer. Received: pad_id=None"):
        losses.SmoothedCrossEntropy(pad_id=None)

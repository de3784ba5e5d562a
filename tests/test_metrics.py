"""Perplexity and token accuracy: over real tokens, however these were cut into batches."""

import json

import keras
import numpy as np
import pytest
from keras import ops

from keras_transformer import metrics
from tests import checks, reference

B, T, V = 3, 5, 7
LABELS = np.array([[3, 5, 1, 6, 2], [4, 0, 0, 0, 0], [6, 2, 3, 0, 0]], "int32")
LOGITS = checks.numbers(B, T, V)


def result_of(metric, *batches):
    for labels, logits in batches:
        metric.update_state(labels, ops.convert_to_tensor(logits))
    return float(metric.result())


def expected_of(cls, labels=LABELS, logits=LOGITS):
    if cls is metrics.Perplexity:
        return np.exp(reference.smoothed_cross_entropy(labels, logits)[1])
    real = labels != 0
    return (logits.argmax(axis=-1) == labels)[real].mean()


both = pytest.mark.parametrize("cls", [metrics.Perplexity, metrics.TokenAccuracy])


@both
def test_metric_equals_the_reference(cls):
    assert result_of(cls(), (LABELS, LOGITS)) == pytest.approx(expected_of(cls), rel=1e-5)


def test_uniform_logits_have_the_perplexity_of_the_vocabulary():
    assert result_of(metrics.Perplexity(), (LABELS, np.zeros_like(LOGITS))) == pytest.approx(V)


def test_perfect_prediction_has_perplexity_one():
    logits = 50 * np.eye(V, dtype="float32")[LABELS]
    assert result_of(metrics.Perplexity(), (LABELS, logits)) == pytest.approx(1.0)
    assert result_of(metrics.TokenAccuracy(), (LABELS, logits)) == 1.0


def test_accuracy_by_hand():
    # Real tokens: right, wrong, right. The padding is predicted "rightly" and does not count.
    labels = np.array([[3, 1], [2, 0]])
    logits = np.eye(4, dtype="float32")[np.array([[3, 2], [2, 0]])]
    assert result_of(metrics.TokenAccuracy(), (labels, logits)) == pytest.approx(2 / 3)


@both
def test_batches_are_weighted_by_their_tokens(cls):
    batches = [(LABELS[:1], LOGITS[:1]), (LABELS[1:], LOGITS[1:])]
    assert result_of(cls(), *batches) == pytest.approx(expected_of(cls), rel=1e-5)


@both
def test_it_does_not_matter_to_which_length_a_batch_is_padded(cls):
    batches = [(LABELS[:1], LOGITS[:1]), (LABELS[1:2, :1], LOGITS[1:2, :1]), (LABELS[2:, :3], LOGITS[2:, :3])]
    assert result_of(cls(), *batches) == pytest.approx(expected_of(cls), rel=1e-5)


@both
def test_more_padding_changes_nothing(cls):
    labels, logits = np.pad(LABELS, [(0, 1), (0, 3)]), np.pad(LOGITS, [(0, 1), (0, 3), (0, 0)])
    assert result_of(cls(), (labels, logits)) == pytest.approx(expected_of(cls), rel=1e-5)


@both
def test_another_pad_id(cls):
    keep = LABELS != 5
    labels = np.where(keep, LABELS, 0)
    # Id 0 is a real token here, and 5 is padding.
    real = LABELS[keep][None], LOGITS[keep][None]
    expected = result_of(cls(pad_id=5), real)
    assert (labels == 0).sum() > 1
    assert result_of(cls(pad_id=5), (LABELS, LOGITS)) == pytest.approx(expected, rel=1e-5)
    assert expected != pytest.approx(expected_of(cls), rel=1e-3)


@both
def test_reset_forgets(cls):
    metric = cls()
    result_of(metric, (LABELS[:, ::-1], 3 * LOGITS))
    metric.reset_state()
    assert result_of(metric, (LABELS, LOGITS)) == pytest.approx(expected_of(cls), rel=1e-5)


@both
def test_no_real_token_gives_a_number(cls):
    assert np.isfinite(result_of(cls(), (np.zeros_like(LABELS), LOGITS)))


@both
def test_half_precision_logits(cls):
    logits = ops.cast(LOGITS, "float16")
    metric = cls()
    metric.update_state(LABELS, logits)
    assert float(metric.result()) == pytest.approx(expected_of(cls), rel=1e-2)


@both
def test_config_round_trip(cls):
    metric = cls(pad_id=5, name="other")
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(metric)))
    assert config["registered_name"] == f"keras_transformer>{cls.__name__}"
    again = keras.saving.deserialize_keras_object(config)
    assert again.get_config() == metric.get_config()
    assert (again.pad_id, again.name) == (5, "other")
    assert result_of(again, (LABELS, LOGITS)) == result_of(metric, (LABELS, LOGITS))


def test_names_in_the_logs():
    assert metrics.Perplexity().name == "perplexity"
    assert metrics.TokenAccuracy().name == "token_accuracy"

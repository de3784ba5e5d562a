"""R-Drop: the formula, and what it leaves as it is."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import log_softmax

from keras_transformer import losses
from keras_transformer.models.trainer import TokenMeanTrainer
from tests import replicas

ALPHA, RATE = 3.0, 0.5
B, T, V = 3, 4, 5


@keras.saving.register_keras_serializable(package="tests")
class Restless(TokenMeanTrainer, keras.Model):
    """Logits (B, T, V) that differ from row to row of a batch, as by dropout, and in training alone."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.bias = self.add_weight(shape=(T, V), initializer="zeros", name="bias")
        self.built = True

    def call(self, x, training=False):
        rows = tf.range(tf.shape(x)[0])
        noise = tf.sin(tf.cast(7 * rows, "float32"))[:, None, None] * tf.range(V, dtype="float32")
        return x + self.bias + (noise if training else 0.0)


@pytest.fixture
def data():
    generator = np.random.default_rng(0)
    labels = generator.integers(1, V, (B, T)).astype("int32")
    labels[0, 1:] = labels[2] = 0
    return generator.normal(size=(B, T, V)).astype("float32"), labels


def compiled(r_drop=ALPHA, **options):
    model = Restless()
    options = {"loss": losses.SmoothedCrossEntropy(0.1), "jit_compile": False, **options}
    model.compile(keras.optimizers.SGD(RATE), r_drop=r_drop, **options)
    return model


def expected(x, labels, bias):
    """The loss in float64."""
    noise = np.sin(7 * np.arange(2 * B))[:, None, None] * np.arange(V)
    log_p, log_q = np.split(log_softmax(np.concatenate([x, x]) + bias + noise, axis=-1), 2)
    wanted = 0.9 * np.eye(V)[labels] + 0.1 / V
    losses_of_both = -(wanted * (log_p + log_q)).sum(-1)
    p, q = np.exp(log_p), np.exp(log_q)
    divergences = (p * (log_p - log_q)).sum(-1) + (q * (log_q - log_p)).sum(-1)
    real = labels != 0
    # Section 2.2 of the paper, halved.
    return (losses_of_both + ALPHA / 2 * divergences)[real].mean() / 2


@pytest.mark.parametrize("options", [{"run_eagerly": True}, {"jit_compile": True}])
def test_loss_and_update_are_those_of_the_formula(data, options):
    model = compiled(**options)
    loss = model.fit(tf.data.Dataset.from_tensors(data), verbose=0, shuffle=False).history["loss"][0]
    assert loss == pytest.approx(expected(*data, 0.0), rel=1e-5)
    step = 1e-4
    for place in np.ndindex(T, V):
        moved = np.zeros((T, V))
        moved[place] = step
        slope = (expected(*data, moved) - expected(*data, -moved)) / (2 * step)
        assert -model.bias.numpy()[place] / RATE == pytest.approx(slope, abs=1e-5)


def test_micro_batches_are_read_twice_each(data):
    equal_rows = [np.repeat(array[:1], B, axis=0) for array in data]
    found = []
    for rows, options in ((equal_rows, {"num_micro_batches": B}), ([array[:1] for array in data], {})):
        model = compiled(**options)
        history = model.fit(tf.data.Dataset.from_tensors(tuple(rows)), verbose=0, shuffle=False).history
        found.append((history["loss"][0], model.bias.numpy()))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_evaluation_is_as_without(data):
    with_it, without = compiled(), compiled(r_drop=0.0)
    assert with_it.evaluate(*data, verbose=0) == without.evaluate(*data, verbose=0)


def test_where_both_readings_are_equal_nothing_changes():
    batch = tf.data.Dataset.from_tensors(replicas.make_batch())
    found = []
    for r_drop in (0.0, ALPHA):
        model = replicas.make_model(r_drop=r_drop, run_eagerly=True)  # no dropout
        history = model.fit(batch, verbose=0, shuffle=False).history
        found.append((history["loss"], history["perplexity"], model.get_weights()))
    for one, other in zip(*found, strict=True):
        for value, same in zip(one, other, strict=True):
            np.testing.assert_allclose(value, same, rtol=1e-5, atol=1e-6)


def test_a_saved_model_keeps_it(data, tmp_path):
    model = compiled()
    model.fit(*data, verbose=0)
    model.save(tmp_path / "model.keras")
    assert keras.saving.load_model(tmp_path / "model.keras").r_drop == ALPHA


@pytest.mark.parametrize("wrong", [-1.0, float("nan"), True, "1"])
def test_what_is_no_weight_is_refused(wrong):
    with pytest.raises(
        ValueError, match=f"`r_drop` must be a number, 0 or above. Received: r_drop={wrong!r}"
    ):
        compiled(r_drop=wrong)


def test_another_loss_is_refused():
    with pytest.raises(
        ValueError, match="needs the loss `losses.SmoothedCrossEntropy`. Received: r_drop=3.0"
    ):
        compiled(loss="mse")


def test_another_backend_is_refused(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match="`r_drop` above 0 needs the TensorFlow backend.*r_drop=3.0 on jax"):
        compiled()

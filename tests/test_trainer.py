"""The training step: every real token weighs the same, however a batch is cut into parts."""

import json
import os
import subprocess
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_transformer import losses, metrics, models
from keras_transformer.models.trainer import TokenMeanTrainer
from tests import replicas

ROOT = Path(__file__).resolve().parent.parent


def make(**options):
    return replicas.make_model(**{"run_eagerly": True, **options})


def changes(model, batch):
    """How one step changes the weights."""
    before = model.get_weights()
    model.fit(tf.data.Dataset.from_tensors(batch), verbose=0, shuffle=False)
    return [after - weight for after, weight in zip(model.get_weights(), before, strict=True)]


def assert_equal(results, expected, atol):
    for result, value in zip(results, expected, strict=True):
        np.testing.assert_allclose(result, value, atol=atol)


@pytest.mark.parametrize(
    "options",
    [
        {},
        pytest.param({"run_eagerly": False}, marks=pytest.mark.slow),
        pytest.param({"run_eagerly": False, "jit_compile": True}, marks=pytest.mark.slow),
    ],
)
def test_micro_batches_change_neither_the_loss_nor_the_update(options):
    batch = replicas.make_batch()
    whole, parts = make(), make(num_micro_batches=4, **options)
    assert_equal(changes(parts, batch), changes(whole, batch), atol=1e-6)
    assert parts.history.history["loss"] == pytest.approx(whole.history.history["loss"], abs=1e-6)
    assert parts.history.history["perplexity"] == pytest.approx(whole.history.history["perplexity"], rel=1e-5)


def test_the_step_is_the_gradient_of_the_mean_over_tokens():
    inputs, labels = replicas.make_batch()
    model = make(clip=None)
    with tf.GradientTape() as tape:
        values = losses.smoothed_cross_entropy(labels, model(inputs), 0.1)
        real = tf.cast(labels != 0, tf.float32)
        loss = tf.reduce_sum(values * real) / tf.reduce_sum(real)
    gradients = tape.gradient(loss, model.trainable_variables)
    expected = [-replicas.LEARNING_RATE * tf.convert_to_tensor(gradient).numpy() for gradient in gradients]
    by_path = dict(zip([v.path for v in model.trainable_variables], expected, strict=True))
    weights = [variable.path for variable in model.weights]
    found = dict(zip(weights, changes(model, (inputs, labels)), strict=True))
    assert_equal([found[path] for path in by_path], by_path.values(), atol=1e-6)
    norm = np.sqrt(sum((np.asarray(value) ** 2).sum() for value in expected)) / replicas.LEARNING_RATE
    assert float(model.step_statistics.gradient_norm.result()) == pytest.approx(norm, rel=1e-5)
    assert float(model.step_statistics.weight.result()) == np.count_nonzero(labels)


def test_the_loss_of_an_epoch_weighs_batches_by_their_tokens():
    inputs, labels = replicas.make_batch()
    labels[2:4] = 0  # the second batch has few tokens
    batches = tf.data.Dataset.from_tensor_slices((inputs, labels)).batch(2)
    model = make()
    values = np.array(losses.smoothed_cross_entropy(labels, model(inputs), 0.1))
    expected = values[labels != 0].mean()
    assert model.evaluate(batches, verbose=0, return_dict=True)["loss"] == pytest.approx(expected, rel=1e-5)
    model.optimizer.learning_rate = 0.0
    model.fit(batches, verbose=0, shuffle=False)
    assert model.history.history["loss"] == pytest.approx([expected], rel=1e-5)


def test_statistics_begin_anew():
    model = make()
    changes(model, replicas.make_batch())
    model.step_statistics.reset()
    assert float(model.step_statistics.weight.result()) == 0.0


def test_sample_weights_count_as_parts_of_tokens():
    inputs, labels = replicas.make_batch()
    weights = np.random.default_rng(1).uniform(0.1, 2.0, labels.shape).astype("float32")
    batch = (inputs, labels, weights)
    assert_equal(changes(make(num_micro_batches=2), batch), changes(make(), batch), atol=1e-6)


def test_a_loss_that_names_no_weight_is_a_mean_of_rows():
    class Line(TokenMeanTrainer, keras.Sequential):
        pass

    def slope(parts):
        keras.utils.set_random_seed(0)
        model = Line([keras.Input((3,)), keras.layers.Dense(1)])
        model.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse", num_micro_batches=parts)
        x = np.random.default_rng(0).normal(size=(6, 3)).astype("float32")
        return changes(model, (x, x[:, :1]))

    assert_equal(slope(3), slope(1), atol=1e-6)


def test_loss_scaling_leaves_the_gradient_norm_as_it_is():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        scaled = make(num_micro_batches=2)
        assert isinstance(scaled.optimizer, keras.optimizers.LossScaleOptimizer)
        changes(scaled, replicas.make_batch())
    finally:
        keras.config.set_dtype_policy("float32")
    plain = make()
    changes(plain, replicas.make_batch())
    norms = [float(model.step_statistics.gradient_norm.result()) for model in (scaled, plain)]
    assert norms[0] == pytest.approx(norms[1], rel=1e-2)


def test_a_saved_model_keeps_its_micro_batches(tmp_path):
    model = make(num_micro_batches=2)
    changes(model, replicas.make_batch())
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.num_micro_batches == 2
    assert isinstance(loaded.loss, losses.SmoothedCrossEntropy)
    assert int(loaded.optimizer.iterations) == 1
    assert_equal(changes(loaded, replicas.make_batch()), changes(model, replicas.make_batch()), atol=1e-6)


@pytest.mark.parametrize("count", [0, -1, 1.5, None])
def test_a_count_that_is_none_is_refused(count):
    with pytest.raises(ValueError, match=f"num_micro_batches={count}"):
        make(num_micro_batches=count)


@pytest.mark.parametrize("is_eager", [True, False])
def test_rows_that_cannot_be_split_are_refused(is_eager):
    model = make(num_micro_batches=3, run_eagerly=is_eager)
    with pytest.raises(ValueError, match="8 rows, num_micro_batches=3"):
        changes(model, replicas.make_batch())


def test_rows_of_an_unknown_number_are_refused_too():
    model = make(num_micro_batches=3, run_eagerly=False)
    batches = tf.data.Dataset.from_tensor_slices(replicas.make_batch()).batch(8)
    with pytest.raises(tf.errors.InvalidArgumentError, match="must be a multiple of `num_micro_batches`, 3"):
        model.fit(batches, verbose=0, shuffle=False)


def test_two_ways_of_accumulating_are_refused():
    model = models.Transformer(7, 7, num_layers=1, hidden_dim=4, num_heads=1, intermediate_dim=3)
    optimizer = keras.optimizers.Adam(gradient_accumulation_steps=2)
    with pytest.raises(ValueError, match="not both. Received: 3 and 2"):
        model.compile(optimizer=optimizer, loss="mse", num_micro_batches=3)


def test_other_backends_are_refused(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match="num_micro_batches=2 on jax"):
        make(num_micro_batches=2)


def under_strategies(warm_python, *ways):
    """What `tests.replicas` prints, in a process of two virtual devices."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [warm_python, "-m", "tests.replicas", *ways],
        env=environment,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_two_devices_do_what_one_does(warm_python):
    one, *others = under_strategies(
        warm_python, "one device", "two devices", "two devices, two micro-batches"
    ).values()
    for two in others:
        assert_alike(two, one)
    assert metrics.Perplexity().name in one["metrics"]


def assert_alike(two, one):
    for name in ("loss", "evaluation", "gradient_norm", "weight", "weights"):
        np.testing.assert_allclose(two[name], one[name], atol=1e-5, err_msg=name)


@pytest.mark.slow
def test_two_devices_read_twice_as_one_does(warm_python):
    without, one, two = under_strategies(
        warm_python, "one device", "one device, R-Drop", "two devices, R-Drop"
    ).values()
    assert_alike(two, one)
    assert np.abs(np.subtract(one["loss"], without["loss"])).max() > 1e-3


@pytest.mark.slow
def test_keras_alone_would_not(warm_python):
    # When this fails, Keras has learnt it: look whether `TokenMeanTrainer` is still needed.
    one, keras_alone = under_strategies(warm_python, "one device", "two devices, Keras alone").values()
    assert np.abs(np.subtract(keras_alone["loss"], one["loss"])).max() > 1e-3

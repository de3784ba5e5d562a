"""Speed and gradients in the logs."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_transformer.callbacks import Throughput
from tests import replicas


class Clock:
    """A clock that a test turns."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        return self.now


class Turn(keras.callbacks.Callback):
    """Two seconds a step, a hundred for the rest of an epoch."""

    def __init__(self, clock):
        super().__init__()
        self.clock = clock

    def on_train_batch_end(self, batch, logs=None):
        self.clock.now += 2.0

    def on_test_end(self, logs=None):
        self.clock.now += 100.0


@pytest.mark.parametrize("validates", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_tokens_are_counted_over_the_time_of_the_steps(monkeypatch, validates):
    clock = Clock()
    monkeypatch.setattr("keras_transformer.callbacks.throughput.time", clock)
    inputs, labels = replicas.make_batch()
    batches = tf.data.Dataset.from_tensors((inputs, labels)).repeat(3)
    model = replicas.make_model(run_eagerly=True)
    # Before and after it: the order of callbacks does not matter to what it measures.
    logs = model.fit(
        batches,
        epochs=2,
        validation_data=batches if validates else None,
        callbacks=[Turn(clock), Throughput()],
        verbose=0,
        shuffle=False,
    ).history
    assert logs["tokens_per_second"] == pytest.approx([np.count_nonzero(labels) / 2.0] * 2)
    assert len(logs["gradient_norm"]) == 2
    assert logs["gradient_norm"][0] != logs["gradient_norm"][1]

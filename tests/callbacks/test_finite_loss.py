"""A training whose loss is no number ends there, with nothing of it saved."""

import keras
import numpy as np
import pytest

from keras_transformer.callbacks import FiniteLoss, KeepCheckpoints, NotFinite
from tests import checks

X = checks.numbers(12, 3, seed=1)
Y = checks.numbers(12, 1, seed=2)


class Spoil(keras.callbacks.Callback):
    """Makes the weights infinite behind a batch."""

    def on_train_batch_end(self, batch, logs=None):
        if batch == 2:
            self.model.layers[0].kernel.assign(self.model.layers[0].kernel * np.inf)


def fit(folder=None, y=Y, policy="float32", callbacks=(), optimizer=None, **arguments):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, dtype=policy)])
    optimizer = optimizer or keras.optimizers.SGD(0.1)
    model.compile(optimizer=optimizer, loss="mse", run_eagerly=True)
    callbacks = [FiniteLoss(), *callbacks]
    if folder is not None:
        callbacks.append(KeepCheckpoints(folder, monitor="loss", mode="min"))
    return model.fit(X, y, batch_size=4, shuffle=False, verbose=0, callbacks=callbacks, **arguments)


def test_it_ends_at_the_first_step_without_a_finite_loss_and_says_where(tmp_path):
    y = Y.copy()
    y[5] = np.nan
    with pytest.raises(NotFinite, match="nan in step 2 of epoch 1, at a learning rate of 0.1. A lower one"):
        fit(tmp_path, y)
    assert not list(tmp_path.iterdir())


def test_the_checkpoint_before_stays_and_none_is_added(tmp_path):
    fit(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(NotFinite, match="inf in step 2 of epoch 2"):
        fit(tmp_path, Y * np.array([[1]] * 7 + [[1e30]] * 5, np.float32), epochs=2, initial_epoch=1)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_weights_that_the_last_step_of_an_epoch_spoiled_are_not_saved(tmp_path):
    with pytest.raises(NotFinite, match="weights that are not finite, .*kernel, at the end of epoch 1"):
        fit(tmp_path, callbacks=[Spoil()])
    assert not list(tmp_path.iterdir())


def scaled(**arguments):
    return keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.01), **arguments)


def test_a_step_that_float16_skips_is_no_failure():
    y = Y.copy()
    y[5] = np.nan
    optimizer = scaled(initial_scale=8.0)
    fit(y=y, policy="mixed_float16", optimizer=optimizer, epochs=2)
    assert float(optimizer.dynamic_scale) == 2.0  # two steps were skipped


def test_steps_that_are_all_skipped_are_one():
    with pytest.raises(NotFinite, match="too large for float16 at any scale in step 3 of epoch 1"):
        fit(y=Y * np.nan, policy="mixed_float16", optimizer=scaled(initial_scale=7e-4))

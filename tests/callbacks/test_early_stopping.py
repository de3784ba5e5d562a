"""A training ends when nothing improves: after the same epoch whether it was interrupted or not."""

import json

import keras
import numpy as np
import pytest

from keras_transformer.callbacks import EarlyStopping
from tests import checks

X = checks.numbers(8, 3, seed=1)
Y = checks.numbers(8, 1, seed=2)


class Scores(keras.callbacks.Callback):
    """Puts these values into the logs of the epochs from the first on; None for none."""

    def __init__(self, scores):
        super().__init__()
        self.scores = scores

    def on_epoch_end(self, epoch, logs=None):
        if self.scores[epoch] is not None:
            logs["score"] = self.scores[epoch]


def fit(scores, path, initial_epoch=0, mode="max", patience=2, ema=False):
    """Trains on; returns the last epoch, the model, and its averaged weights at the end of that epoch."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(
        optimizer=keras.optimizers.SGD(0.1, use_ema=ema, ema_momentum=0.9), loss="mse", run_eagerly=True
    )
    swap = [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)] if ema else []
    seen = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: (epochs.append(epoch + 1), weights.append(model.get_weights()))
    )
    epochs, weights = [], []
    stop = EarlyStopping(path, "score", mode, patience, *swap)
    callbacks = [*swap, Scores(scores), seen, stop]
    model.fit(X, Y, epochs=len(scores), initial_epoch=initial_epoch, verbose=0, callbacks=callbacks)
    return epochs[-1], model, weights[-1]


def write(path, scores):
    records = [{"epoch": i, "score": s} if s is not None else {"epoch": i} for i, s in enumerate(scores, 1)]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


CASES = [
    ([5, 4, 6, 5, 6, 7], 5),  # an equal score is no better
    ([5, 6, 7, 8], 4),
    ([5, None, 4, None, 3, 2], 5),  # an epoch without a score does not count
    ([5, 4, 3, 2], 3),
]


@pytest.mark.parametrize(("scores", "last"), CASES)
def test_the_training_ends_after_so_many_epochs_without_a_better_score(tmp_path, scores, last):
    assert fit(scores, tmp_path / "absent.jsonl")[0] == last


def test_what_is_good_may_be_low(tmp_path):
    assert fit([5, 4, 3, 6, 3, 1], tmp_path / "absent.jsonl", mode="min")[0] == 5


@pytest.mark.parametrize(("scores", "last"), CASES)
def test_an_interrupted_training_ends_after_the_same_epoch(tmp_path, scores, last):
    for done in range(1, last):
        # The file may know more than is restored: epochs that come again do not count twice.
        path = write(tmp_path / "metrics.jsonl", scores[: done + 1])
        assert fit(scores, path, initial_epoch=done)[0] == last, done


@pytest.mark.parametrize("scores", [[5, 4, 3, 2, 1], [5, 6, 7]], ids=["early", "at the end"])
def test_the_averaged_weights_stay_in_the_model(tmp_path, scores):
    _, model, averaged = fit(scores, tmp_path / "absent.jsonl", ema=True)
    for weight, expected in zip(model.get_weights(), averaged, strict=True):
        np.testing.assert_array_equal(weight, expected)


@pytest.mark.parametrize(("mode", "patience"), [("auto", 1), ("max", 0)])
def test_an_argument_out_of_range_is_refused(tmp_path, mode, patience):
    with pytest.raises(ValueError, match=f"Received: (mode='{mode}'|patience={patience})"):
        EarlyStopping(tmp_path, "score", mode, patience)

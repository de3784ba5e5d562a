"""Trainings that are killed at a moment that a test chooses."""

import keras

from training.stages import fit


class Killed(BaseException):
    """What is raised in place of a kill."""


class KillAfter(keras.callbacks.Callback):
    """Ends the training after so many batches, or after all that is done at the end of an epoch."""

    def __init__(self, batches=None, epochs=None):
        super().__init__()
        self.batches = batches
        self.epochs = epochs

    def on_train_batch_end(self, batch, logs=None):
        if self.batches is not None:
            self.batches -= 1
        if self.batches == 0:
            raise Killed

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 == self.epochs:
            raise Killed


def kill_after(monkeypatch, batches=None, epochs=None):
    """The next training is killed then."""
    make = fit.make_callbacks

    def killing(*arguments):
        monkeypatch.setattr(fit, "make_callbacks", make)
        return [*make(*arguments), KillAfter(batches, epochs)]

    monkeypatch.setattr(fit, "make_callbacks", killing)

"""Names of classes: what the tasks that choose among some have in common."""

from typing import Any

from training.run_config import CheckpointsConfig
from training.tasks.base import Task


def by_accuracy() -> CheckpointsConfig:
    """Default of tasks that are measured by their accuracy."""
    return CheckpointsConfig(monitor="val_accuracy")


class ClassTask(Task):
    """See `Task`: one class for each example, the second part of what was read of a split."""

    def load(self) -> None:
        super().load()
        self.classes = classes_of(self.examples["train"][1])

    def loss(self) -> Any:
        from keras_transformer import losses

        # No class is padding.
        return losses.SmoothedCrossEntropy(self.config.optimizer.label_smoothing, pad_id=-1)

    def metrics(self) -> list:
        import keras

        return [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]


def classes_of(names) -> list[str]:
    """The classes of the training data, in the order of their numbers.

    Raises:
        ValueError: there are fewer than two.
    """
    classes = sorted(set(names))
    if len(classes) < 2:
        raise ValueError(f"There must be at least two classes. Received: {', '.join(classes)}.")
    return classes


def numbers(names, classes) -> Any:
    """Numbers of classes, int32 (N,). Raises ValueError for a class that was not trained."""
    import numpy as np

    places = {name: place for place, name in enumerate(classes)}
    for name in sorted(set(names) - set(places)):
        raise ValueError(f"Every class must be one of the training data's. Received: {name!r}.")
    return np.array([places[name] for name in names], np.int32)

"""Names of classes: what the tasks that choose among some have in common."""

from dataclasses import dataclass, field
from typing import Any

from training.run_config import CheckpointsConfig, OptimizerConfig, RunConfig, no_smoothing
from training.tasks.base import Task, likely_vocabulary, rounded_up


def by_accuracy() -> CheckpointsConfig:
    """Default of tasks that are measured by their accuracy."""
    return CheckpointsConfig(monitor="val_accuracy")


@dataclass(frozen=True)
class ClassRunConfig(RunConfig):
    """A run that makes a classifier: without smoothing of labels, and the best is the most accurate."""

    optimizer: OptimizerConfig = field(default_factory=no_smoothing)
    checkpoints: CheckpointsConfig = field(default_factory=by_accuracy)


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


class TextClassesTask(Task):
    """Classes of texts, or of their words; see `Task`.

    The configuration's `data` has a `max_length` and a `batch_size`. Subclasses set `classes` in `load`.

    Attributes:
        num_unnamed: how many of the model's classes, the first ones, are no answers.
    """

    num_unnamed = 0

    @property
    def facts(self) -> dict:
        return {"max_length": self.config.data.max_length, "classes": self.classes}

    def load_facts(self, folder) -> dict:
        from keras_transformer.saving import run_files

        self.classes = run_files.classes(folder)
        return {"classes": self.classes}

    def keep_classes(self, folder) -> None:
        from keras_transformer.saving import run_files

        known = run_files.classes(folder)
        if set(self.classes) <= set(known):
            self.classes = known

    @property
    def sizes(self) -> dict[str, Any]:
        return {
            "vocabulary_size": self.tokenizers["text"].vocabulary_size,
            "num_classes": self.num_unnamed + len(self.classes),
        }

    def likely_sizes(self) -> dict:
        vocabulary_size = likely_vocabulary(self.config.tokenizer)
        return {"vocabulary_size": vocabulary_size, "num_classes": self.num_unnamed + 2}

    def largest_shape(self, row_multiple=1) -> tuple[int, ...]:
        return rounded_up(self.config.data.batch_size, row_multiple), self.config.data.max_length

    def summary(self) -> str:
        return f"vocabulary: {self.sizes['vocabulary_size']:,}, classes: {len(self.classes)}"

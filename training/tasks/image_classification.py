"""Training a classifier of images."""

from typing import Any

import keras
import numpy as np

from keras_transformer import losses, models
from training import pipeline
from training.datasets import images
from training.tasks.base import Task, rounded_up


class ImageClassification(Task):
    """See `Task`; the configuration is an `ImageClassificationConfig`."""

    def load(self) -> None:
        super().load()
        self.classes = sorted(set(self.examples["train"][1]))
        if len(self.classes) < 2:
            raise ValueError(f"There must be at least two classes. Received: {', '.join(self.classes)}.")

    def load_facts(self, facts) -> None:
        self.classes = facts["classes"]

    def load_split(self, split) -> None:
        self.examples[split] = images.load_classes(self.config.data, split)

    @property
    def image_facts(self) -> dict[str, Any]:
        found, _ = self.examples["train"]
        return {"image_shape": list(found.shape[1:]), "classes": self.classes}

    @property
    def sizes(self) -> dict[str, Any]:
        return {"num_classes": len(self.classes), "image_shape": self.examples["train"][0].shape[1:]}

    def largest_shape(self, row_multiple=1) -> tuple[int, ...]:
        return rounded_up(self.config.data.batch_size, row_multiple), *self.sizes["image_shape"]

    def batches(self, split, row_multiple=1) -> Any:
        data, (found, names) = self.config.data, self.examples[split]
        return pipeline.ArrayBatches(
            found,
            self.labels(names),
            batch_size=data.batch_size,
            shuffle=split == "train",
            seed=self.config.fit.seed,
            change=self.change if split == "train" and (data.flip or data.shift) else None,
            row_multiple=row_multiple,
        )

    def labels(self, names) -> np.ndarray:
        """Numbers of classes, int32 (N,). Raises ValueError for a class that was not trained."""
        places = {name: place for place, name in enumerate(self.classes)}
        for name in set(names) - set(places):
            raise ValueError(f"Every class must be one of the training data's. Received: {name!r}.")
        return np.array([places[name] for name in names], np.int32)

    def change(self, found, labels, generator) -> tuple[Any, Any]:
        """See `pipeline.ArrayBatches`."""
        data = self.config.data
        return pipeline.flipped_and_shifted(found, data.flip, data.shift, generator), labels

    def make_model(self, sizes) -> keras.Model:
        given = {name: value for name, value in vars(self.config.model).items() if name != "kind"}
        model = models.AttentionCNN(sizes["num_classes"], **given)
        model.build((None, *sizes["image_shape"]))
        return model

    def random_batch(self, sizes, shape, generator) -> tuple[Any, Any]:
        found = generator.integers(256, size=shape).astype(np.uint8)
        return found, generator.integers(sizes["num_classes"], size=shape[0]).astype(np.int32)

    def loss(self) -> keras.losses.Loss:
        # No class is padding.
        return losses.SmoothedCrossEntropy(self.config.optimizer.label_smoothing, pad_id=-1)

    def metrics(self) -> list[keras.metrics.Metric]:
        return [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]

    def summary(self) -> str:
        return f"classes: {len(self.classes)}"

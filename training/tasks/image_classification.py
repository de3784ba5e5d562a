"""Classes of images: by convolutions, with and without self-attention."""

from dataclasses import dataclass, field
from typing import Any, Literal

from command_line import lines, quiet
from training.run_config import CheckpointsConfig, OptimizerConfig, RunConfig, no_smoothing
from training.tasks.classes import ClassTask, by_accuracy, numbers
from training.tasks.images import ImageDataConfig, ImageTask


@dataclass(frozen=True)
class AttentionCNNConfig:
    """The image classifier's sizes.

    Args:
        kind: this model.
        filters: channels of the blocks; height and width are halved between blocks.
        attention: whether positions of the grid attend to each other.
        dropout: probability of dropping a value before the last layer.
    """

    kind: Literal["attention_cnn"] = "attention_cnn"
    filters: list[int] = field(default_factory=lambda: [32, 64, 64])
    attention: bool = True
    dropout: float = 0.2


@dataclass(frozen=True)
class ImageClassificationConfig(RunConfig):
    """A run that makes a classifier of images.

    Args:
        data: the images and their classes, and how they become batches.
        model: its sizes.
    """

    optimizer: OptimizerConfig = field(default_factory=no_smoothing)
    checkpoints: CheckpointsConfig = field(default_factory=by_accuracy)
    data: ImageDataConfig = field(default_factory=ImageDataConfig)
    model: AttentionCNNConfig = field(default_factory=AttentionCNNConfig)


class ImageClassification(ClassTask, ImageTask):
    """See `Task`."""

    config_class = ImageClassificationConfig
    models = {"attention_cnn": AttentionCNNConfig}
    command = "training.classify"
    about = """Says what images show: python -m training.classify --run RUN IMAGE ...

    A line for each image, JPEG, PNG, GIF or BMP: its class, a tab, its probability.
    """

    def load_split(self, split) -> None:
        from training.datasets import images

        self.examples[split] = images.load_classes(self.config.data, split)

    @property
    def facts(self) -> dict:
        found, _ = self.examples["train"]
        return {"image_shape": list(found.shape[1:]), "classes": self.classes}

    def load_facts(self, folder) -> dict:
        facts = super().load_facts(folder)
        self.classes = facts["classes"]
        return facts

    @property
    def sizes(self) -> dict[str, Any]:
        return {"num_classes": len(self.classes), "image_shape": self.examples["train"][0].shape[1:]}

    def likely_sizes(self) -> dict:
        return {**super().likely_sizes(), "num_classes": 2}

    def batches(self, split, row_multiple=1) -> Any:
        found, names = self.examples[split]
        return self.array_batches(split, found, numbers(names, self.classes), row_multiple)

    def make_model(self, sizes) -> Any:
        from keras_transformer import models

        model = models.AttentionCNN(sizes["num_classes"], **self.model_options())
        model.build((None, *sizes["image_shape"]))
        return model

    def random_batch(self, sizes, shape, generator) -> tuple[Any, Any]:
        found = generator.integers(256, size=shape).astype("uint8")
        return found, generator.integers(sizes["num_classes"], size=shape[0]).astype("int32")

    def summary(self) -> str:
        return f"classes: {len(self.classes)}"

    @classmethod
    def predict(cls, options, config) -> None:
        with quiet.start_up():
            import tensorflow as tf

            from keras_transformer.pipelines.image_classifier import ImageClassifier
            from training.datasets.images import read_images
        classifier = ImageClassifier.from_run(options.run, options.checkpoint)
        read_images(options.images, classifier.image_shape)  # tells which file is no image
        encoded = tf.constant([path.read_bytes() for path in options.images])
        found = zip(*(x.numpy() for x in classifier(encoded)), strict=True)
        with lines.writer(None) as write:
            write(f"{lines.one_line(name.decode('utf-8'))}\t{probability:.4f}" for name, probability in found)


TASK = ImageClassification

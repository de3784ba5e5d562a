"""Classes of images: by convolutions, with and without self-attention, or by patches."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from command_line import lines, quiet
from training import picture_files
from training.tasks.classes import ClassRunConfig, ClassTask, numbers
from training.tasks.images import ImageDataConfig, ImageTask
from training.tasks.transformer_layers import TransformerLayersConfig


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
class VisionTransformerConfig(TransformerLayersConfig):
    """The Vision Transformer's sizes; those of ViT-B/16 by default.

    Args:
        kind: this model.
        patch_size: height and width of a patch in pixels, a power of 2; the images' are multiples of it.
        num_layers: layers.
        hidden_dim: width of every layer, a multiple of num_heads unless key_dim is given.
    """

    kind: Literal["vit"] = "vit"
    patch_size: int = 16
    num_layers: int = 12
    hidden_dim: int = 768
    num_heads: int = 12
    intermediate_dim: int = 3072
    activation: str = "gelu"
    norm_first: bool = True


@dataclass(frozen=True)
class ImageClassificationConfig(ClassRunConfig):
    """A run that makes a classifier of images.

    Args:
        data: the images and their classes, and how they become batches.
        model: its sizes.
    """

    data: ImageDataConfig = field(default_factory=ImageDataConfig)
    model: AttentionCNNConfig | VisionTransformerConfig = field(default_factory=AttentionCNNConfig)


class ImageClassification(ClassTask, ImageTask):
    """See `Task`."""

    config_class = ImageClassificationConfig
    models = {"attention_cnn": AttentionCNNConfig, "vit": VisionTransformerConfig}
    command = "training.classify"
    about = """Says what images show: python -m training.classify --run RUN IMAGE ... [--picture PICTURE]

    A line for each image, JPEG, PNG, GIF or BMP: its class, a tab, its probability. --picture draws where a
    vit looked in the first image: its attention through all layers (roll-out).
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
        model = self.config.model
        if model.kind == "vit":
            return {"num_classes": 2, "image_shape": (model.patch_size, model.patch_size, 3)}
        return {**super().likely_sizes(), "num_classes": 2}

    def batches(self, split, row_multiple=1) -> Any:
        found, names = self.examples[split]
        return self.array_batches(split, found, numbers(names, self.classes), row_multiple)

    def make_model(self, sizes) -> Any:
        from keras_transformer import models

        options = self.model_options()
        if self.config.model.kind == "vit":
            model = models.VisionTransformer(sizes["num_classes"], sizes["image_shape"], **options)
        else:
            model = models.AttentionCNN(sizes["num_classes"], **options)
        model.build((None, *sizes["image_shape"]))
        return model

    def random_batch(self, sizes, shape, generator) -> tuple[Any, Any]:
        found = generator.integers(256, size=shape).astype("uint8")
        return found, generator.integers(sizes["num_classes"], size=shape[0]).astype("int32")

    def summary(self) -> str:
        return f"classes: {len(self.classes)}"

    @classmethod
    def add_options(cls, parser) -> None:
        super().add_options(parser)
        parser.add_argument(
            "--picture", type=Path, help="file to draw the attention of a vit into: *.png, *.svg, *.pdf"
        )

    @classmethod
    def predict(cls, options, config) -> None:
        if options.picture:
            if config.model.kind != "vit":
                raise ValueError(
                    "`picture` is for a vit, whose attention covers the image. "
                    f"Received: {options.run}, of the kind {config.model.kind}."
                )
            picture_files.check(options.picture)
        with quiet.start_up():
            import tensorflow as tf

            from keras_transformer.pipelines.image_classifier import ImageClassifier
            from training.datasets.images import read_images
        classifier = ImageClassifier.from_run(options.run, options.checkpoint)
        images = read_images(options.images, classifier.image_shape)  # tells which file is no image
        names, probabilities = classifier(tf.constant([path.read_bytes() for path in options.images]))
        names = [name.decode("utf-8") for name in names.numpy()]
        if options.picture:
            from keras_transformer.attention_maps import attention_over_image

            figure = attention_over_image(images[0], classifier.look(images[:1]), [""], title=names[0])
            picture_files.write(figure, options.picture)
        with lines.writer(None) as write:
            found = zip(names, probabilities.numpy(), strict=True)
            write(f"{lines.one_line(name)}\t{probability:.4f}" for name, probability in found)


TASK = ImageClassification

"""Captions: images, a tokenizer for captions, exact matches and BLEU; images described."""

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from command_line import lines, quiet
from command_line.search_options import ABOUT_A_SOURCE, SearchOptions
from training import picture_files
from training.run_config import (
    CheckpointsConfig,
    OptimizerConfig,
    QualityConfig,
    RunConfig,
    TokenizerConfig,
    no_smoothing,
)
from training.tasks.base import likely_vocabulary
from training.tasks.images import ImageDataConfig, ImageTask
from training.tasks.transformer_layers import TransformerLayersConfig


@dataclass(frozen=True)
class CaptionDataConfig(ImageDataConfig):
    """Images with captions.

    Args:
        name: scenes_of_digits or scenes_of_garments, generated (training/datasets/scenes.py), or
            image_files.
        num_examples: for scenes: number of training images.
        distort: for scenes: whether each thing of a training image is turned, stretched and slanted a little.
        max_length: longest caption in tokens, end token included; images with longer ones are left out.
    """

    name: str = "scenes_of_digits"
    num_examples: int = 20_000
    distort: bool = False
    max_length: int = 64


@dataclass(frozen=True)
class ImageCaptionerConfig(TransformerLayersConfig):
    """The captioner's sizes. A GRU has none of the layers' fields but dropout.

    Args:
        kind: this model.
        decoder: gru (Xu et al. 2015) or transformer.
        num_layers: layers of the decoder.
        hidden_dim: width of the memory, the embedding and the decoder.
        num_heads: attention heads of the Transformer decoder, 4 if None.
        intermediate_dim: width inside its feed-forward networks, 4 hidden_dim if None.
        filters: channels of the blocks that read the image; height and width are halved between blocks.
        dropout: probability of dropping a value of the memory, an embedding, or a sub-layer's output.
    """

    kind: Literal["image_captioner"] = "image_captioner"
    decoder: Literal["gru", "transformer"] = "transformer"
    num_layers: int = 2
    hidden_dim: int = 128
    num_heads: int | None = None
    intermediate_dim: int | None = None
    filters: list[int] = field(default_factory=lambda: [16, 32, 64, 64])
    dropout: float = 0.1


def _by_exact_match():
    return CheckpointsConfig(monitor="val_exact_match")


@dataclass(frozen=True)
class CaptioningConfig(RunConfig):
    """A run that makes a captioner.

    Args:
        data: the images and captions, and how they become batches.
        tokenizer: how a caption becomes ids.
        model: its sizes.
        quality: captions of the validation set during the training.
    """

    optimizer: OptimizerConfig = field(default_factory=no_smoothing)
    checkpoints: CheckpointsConfig = field(default_factory=_by_exact_match)
    data: CaptionDataConfig = field(default_factory=CaptionDataConfig)
    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)
    model: ImageCaptionerConfig = field(default_factory=ImageCaptionerConfig)
    quality: QualityConfig = field(default_factory=QualityConfig)


class Captioning(ImageTask):
    """See `Task`."""

    config_class = CaptioningConfig
    models = {"image_captioner": ImageCaptionerConfig}
    command = "training.caption"
    about = """Describes images: python -m training.caption --run RUN IMAGE ... [--picture attention.png]

    A line for each image, JPEG, PNG, GIF or BMP. --picture draws where the model looked for each piece of
    the first image's caption.
    """
    vocabularies = {"target_embedding": "caption"}
    decodes = True

    def load_split(self, split) -> None:
        from training.datasets import images

        self.examples[split] = images.load_captions(self.config.data, split)

    def load(self) -> None:
        super().load()
        self.image_shape = self.examples["train"][0].shape[1:]

    @classmethod
    def other_files(cls, config, files, facts) -> RunConfig:
        config = super().other_files(config, files, facts)
        return replace(config, data=replace(config.data, distort=False))

    def train_tokenizers(self) -> None:
        from training.tasks.tokenizing import train_tokenizer

        self.tokenizers = {"caption": train_tokenizer(self.config.tokenizer, self.examples["train"][1])}

    @property
    def facts(self) -> dict:
        return {"max_length": self.config.data.max_length, "image_shape": list(self.image_shape)}

    def load_facts(self, folder) -> dict:
        facts = super().load_facts(folder)
        self.image_shape = tuple(facts["image_shape"])
        return facts

    @property
    def sizes(self) -> dict[str, Any]:
        return {
            "vocabulary_size": self.tokenizers["caption"].vocabulary_size,
            "image_shape": self.image_shape,
        }

    def likely_sizes(self) -> dict:
        return {**super().likely_sizes(), "vocabulary_size": likely_vocabulary(self.config.tokenizer)}

    def batches(self, split, row_multiple=1) -> Any:
        import numpy as np

        found, captions = self.examples[split]
        longest = self.config.data.max_length
        inputs, labels, is_kept = encoded(captions, self.tokenizers["caption"], longest)
        if not is_kept.any():
            raise ValueError(
                f"At least one caption must have at most `max_length` tokens. Received: {longest}, "
                f"and {len(captions):,} longer ones."
            )
        if not is_kept.all():
            print(f"{split}: {np.sum(~is_kept):,} images left out, captions longer than {longest}")
        inputs = {"image": found[is_kept], "target_ids": inputs[is_kept]}
        return self.array_batches(split, inputs, labels[is_kept], row_multiple)

    def random_batch(self, sizes, shape, generator) -> tuple[Any, Any]:
        rows, *image_shape = shape
        image = generator.integers(256, size=(rows, *image_shape)).astype("uint8")
        ids = generator.integers(4, sizes["vocabulary_size"], (rows, self.config.data.max_length), "int32")
        return {"image": image, "target_ids": ids}, ids

    def make_model(self, sizes) -> Any:
        from keras_transformer import models

        channels = sizes["image_shape"][-1]
        options = self.model_options()
        if self.config.model.decoder == "gru":
            # What was set all the same the model refuses, by its name.
            options = {name: value for name, value in options.items() if not self._is_unset(name, value)}
        model = models.ImageCaptioner(sizes["vocabulary_size"], channels=channels, **options)
        model.build()
        return model

    @staticmethod
    def _is_unset(name, value):
        """Whether it is a field of a Transformer's layers with its default, which a GRU has not."""
        is_field = name in {field.name for field in fields(TransformerLayersConfig)} - {"dropout"}
        return is_field and value == getattr(ImageCaptionerConfig, name)

    def quality(self, model) -> Any:
        from keras_transformer import decoding
        from keras_transformer.callbacks import TranslationQuality

        config = self.config.quality
        if not self.has("validation") or not config.frequency:
            return None
        found, captions = (part[: config.num_pairs] for part in self.examples["validation"])
        return TranslationQuality(
            self.captioner(model, decoding.Greedy(self.config.data.max_length)),
            found,
            captions,
            frequency=config.frequency,
            lowercase=self.config.tokenizer.lowercase,
            num_shown=config.num_shown,
        )

    def measure(self, model, split, search=None) -> list:
        from keras_transformer import quality

        found, captions = self.examples[split]
        described = self.captioner(model, search).caption(found)
        lowercase = self.config.tokenizer.lowercase
        measured = quality.measure(described, captions, ("exact_match", "bleu", "chrf"), lowercase)
        return [*measured.values(), *super().measure(model, split)]

    def captioner(self, model, search) -> Any:
        """Images to captions, with this model."""
        from keras_transformer.pipelines.captioner import Captioner

        return Captioner(model, self.tokenizers["caption"], search, self.image_shape)

    def summary(self) -> str:
        return f"vocabulary: {self.sizes['vocabulary_size']:,}"

    @classmethod
    def add_options(cls, parser) -> None:
        super().add_options(parser)
        parser.add_argument(
            "--picture", type=Path, help="file to draw the attention into: *.png, *.svg, *.pdf"
        )
        parser.add_argument("--layer", type=int, help="of the picture, from 0; the mean of all if absent")
        parser.add_argument("--head", type=int, help="of the picture, from 0; the mean of all if absent")
        parser.add_class_arguments(SearchOptions, as_group=False, skip={"n_best", *ABOUT_A_SOURCE})

    @classmethod
    def predict(cls, options, config) -> None:
        for name in ("layer", "head"):
            if options[name] is not None and not options.picture:
                raise ValueError(f"`{name}` needs --picture. Received: {name}={options[name]} without it.")
        if options.picture:
            picture_files.check(options.picture)
        search = SearchOptions.read(options).search(config.data.max_length)
        with quiet.start_up():
            from keras_transformer.pipelines.captioner import Captioner
            from training.datasets.images import read_images
        captioner = Captioner.from_run(options.run, search, options.checkpoint)
        images = read_images(options.images, captioner.image_shape)
        if options.picture:
            from keras_transformer.attention_maps import attention_over_image

            ((pieces, weights),) = captioner.look(images[:1], options.layer, options.head)
            picture_files.write(attention_over_image(images[0], weights, pieces), options.picture)
        with lines.writer(None) as write:
            write(map(lines.one_line, captioner.caption(images)))


def encoded(captions, tokenizer, max_length: int) -> tuple[Any, Any, Any]:
    """Inputs and labels, int32 (N, T), ended and padded; which captions fit into `max_length`, (N,)."""
    import numpy as np
    import tensorflow as tf

    from keras_transformer.special_ids import END_ID, PAD_ID, START_ID

    rows = tokenizer.tokenize(tf.constant(captions)).to_list()
    is_kept = np.array([len(row) < max_length for row in rows])
    longest = 1 + max((len(row) for row, kept in zip(rows, is_kept, strict=True) if kept), default=0)
    labels = np.full((len(rows), longest), PAD_ID, np.int32)
    for place, row in enumerate(rows):
        if is_kept[place]:
            labels[place, : len(row) + 1] = [*row, END_ID]
    inputs = np.roll(labels, 1, axis=1)
    inputs[:, 0] = START_ID
    # The end is a label and no input; a caption that fills its row has it rolled away already.
    return np.where(inputs == END_ID, PAD_ID, inputs), labels, is_kept


TASK = Captioning

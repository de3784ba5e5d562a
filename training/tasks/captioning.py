"""Training a captioner: images, a tokenizer for captions, exact matches and BLEU."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_transformer import decoding, models, quality
from keras_transformer.callbacks import TranslationQuality
from keras_transformer.captioner import Captioner
from keras_transformer.special_ids import END_ID, PAD_ID, START_ID
from training import pipeline
from training.datasets import images
from training.tasks.base import Task, rounded_up
from training.tasks.tokenizing import train_tokenizer


class Captioning(Task):
    """See `Task`; the configuration is a `CaptioningConfig`."""

    vocabularies = {"target_embedding": "caption"}

    def load_split(self, split) -> None:
        self.examples[split] = images.load_captions(self.config.data, split)

    def train_tokenizers(self) -> None:
        self.tokenizers = {"caption": train_tokenizer(self.config.tokenizer, self.examples["train"][1])}

    def load(self) -> None:
        super().load()
        self.image_shape = self.examples["train"][0].shape[1:]

    def load_facts(self, facts) -> None:
        self.image_shape = tuple(facts["image_shape"])

    @property
    def image_facts(self) -> dict[str, Any]:
        return {"image_shape": list(self.image_shape)}

    @property
    def sizes(self) -> dict[str, Any]:
        return {
            "vocabulary_size": self.tokenizers["caption"].vocabulary_size,
            "image_shape": self.image_shape,
        }

    def largest_shape(self, row_multiple=1) -> tuple[int, ...]:
        return rounded_up(self.config.data.batch_size, row_multiple), *self.sizes["image_shape"]

    def batches(self, split, row_multiple=1) -> Any:
        data = self.config.data
        found, captions = self.examples[split]
        inputs, labels, is_kept = encoded(captions, self.tokenizers["caption"], data.max_length)
        if not is_kept.any():
            raise ValueError(
                f"At least one caption must have at most `max_length` tokens. Received: {data.max_length}, "
                f"and {len(captions):,} longer ones."
            )
        if not is_kept.all():
            print(f"{split}: {np.sum(~is_kept):,} images left out, captions longer than {data.max_length}")
        return pipeline.ArrayBatches(
            {"image": found[is_kept], "target_ids": inputs[is_kept]},
            labels[is_kept],
            batch_size=data.batch_size,
            shuffle=split == "train",
            seed=self.config.fit.seed,
            change=self.change if split == "train" and (data.flip or data.shift) else None,
            row_multiple=row_multiple,
        )

    def change(self, inputs, labels, generator) -> tuple[Any, Any]:
        """See `pipeline.ArrayBatches`."""
        data = self.config.data
        image = pipeline.flipped_and_shifted(inputs["image"], data.flip, data.shift, generator)
        return {**inputs, "image": image}, labels

    def make_model(self, sizes) -> keras.Model:
        given = {name: value for name, value in vars(self.config.model).items() if name != "kind"}
        model = models.ImageCaptioner(sizes["vocabulary_size"], channels=sizes["image_shape"][-1], **given)
        model.build()
        return model

    def random_batch(self, sizes, shape, generator) -> tuple[Any, Any]:
        rows, *image_shape = shape
        image = generator.integers(256, size=(rows, *image_shape)).astype(np.uint8)
        ids = generator.integers(4, sizes["vocabulary_size"], (rows, self.config.data.max_length), "int32")
        return {"image": image, "target_ids": ids}, ids

    def quality(self, model) -> Any:
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
        found, captions = self.examples[split]
        described = self.captioner(model, search).translate(found)
        lowercase = self.config.tokenizer.lowercase
        measured = quality.measure(described, captions, ("exact_match", "bleu", "chrf"), lowercase)
        return [*measured.values(), *super().measure(model, split)]

    def captioner(self, model, search) -> Captioner:
        """Images to captions, with this model."""
        return Captioner(model, self.tokenizers["caption"], search, self.image_shape)

    def summary(self) -> str:
        return f"vocabulary: {self.sizes['vocabulary_size']:,}"


def encoded(captions, tokenizer, max_length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inputs and labels, int32 (N, T), ended and padded; which captions fit into `max_length`, (N,)."""
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

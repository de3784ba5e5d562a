"""Training a language model: running text, one tokenizer, windows."""

from typing import Any

import keras
import tensorflow as tf

from keras_transformer import models
from training import pipeline
from training.datasets import text
from training.tasks.base import Task, rounded_up
from training.tasks.tokenizing import train_tokenizer

CHARACTERS = ("bytes", "code_points")


class TextTask(Task):
    """What language models of both kinds have in common; the configuration's `data` is a `TextDataConfig`."""

    def load_split(self, split) -> None:
        data = self.config.data
        files = {"train": data.train, "validation": data.validation, "test": data.test}.get(split, ())
        self.examples[split] = text.load(data.name, split, data_dir=data.data_dir, files=files)

    def train_tokenizers(self) -> None:
        config, lines = self.config.tokenizer, self.examples["train"]
        if config.kind in CHARACTERS:
            lines = [line + "\n" for line in lines]
        self.tokenizers = {"text": train_tokenizer(config, lines)}

    @property
    def sizes(self) -> dict[str, Any]:
        return {"vocabulary_size": self.tokenizers["text"].vocabulary_size}

    def largest_shape(self, row_multiple=1) -> tuple[int, ...]:
        return rounded_up(self.config.data.batch_size, row_multiple), self.config.data.window

    def batches(self, split, row_multiple=1) -> Any:
        config = self.config
        by_character = config.tokenizer.kind in CHARACTERS
        ids = pipeline.encode_text(
            self.examples[split], self.tokenizers["text"], is_by_character=by_character
        )
        return pipeline.WindowBatches(
            ids,
            window=config.data.window,
            batch_size=config.data.batch_size,
            shuffle=split == "train",
            seed=config.fit.seed,
            make_example=self.make_example,
            signature=self.signature,
            row_multiple=row_multiple,
        )

    def random_batch(self, sizes, shape, generator) -> tuple[Any, Any]:
        rows, window = shape
        tokens = generator.integers(4, sizes["vocabulary_size"], (rows, window + 1), dtype="int32")
        return self.make_example(tokens, generator)

    def summary(self) -> str:
        return f"vocabulary: {self.sizes['vocabulary_size']:,}"


class LanguageModel(TextTask):
    """See `Task`; the configuration is a `LanguageModelingConfig`."""

    vocabularies = {"embedding": "text"}
    signature = {"target_ids": tf.TensorSpec((None, None), tf.int32)}, tf.TensorSpec((None, None), tf.int32)

    @staticmethod
    def make_example(tokens, generator) -> tuple[Any, Any]:
        """See `pipeline.WindowBatches`: each token is predicted from those before it."""
        return {"target_ids": tokens[:, :-1]}, tokens[:, 1:]

    def make_model(self, sizes) -> keras.Model:
        given = {name: value for name, value in vars(self.config.model).items() if name != "kind"}
        model = models.CausalLM(sizes["vocabulary_size"], **given)
        model.build()
        return model

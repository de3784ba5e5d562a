"""What the pipelines share whose models choose among classes, of texts or of their words."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import keras

from keras_transformer import pipelines
from keras_transformer.pipelines.base import Pipeline, check_vocabulary
from keras_transformer.pipelines.guards import Limits
from keras_transformer.pipelines.signatures import SAMPLES, Served, text_requests
from keras_transformer.pipelines.text_graphs import ends
from keras_transformer.saving.run_files import classes, kind, length
from keras_transformer.special_ids import START_ID
from keras_transformer.tokenizers import Tokenizer


class TextClasses(Pipeline):
    """Base of `TextClassifier` and `Tagger`.

    Args:
        model: {"token_ids": (B, T)} -> logits, whose last axis has `num_unnamed` + C values.
        tokenizer: see `keras_transformer.tokenizers`; with the model's number of ids.
        classes: C names, in the order of the logits.
        max_length: tokens that are read of a text, the start token included, at least 2; with BERT's
            tokenizer the end is included, too, and it is at least 3.

    Attributes:
        num_unnamed: how many of the model's classes, the first ones, are no answers.

    Raises:
        ValueError: there is another number of names than of classes, or of ids; or `max_length` is too small.
    """

    tokenizer_name = "text"
    num_unnamed: ClassVar[int] = 0

    def __init__(self, model: keras.Model, tokenizer: Tokenizer, classes: Sequence[str], max_length: int):
        super().__init__(model, self.model_name.partition(" ")[2].replace(" ", "_"))
        if len(classes) + self.num_unnamed != model.num_classes:
            raise ValueError(
                f"`classes` must have a name for each of the model's {model.num_classes - self.num_unnamed}. "
                f"Received: {len(classes)} names."
            )
        least = 1 + sum(map(len, ends(tokenizer, [START_ID])))
        if max_length < least:
            raise ValueError(f"`max_length` must be at least {least}. Received: max_length={max_length}.")
        check_vocabulary(tokenizer, model.vocabulary_size)
        self.tokenizer = tokenizer
        self.classes = tuple(classes)
        self.max_length = max_length

    @classmethod
    def run_arguments(cls, folder: Path) -> dict[str, Any]:
        """See `Pipeline`."""
        names, max_length = classes(folder), length(folder, "max_length")
        if not issubclass(cls, pipelines.of(kind(folder))):
            raise ValueError(
                f"`run_folder` must be of {cls.model_name}. Received: {folder}, of the kind {kind(folder)}."
            )
        return {"classes": names, "max_length": max_length}

    def __repr__(self) -> str:
        return self.described(f"{self.tokenizer.vocabulary_size:,} pieces, {len(self.classes)} classes")

    def served_as(self, name: str, function: Callable, limits: Limits) -> Served:
        """What an export answers by one function of `text` (B,), strings; see `Pipeline.served`."""
        functions = {"serving_default": function, name: function}
        long = " ".join(["a"] * self.max_length)
        return Served(
            functions,
            [self.tf_variables, self.tokenizer],
            text_requests(functions, SAMPLES[:1], [long], (SAMPLES * 4)[: limits.max_rows]),
            text_requests(functions, SAMPLES[: limits.max_rows]),
            None,
            limits.of("max_rows", "max_characters") | {"max_tokens": self.max_length},
        )

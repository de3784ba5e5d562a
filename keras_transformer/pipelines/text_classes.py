"""What the pipelines share whose models choose among classes, of texts or of their words."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, Self

import keras

from keras_transformer import pipelines, tokenizers
from keras_transformer.pipelines.base import Pipeline, check_vocabulary
from keras_transformer.pipelines.guards import Limits
from keras_transformer.pipelines.signatures import SAMPLES, Served
from keras_transformer.saving.checkpoints import checkpoint_path
from keras_transformer.saving.model_files import load_model
from keras_transformer.saving.run_files import check_parts, classes, kind, length
from keras_transformer.tokenizers import Tokenizer


class TextClasses(Pipeline):
    """Base of `TextClassifier` and `Tagger`.

    Args:
        model: {"token_ids": (B, T)} -> logits, whose last axis has `num_unnamed` + C values.
        tokenizer: see `keras_transformer.tokenizers`; with the model's number of ids.
        classes: C names, in the order of the logits.
        max_length: tokens that are read of a text, the start token included, at least 2.

    Attributes:
        what: its name in words.
        num_unnamed: how many of the model's classes, the first ones, are no answers.

    Raises:
        ValueError: there is another number of names than of classes, or of ids; or `max_length` is too small.
    """

    what: ClassVar[str]
    num_unnamed: ClassVar[int] = 0

    def __init__(self, model: keras.Model, tokenizer: Tokenizer, classes: Sequence[str], max_length: int):
        super().__init__(model, self.what.replace(" ", "_"))
        if len(classes) + self.num_unnamed != model.num_classes:
            raise ValueError(
                f"`classes` must have a name for each of the model's {model.num_classes - self.num_unnamed}. "
                f"Received: {len(classes)} names."
            )
        if max_length < 2:
            raise ValueError(f"`max_length` must be at least 2. Received: max_length={max_length}.")
        check_vocabulary(tokenizer, model.vocabulary_size)
        self.tokenizer = tokenizer
        self.classes = tuple(classes)
        self.max_length = max_length

    @classmethod
    def from_run(cls, run_folder: str | Path, checkpoint: str | None = None) -> Self:
        """Loads what `training.train` made.

        Args:
            run_folder: a folder with model.keras, tokenizer/text and pipeline.json.
            checkpoint: which model of `run_folder`, see `checkpoint_path`; model.keras if None.

        Raises:
            ValueError: the folder is no such run folder, or there is no such checkpoint.
        """
        folder = Path(run_folder)
        check_parts(folder, f"The run folder of a {cls.what} holds tokenizer/text", ("tokenizer/text",))
        names, max_length = classes(folder), length(folder, "max_length")
        if not issubclass(cls, pipelines.of(kind(folder))):
            raise ValueError(
                f"`run_folder` must be of a {cls.what}. Received: {folder}, of the kind {kind(folder)}."
            )
        model = load_model(checkpoint_path(folder, checkpoint))
        pipeline = cls(model, tokenizers.load(folder / "tokenizer" / "text"), names, max_length)
        return pipeline.of_run(run_folder)

    def __repr__(self) -> str:
        return self.described(f"{self.tokenizer.vocabulary_size:,} pieces, {len(self.classes)} classes")

    def served_as(self, name: str, function: Callable, limits: Limits) -> Served:
        """What an export answers by one function of `text` (B,), strings; see `Pipeline.served`."""
        functions = {"serving_default": function, name: function}
        long = " ".join(["a"] * self.max_length)
        texts = (SAMPLES[:1], [long], (SAMPLES * 4)[: limits.max_rows])
        return Served(
            functions,
            [self.tf_variables, self.tokenizer],
            [(name, {"text": text}) for text in texts for name in functions],
            [(name, {"text": SAMPLES[: limits.max_rows]}) for name in functions],
            None,
            limits.of("max_rows", "max_characters") | {"max_tokens": self.max_length},
        )

"""Running text: what language models of both kinds have in common."""

from dataclasses import dataclass, field, replace
from typing import Any

from training.run_config import CheckpointsConfig, RunConfig, make_lists
from training.tasks.base import Task, likely_vocabulary, rounded_up

CHARACTERS = ("bytes", "code_points")


@dataclass(frozen=True)
class TextDataConfig:
    """Texts, and how they become batches.

    Args:
        name: text, for files; tiny_shakespeare (Karpathy 2015; its first 90 % train).
        data_dir: for tiny_shakespeare: folder with tinyshakespeare.txt or input.txt, plain or gzip; None
            downloads it by tensorflow-datasets.
        train: for text: files, UTF-8, plain or gzip.
        validation: for text: like train; none to train without validation.
        test: for text: like train.
        window: tokens that the model sees together.
        batch_size: windows in a batch.
    """

    name: str = "text"
    data_dir: str | None = None
    train: list[str] | str = field(default_factory=list)
    validation: list[str] | str = field(default_factory=list)
    test: list[str] | str = field(default_factory=list)
    window: int = 256
    batch_size: int = 32

    def __post_init__(self):
        make_lists(self, "train", "validation", "test")


def by_loss() -> CheckpointsConfig:
    """Default of tasks that are measured by their loss."""
    return CheckpointsConfig(monitor="val_loss")


class TextTask(Task):
    """See `Task`; the configuration's `data` is a `TextDataConfig`.

    Subclasses give `inputs`, the name of the model's input, and `make_example`.
    """

    inputs = "target_ids"

    def load_split(self, split) -> None:
        from training.datasets import text

        data = self.config.data
        files = {"train": data.train, "validation": data.validation, "test": data.test}.get(split, ())
        self.examples[split] = text.load(data.name, split, data_dir=data.data_dir, files=files)

    @classmethod
    def other_files(cls, config, files, facts) -> RunConfig:
        config = super().other_files(config, files, facts)
        return replace(config, data=replace(config.data, name="text"))

    def train_tokenizers(self) -> None:
        from training.tasks.tokenizing import train_tokenizer

        config, lines = self.config.tokenizer, self.examples["train"]
        if config.kind in CHARACTERS:
            lines = [line + "\n" for line in lines]
        self.tokenizers = {"text": train_tokenizer(config, lines)}

    @property
    def facts(self) -> dict:
        return {"window": self.config.data.window}

    @property
    def sizes(self) -> dict[str, Any]:
        return {"vocabulary_size": self.tokenizers["text"].vocabulary_size}

    def likely_sizes(self) -> dict:
        return {"vocabulary_size": likely_vocabulary(self.config.tokenizer)}

    def largest_shape(self, row_multiple=1) -> tuple[int, ...]:
        return rounded_up(self.config.data.batch_size, row_multiple), self.config.data.window

    def batches(self, split, row_multiple=1) -> Any:
        import tensorflow as tf

        from training import pipeline

        config = self.config
        by_character = config.tokenizer.kind in CHARACTERS
        ids = pipeline.encode_text(
            self.examples[split], self.tokenizers["text"], is_by_character=by_character
        )
        spec = tf.TensorSpec((None, None), tf.int32)
        return pipeline.WindowBatches(
            ids,
            window=self.tokens_of_window(),
            batch_size=config.data.batch_size,
            shuffle=split == "train",
            seed=config.fit.seed,
            make_example=self.make_example,
            signature=({self.inputs: spec}, spec),
            row_multiple=row_multiple,
        )

    def tokens_of_window(self) -> int:
        """Tokens of the text that the model sees together."""
        return self.config.data.window

    def make_example(self, tokens, generator) -> tuple[Any, Any]:
        """See `pipeline.WindowBatches`."""
        raise NotImplementedError

    def random_batch(self, sizes, shape, generator) -> tuple[Any, Any]:
        rows, window = shape
        tokens = generator.integers(4, sizes["vocabulary_size"], (rows, window + 1), dtype="int32")
        return self.make_example(tokens, generator)

    def summary(self) -> str:
        return f"vocabulary: {self.sizes['vocabulary_size']:,}"

"""What `fitting` asks of a task."""

from pathlib import Path
from typing import Any

import keras

from keras_transformer import losses, metrics, tokenizers
from keras_transformer.quality import Measured
from training.config import RunConfig


class Task:
    """One kind of training: its data, tokenizers, model and measures.

    Made from a configuration alone; `load` reads the data, and `train_tokenizers` or `load_tokenizers` comes
    before anything that needs ids. A trial in another process has only the `sizes`.

    Args:
        config: the run's.

    Attributes:
        examples: {split: what was read of it}.
        tokenizers: {name: tokenizer}, under the names of their folders in a run folder; empty before they
            are made.
        vocabularies: {name of a layer: name of a tokenizer}, layers with one row of weights for each id.
    """

    vocabularies = {}

    def __init__(self, config: RunConfig):
        self.config = config
        self.examples = {}
        self.tokenizers = {}

    def load(self) -> None:
        """Reads the data of the training. Raises ValueError or FileNotFoundError if it cannot be used."""
        for split in ("train", "validation"):
            self.load_split(split)

    def load_split(self, split: str) -> None:
        """Reads the examples of a split, "train", "validation" or "test": None if none is configured."""
        raise NotImplementedError

    def has(self, split: str) -> bool:
        """Whether there are examples of a split that was read."""
        return self.examples[split] is not None

    def train_tokenizers(self) -> None:
        """Makes the tokenizers from the training data."""

    def load_tokenizers(self, folder: Path) -> None:
        """Takes the tokenizers of a run folder."""
        folders = (folder / "tokenizer").glob("*")
        self.tokenizers = {path.name: tokenizers.load(path) for path in folders}

    def load_facts(self, facts: dict) -> None:
        """Takes the `image_facts` of a run, in place of those of its training data."""

    @property
    def image_facts(self) -> dict:
        """What is known of the images and is no part of the model: "image_shape", "classes"; for JSON."""
        return {}

    @property
    def sizes(self) -> dict:
        """What `make_model` and `random_batch` need to know of data and tokenizers; for JSON."""
        raise NotImplementedError

    def largest_shape(self, row_multiple: int = 1) -> tuple[int, ...]:
        """The largest shape that a training batch can have; rows first, a multiple of `row_multiple`."""
        raise NotImplementedError

    def batches(self, split: str, row_multiple: int = 1) -> Any:
        """The batches of a split, whose rows are a multiple of `row_multiple`; see `pipeline.Batches`."""
        raise NotImplementedError

    def make_model(self, sizes: dict) -> keras.Model:
        """The built model. Errors about its sizes are its own."""
        raise NotImplementedError

    def random_batch(self, sizes: dict, shape: tuple, generator) -> tuple[Any, Any]:
        """A batch of this shape for trials, (inputs, labels); `generator` is `np.random.Generator`."""
        raise NotImplementedError

    def loss(self) -> keras.losses.Loss:
        """By default: of tokens."""
        return losses.SmoothedCrossEntropy(label_smoothing=self.config.optimizer.label_smoothing)

    def metrics(self) -> list[keras.metrics.Metric]:
        """By default: of tokens."""
        return [metrics.Perplexity(), metrics.TokenAccuracy()]

    def quality(self, model) -> keras.callbacks.Callback | None:
        """What measures the validation set in words, or None."""
        return None

    def measure(self, model, split: str, search=None) -> list[Measured]:
        """How good the model is on a split: by default, what its loss and metrics say.

        Args:
            model: a compiled model.
            split: "train", "validation" or "test".
            search: for tasks that decode: `decoding.Search`.
        """
        batches = self.batches(split)
        logs = model.evaluate(batches.dataset(), return_dict=True, verbose=0)
        return [
            Measured(name.replace("_", " "), value, f"({batches.summary()})", f"split:{split}", decimals=4)
            for name, value in logs.items()
        ]

    def summary(self) -> str:
        """The sizes in words, for the start of a training."""
        raise NotImplementedError


def rounded_up(rows: int, multiple: int) -> int:
    """The next multiple."""
    return -(-rows // multiple) * multiple

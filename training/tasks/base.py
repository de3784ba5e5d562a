"""Base class of tasks: what a family of models promises to the training and to the commands."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from training.run_config import RunConfig

if TYPE_CHECKING:
    import keras

    from keras_transformer.quality import Measured


class Task:
    """One kind of training: what it is told, its data, tokenizers, model and measures, and how it is used.

    Made from a configuration alone; `load` reads the data, and `train_tokenizers` or `load_tokenizers` comes
    before anything that needs ids. A trial in another process has only the `sizes`.

    The module of a task imports neither Keras nor TensorFlow at its top: it says what a run can be told, and
    `--help` answers at once.

    Args:
        config: the run's.

    Attributes:
        config_class: what a run can be told.
        models: {kind: the class of the sizes of such a model}.
        command: that uses the model.
        about: what that command does, its description.
        vocabularies: {name of a layer: name of a tokenizer}, layers with one row of weights for each id.
        decodes: whether a search makes the model's answers.
        files_option: of the commands that measure a run: how files are given in place of its data.
        examples: {split: what was read of it}.
        tokenizers: {name: tokenizer}, under the names of their folders in a run folder; empty before they
            are made.
    """

    config_class: ClassVar[type[RunConfig]]
    models: ClassVar[dict[str, type]]
    command: ClassVar[str]
    about: ClassVar[str]
    vocabularies: ClassVar[dict[str, str]] = {}
    decodes: ClassVar[bool] = False
    files_option: ClassVar[str] = "--files FILE ..."

    def __init__(self, config: RunConfig):
        self.config = config
        self.examples = {}
        self.tokenizers = {}

    # Data

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
        from keras_transformer import tokenizers

        folders = (folder / "tokenizer").glob("*")
        self.tokenizers = {path.name: tokenizers.load(path) for path in folders}

    @property
    def facts(self) -> dict:
        """What a pipeline must know beside the model: "max_length", "image_shape", ...; for JSON."""
        raise NotImplementedError

    def load_facts(self, folder: Path) -> dict:
        """Takes what a run folder knows of its training data, in place of that data; returns it."""
        return {}

    def keep_classes(self, folder: Path) -> None:
        """Takes the classes of a run folder, and their order, in place of those of the data among them."""

    def batches(self, split: str, row_multiple: int = 1) -> Any:
        """The batches of a split, whose rows are a multiple of `row_multiple`; see `pipeline.Batches`."""
        raise NotImplementedError

    def largest_shape(self, row_multiple: int = 1) -> tuple[int, ...]:
        """The largest shape that a training batch can have; rows first, a multiple of `row_multiple`."""
        raise NotImplementedError

    def random_batch(self, sizes: dict, shape: tuple, generator) -> tuple[Any, Any]:
        """A batch of this shape for trials, (inputs, labels); `generator` is `np.random.Generator`."""
        raise NotImplementedError

    @classmethod
    def other_files(cls, config: RunConfig, files, facts: dict) -> RunConfig:
        """The configuration whose test split is these files, in place of the run's own data.

        Args:
            config: the run's.
            files: as in data.test.
            facts: the run's `facts`.
        """
        data = replace(config.data, data_dir=None, train=[], validation=[], test=list(files))
        return replace(config, data=data)

    # Model

    @property
    def sizes(self) -> dict:
        """What `make_model` and `random_batch` need to know of data and tokenizers; for JSON."""
        raise NotImplementedError

    def likely_sizes(self) -> dict:
        """The largest `sizes` that data and tokenizers may give; known before them."""
        raise NotImplementedError

    def make_model(self, sizes: dict) -> keras.Model:
        """The built model. Errors about its sizes are its own."""
        raise NotImplementedError

    def model_options(self, *without: Any) -> dict:
        """The arguments of the model's constructor that the configuration has; `without` names others."""
        given = vars(self.config.model).items()
        return {name: value for name, value in given if name not in ("kind", *without)}

    def loss(self) -> keras.losses.Loss:
        """By default: of tokens."""
        from keras_transformer import losses

        return losses.SmoothedCrossEntropy(label_smoothing=self.config.optimizer.label_smoothing)

    def metrics(self) -> list[keras.metrics.Metric]:
        """By default: of tokens."""
        from keras_transformer import metrics

        return [metrics.Perplexity(), metrics.TokenAccuracy()]

    def summary(self) -> str:
        """The sizes in words, for the start of a training."""
        raise NotImplementedError

    # Measures

    def quality(self, model) -> keras.callbacks.Callback | None:
        """What measures the validation set in words, or None."""
        return None

    def measure(self, model, split: str, search=None) -> list[Measured]:
        """How good the model is on a split: by default, what its loss and metrics say.

        Args:
            model: a compiled model, with this task's loss and metrics.
            split: "train", "validation" or "test".
            search: for tasks that decode: `decoding.Search`.
        """
        from keras_transformer.quality import Measured

        batches = self.batches(split)
        logs = model.evaluate(batches.dataset(), return_dict=True, verbose=0)
        return [
            Measured(name.replace("_", " "), value, f"({batches.summary()})", f"split:{split}", decimals=4)
            for name, value in logs.items()
        ]

    # Use

    @classmethod
    def add_options(cls, parser) -> None:
        """Adds the options of the command that uses a run, beside the run and its checkpoint."""
        raise NotImplementedError

    @classmethod
    def predict(cls, options, config: RunConfig) -> None:
        """Uses a run on what the options name, and writes lines.

        Args:
            options: parsed, with `run` and `checkpoint`.
            config: the run's.
        """
        raise NotImplementedError


def rounded_up(rows: int, multiple: int) -> int:
    """The next multiple."""
    return -(-rows // multiple) * multiple


def likely_vocabulary(config) -> int:
    """How many ids a tokenizer has at most; of a `TokenizerConfig`."""
    return 260 if config.kind in ("code_points", "bytes") else config.vocabulary_size

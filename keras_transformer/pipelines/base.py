"""Base classes of the pipelines: a model with all that stands between it and texts or images."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Self

import keras

from keras_transformer import decoding, tokenizers
from keras_transformer.installation import needs
from keras_transformer.pipelines import presets
from keras_transformer.pipelines.compiled_search import CompiledSearch
from keras_transformer.pipelines.guards import Limits
from keras_transformer.pipelines.shared_decoding import SharedDecoding
from keras_transformer.pipelines.signatures import Served
from keras_transformer.pipelines.text_graphs import detokenized, distinct
from keras_transformer.saving.checkpoints import checkpoint_path
from keras_transformer.saving.model_files import load_model
from keras_transformer.saving.run_files import check_parts
from keras_transformer.tokenizers import Tokenizer

with needs("text"):
    import tensorflow as tf


class Pipeline(tf.Module):
    """A model with its tokenizers and its search, as functions that run in a TensorFlow graph.

    Subclasses give `run_arguments`, `__repr__`, `__call__` for tensors, functions for lists, and `served`:
    what can be asked of them when they are exported.

    Args:
        model: of the library.
        name: of the module.

    Attributes:
        decodes: whether a search makes the answers; it is then an attribute, `search`.
        translates: whether it takes `others` for an ensemble, and its export aligns: `served` takes a layer
            and a head.
        model_name: what a run folder is of, for messages.
        tokenizer_name: the folder in tokenizer/ that holds its tokenizer; None if it has none of its own.
        run_folder: where it was loaded from, or None.
        shared: its decoding inside a graph; None if it does not decode.
        compiled: what XLA compiles of its search in an export; None for a plain graph.
    """

    model_name: ClassVar[str]
    tokenizer_name: ClassVar[str | None] = None
    decodes: ClassVar[bool] = False
    translates: ClassVar[bool] = False

    def __init__(self, model: keras.Model, name: str):
        super().__init__(name=name)
        self.model = model
        self.run_folder: str | None = None
        self.shared = SharedDecoding(model) if self.decodes else None
        self.compiled: CompiledSearch | None = None
        # A tf.Module does not see the variables inside Keras's; without them an export has none.
        self.tf_variables = [variable.value for variable in model.variables]

    @property
    def most_ids(self) -> int | None:
        """Most ids of a text that its search reads; None if it reads no text."""
        return None

    def served(self, limits: Limits) -> Served:
        """What an export answers."""
        raise NotImplementedError

    @classmethod
    def from_run(cls, run_folder: str | Path, checkpoint: str | None = None) -> Self:
        """Loads what a training, or an import, made.

        Args:
            run_folder: a folder with model.keras, pipeline.json, and the tokenizer.
            checkpoint: which of its models, see `checkpoint_path`; model.keras if None.

        Raises:
            ValueError: the folder is no run folder of such a model, or there is no such checkpoint.
        """
        return cls._from_run(run_folder, checkpoint, cls.run_arguments)

    @classmethod
    def from_preset(cls, name: str, **options: Any) -> Self:
        """Loads one that was trained already, see `presets.names`; nothing is downloaded.

        Args:
            name: of the preset.
            **options: further arguments of `from_run`, such as `search`.

        Raises:
            ModuleNotFoundError: the package of the presets is not installed.
            ValueError: there is no such preset, it is another kind of model, or a file of it was changed.
        """
        return cls.from_run(presets.folder(name), **options)

    @classmethod
    def run_arguments(cls, folder: Path) -> dict[str, Any]:
        """The constructor's arguments that a run's small files hold: classes, lengths, ...

        Raises:
            ValueError: they do not.
        """
        raise NotImplementedError

    @classmethod
    def _from_run(cls, run_folder, checkpoint, run_arguments):
        folder = Path(run_folder)
        part = f"tokenizer/{cls.tokenizer_name}"
        if cls.tokenizer_name is not None:
            check_parts(folder, f"The run folder of {cls.model_name} holds {part}", [part])
        given = run_arguments(folder)  # before a model is read: it costs nothing to learn that one is wrong
        if cls.tokenizer_name is not None:
            given["tokenizer"] = tokenizers.load(folder / part)
        return cls(load_model(checkpoint_path(folder, checkpoint)), **given).of_run(run_folder)

    def _n_best_ids(self, inputs, search, prefix_ids=None, seed=None):
        """Ids (B, N, L) and scores (B, N): `decoding.generate_n_best`, of its own search the compiled one."""
        if self.compiled is not None and search is self.search and prefix_ids is None:
            return self.compiled(self.model, inputs, search, seed)
        if tf.inside_function() and prefix_ids is None:
            return self.shared.n_best(inputs, search, seed)
        return decoding.generate_n_best(self.model, inputs, search, prefix_ids, seed)

    def of_run(self, run_folder: str | Path) -> Self:
        """This, with the name of the folder that it was loaded from."""
        self.run_folder = str(run_folder)
        return self

    def described(self, vocabulary: str) -> str:
        """The kind of the model, its parameters, the vocabulary, the search and the run, in a line.

        Args:
            vocabulary: words for it.
        """
        models = getattr(self.model, "models", [self.model])
        kinds = ", ".join(type(model).__name__ for model in models)
        parts = [f"{kinds}, {sum(model.count_params() for model in models):,} parameters", vocabulary]
        if self.decodes:
            parts.append(str(self.search))
        parts.append(f"run_folder={self.run_folder!r}" if self.run_folder else "of no run folder")
        return f"{type(self).__name__}({'; '.join(parts)})"


class SearchingPipeline(Pipeline):
    """Base of what writes texts with one tokenizer and a search: `TextGenerator`, `Captioner`.

    Args:
        model: of the library, with a `vocabulary_size`.
        name: of the module.
        tokenizer: see `keras_transformer.tokenizers`.
        search: a `decoding.Search`.

    Raises:
        ValueError: the tokenizer has another number of ids than the model.
    """

    decodes = True
    default_search: ClassVar[type[decoding.Search]] = decoding.BeamSearch

    def __init__(self, model: keras.Model, name: str, tokenizer: Tokenizer, search: decoding.Search):
        super().__init__(model, name)
        check_vocabulary(tokenizer, model.vocabulary_size)
        self.tokenizer = tokenizer
        self.search = search

    @classmethod
    def from_run(  # type: ignore[override]  # the search comes second
        cls,
        run_folder: str | Path,
        search: decoding.Search | Callable[[int], decoding.Search] | None = None,
        checkpoint: str | None = None,
    ) -> Self:
        """See `Pipeline`.

        Args:
            run_folder: see `Pipeline`.
            search: a search, or a function of `max_length` that makes one, which is then the longest that
                the training had; that of the class if None.
            checkpoint: see `Pipeline`.

        Raises:
            ValueError: see `Pipeline`; or the search is longer than the model can be asked for.
        """

        def arguments(folder):
            given = cls.run_arguments(folder)
            longest, chosen = given.pop("max_length"), cls.default_search if search is None else search
            given["search"] = chosen if isinstance(chosen, decoding.Search) else chosen(longest)
            cls._check_search(given["search"], longest)
            return given

        return cls._from_run(run_folder, checkpoint, arguments)

    @classmethod
    def _check_search(cls, search, longest):
        """Raises ValueError if a search is longer than is possible."""

    def __call__(self, inputs: tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
        """Inputs, strings (B,) -> the best text of each, strings (B,); see `n_best`."""
        return self.n_best(inputs, seed)[0][:, 0]

    def n_best(self, inputs: tf.Tensor, seed: tf.Tensor | None = None) -> tuple[tf.Tensor, tf.Tensor]:
        """Inputs, strings (B,) -> texts, strings (B, N), and log-probabilities, float32 (B, N).

        The texts of a beam search differ; where there are fewer than N the rest is empty, with the score
        -inf. `seed` is of a sampling, int32, a scalar or (B,); that of the search if None.
        """
        return self._decoded(self.model_inputs(inputs), seed)

    def _decoded(self, inputs, seed=None):
        """As `n_best`, of what the model is given."""

        def decode(search, inputs):
            ids, scores = self._n_best_ids(inputs, search, seed=seed)
            return {"texts": detokenized(self.tokenizer, ids), "scores": scores}

        found = distinct(decode, self.search, inputs)
        return found["texts"], found["scores"]

    def model_inputs(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """Inputs, strings (B,) -> what the model is given."""
        raise NotImplementedError


def check_vocabulary(tokenizer: Tokenizer, expected: int) -> None:
    """Raises ValueError unless a tokenizer has the model's number of ids."""
    if tokenizer.vocabulary_size != expected:
        raise ValueError(
            f"The tokenizer must have the model's {expected} ids. "
            f"Received: a tokenizer with {tokenizer.vocabulary_size}."
        )

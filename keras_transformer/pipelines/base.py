"""What every pipeline is: a model with all that stands between it and texts or images."""

from pathlib import Path
from typing import ClassVar

import keras

from keras_transformer.installation import needs
from keras_transformer.pipelines.guards import Limits
from keras_transformer.pipelines.signatures import Served
from keras_transformer.tokenizers import Tokenizer

with needs("text"):
    import tensorflow as tf


class Pipeline(tf.Module):
    """A model with its tokenizers and its search, as functions that run in a TensorFlow graph.

    Subclasses give `from_run`, `__repr__`, `__call__` for tensors, functions for lists, and `served`: what
    can be asked of them when they are exported.

    Args:
        model: of the library.
        name: of the module.

    Attributes:
        decodes: whether a search makes the answers; it is then an attribute, `search`.
        translates: whether it takes `others` for an ensemble, and its export aligns: `served` takes a layer
            and a head.
        run_folder: where it was loaded from, or None.
    """

    decodes: ClassVar[bool] = False
    translates: ClassVar[bool] = False

    def __init__(self, model: keras.Model, name: str):
        super().__init__(name=name)
        self.model = model
        self.run_folder: str | None = None
        # A tf.Module does not see the variables inside Keras's; without them an export has none.
        self.tf_variables = [variable.value for variable in model.variables]

    def served(self, limits: Limits) -> Served:
        """What an export answers."""
        raise NotImplementedError

    def of_run(self, run_folder: str | Path) -> "Pipeline":
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


def check_vocabulary(tokenizer: Tokenizer, expected: int) -> None:
    """Raises ValueError unless a tokenizer has the model's number of ids."""
    if tokenizer.vocabulary_size != expected:
        raise ValueError(
            f"The tokenizer must have the model's {expected} ids. "
            f"Received: a tokenizer with {tokenizer.vocabulary_size}."
        )

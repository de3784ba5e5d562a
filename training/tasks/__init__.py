"""The families of models, a room for each: what it is told, its data, model, measures and use."""

import importlib

from training.run_config import RunConfig
from training.tasks.base import Task

# `model.kind` -> the module here whose TASK trains such a model.
KINDS = {
    "transformer": "translation",
    "rnn_seq2seq": "translation",
    "conv_seq2seq": "translation",
    "causal_lm": "language_model",
    "masked_lm": "masked_language_model",
    "image_captioner": "captioning",
    "attention_cnn": "image_classification",
    "vit": "image_classification",
    "text_classifier": "text_classification",
    "rnn_classifier": "text_classification",
    "tagger": "tagging",
}
# Those that are imported, see `training.import_weights`: they have their use, and no training.
IMPORTED = {"text_embedder": "text_embedding"}


def of(kind: str) -> type[Task]:
    """The task of a kind of model.

    Raises:
        ValueError: there is no such kind.
    """
    modules = KINDS | IMPORTED
    if kind not in modules:
        raise ValueError(f"`model.kind` must be one of {', '.join(KINDS)}. Received: model.kind={kind!r}.")
    return importlib.import_module(f"{__name__}.{modules[kind]}").TASK


def make(config: RunConfig) -> Task:
    """The task of a configuration, before its data is read."""
    return of(config.model.kind)(config)


__all__ = ["KINDS", "Task", "make", "of"]

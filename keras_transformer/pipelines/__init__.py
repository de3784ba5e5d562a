"""Text in, text out: models with their tokenizers and their search; and what their exports answer.

    translator = pipelines.load("runs/dates")
    translator.translate("3 février 1987")

or, trained already (`presets.names()`), `pipelines.from_preset("dates")`.

Each is a class in a module of its own, `keras_transformer.pipelines.translator.Translator`, ... They need
TensorFlow, whose graphs they can be exported as.
"""

import importlib
from pathlib import Path
from typing import Any

from keras_transformer.pipelines import presets
from keras_transformer.saving import run_files

# Kind of model, as a run folder names it -> module here, and class in it.
PIPELINES = {
    "transformer": ("translator", "Translator"),
    "rnn_seq2seq": ("translator", "Translator"),
    "conv_seq2seq": ("translator", "Translator"),
    "causal_lm": ("text_generator", "TextGenerator"),
    "masked_lm": ("mask_filler", "MaskFiller"),
    "image_captioner": ("captioner", "Captioner"),
    "attention_cnn": ("image_classifier", "ImageClassifier"),
    "vit": ("image_classifier", "ImageClassifier"),
    "text_classifier": ("text_classifier", "TextClassifier"),
    "rnn_classifier": ("text_classifier", "TextClassifier"),
    "tagger": ("tagger", "Tagger"),
    "text_embedder": ("text_embedder", "TextEmbedder"),
}


def of(kind: str) -> Any:
    """The class of the pipelines with models of a kind.

    Raises:
        ValueError: there is none.
    """
    if kind not in PIPELINES:
        raise ValueError(f"A kind of model must be one of {', '.join(PIPELINES)}. Received: {kind!r}.")
    module, name = PIPELINES[kind]
    return getattr(importlib.import_module(f"{__name__}.{module}"), name)


def load(run_folder: str | Path, search: Any = None, checkpoint: str | None = None) -> Any:
    """What a training made, ready for use: a `Translator`, a `TextGenerator`, ..., by what the run is of.

    Args:
        run_folder: what `keras-transformer train` made.
        search: a `decoding.Search`, or a function of `max_length` that makes one; that of the class if None.
        checkpoint: "best", "last" or a file in checkpoints/; model.keras if None.

    Raises:
        ValueError: it is no run folder, there is no such checkpoint, or a search is given to what decodes
            nothing.
    """
    pipeline = of(run_files.kind(run_folder))
    if search is not None and not pipeline.decodes:
        raise ValueError(f"`search` is for what decodes. Received: {search}, for {run_folder}.")
    given = {} if search is None else {"search": search}
    return pipeline.from_run(run_folder, checkpoint=checkpoint, **given)


def from_preset(name: str, search: Any = None) -> Any:
    """One that was trained already: a `Translator`, a `TextGenerator`, ..., by what the preset is.

    Args:
        name: one of `presets.names()`. Nothing is downloaded.
        search: see `load`.

    Raises:
        ModuleNotFoundError: the package of the presets is not installed.
        ValueError: there is no such preset, or a file of it was changed.
    """
    return load(presets.folder(name), search)

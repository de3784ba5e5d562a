"""Which configuration belongs to which kind of model, and how it is read.

`model.kind` decides: a run with `kind: transformer` has the fields of a translator and of that model, and no
others, so that help and errors speak of nothing else.
"""

import argparse
import functools
from dataclasses import field, make_dataclass

import jsonargparse

import command_line
from training.config import files
from training.config.images import CaptioningConfig, ImageClassificationConfig
from training.config.models import (
    AttentionCNNConfig,
    CausalLMConfig,
    ConvSeq2SeqConfig,
    ImageCaptionerConfig,
    MaskedLMConfig,
    RNNSeq2SeqConfig,
    TransformerConfig,
)
from training.config.parts import RunConfig
from training.config.text import LanguageModelingConfig, MaskedLanguageModelingConfig
from training.config.translation import TranslationConfig

KINDS = {
    "transformer": (TranslationConfig, TransformerConfig),
    "rnn_seq2seq": (TranslationConfig, RNNSeq2SeqConfig),
    "conv_seq2seq": (TranslationConfig, ConvSeq2SeqConfig),
    "causal_lm": (LanguageModelingConfig, CausalLMConfig),
    "masked_lm": (MaskedLanguageModelingConfig, MaskedLMConfig),
    "image_captioner": (CaptioningConfig, ImageCaptionerConfig),
    "attention_cnn": (ImageClassificationConfig, AttentionCNNConfig),
}
DEFAULT_KIND = "transformer"


@functools.cache
def config_class(kind: str) -> type[RunConfig]:
    """The class of a kind's configurations: that of its task, whose `model` is this kind's.

    Raises:
        ValueError: there is no such kind.
    """
    if kind not in KINDS:
        raise ValueError(f"`model.kind` must be one of {', '.join(KINDS)}. Received: model.kind={kind!r}.")
    task, model = KINDS[kind]
    narrowed = [("model", model, field(default_factory=model))]
    namespace = {"__doc__": task.__doc__, "__module__": task.__module__}
    return make_dataclass(task.__name__, narrowed, bases=(task,), namespace=namespace, frozen=True)


def kind_of(arguments) -> str:
    """The `model.kind` that a command line asks for, in its files or as an option; the last one counts.

    Args:
        arguments: as for a parser.
    """
    kinds = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    kinds.add_argument("--config", nargs="?", type=_kind_in_file, action="append", dest="kinds", default=[])
    # Without a value: the real parser says so in one line.
    kinds.add_argument("--model.kind", nargs="?", action="append", dest="kinds")
    given = [kind for kind in kinds.parse_known_args(arguments)[0].kinds if kind is not None]
    return given[-1] if given else DEFAULT_KIND


def read(source) -> RunConfig:
    """A configuration.

    Args:
        source: a YAML file, the name of one that comes with the programs ("dates"), or such a mapping as
            `dataclasses.asdict` makes.

    Raises:
        ValueError: there is no such file, or something in it is no field, or not of the field's type.
    """
    return from_mapping(source if isinstance(source, dict) else files.read(source, files.CONFIGS))


def from_mapping(mapping: dict) -> RunConfig:
    """The configuration that `dataclasses.asdict` made a mapping of.

    Raises:
        ValueError: something in it is no field, or not of the field's type.
    """
    kind = config_class(_kind_in(mapping) or DEFAULT_KIND)
    parser = command_line.parser("training", "", exit_on_error=False)
    parser.add_class_arguments(kind, as_group=False)
    try:
        parsed = parser.parse_object(mapping)
    except jsonargparse.ArgumentError as error:
        raise ValueError(
            f"A configuration has fields of its kind. Received: {parser.explained(error)}"
        ) from error
    return command_line.instantiate(parser, parsed, kind)


def _kind_in(mapping) -> str | None:
    model = mapping.get("model") if isinstance(mapping, dict) else None
    return model.get("kind") if isinstance(model, dict) else None


def _kind_in_file(path) -> str | None:
    """What a file asks for; None of an unreadable one, which the parser refuses."""
    try:
        return _kind_in(files.read(path, files.CONFIGS))
    except (OSError, ValueError):
        return None

"""What stands on BERT's encoder in a folder: which kind of run it becomes, its configuration, its weights."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from training import tasks
from training.imports.bert_weights import Target, dense, norm, rows
from training.imports.imported import UNREACHABLE
from training.imports.source_folder import SourceFolder
from training.run_config import TokenizerConfig

EMBEDDER = "text_embedder"
# As the library transformers calls an encoder with its head -> kind of the run's model.
ARCHITECTURES = {
    "BertModel": EMBEDDER,
    "BertForMaskedLM": "masked_lm",
    "BertForPreTraining": "masked_lm",
    "BertForSequenceClassification": "text_classifier",
    "BertForTokenClassification": "tagger",
}
MAX_CLASSES = 2**16


def kind(source: SourceFolder, tensors) -> str:
    """The kind of the run's model: by `architectures` of config.json, or where there are none by the tensors.

    Raises:
        ValueError: the architecture is another.
    """
    names = source.config.get("architectures") or []
    if names:
        if names not in [[name] for name in ARCHITECTURES]:
            raise ValueError(
                f"architectures of config.json must be one of {', '.join(ARCHITECTURES)}. "
                f"Received: {names!r:.80}."
            )
        return ARCHITECTURES[names[0]]
    found = {name.removeprefix("bert.") for name in tensors}
    if "cls.predictions.bias" in found:
        return "masked_lm"
    if "classifier.weight" in found:
        return "text_classifier" if "pooler.dense.weight" in found else "tagger"
    return EMBEDDER


def task(kind: str, source: SourceFolder, sizes: dict, max_length: int, tokenizer) -> Any:
    """The `Task` of a folder with a head.

    Args:
        kind: of its model, see above.
        source: the folder.
        sizes: of the encoder, fields of a `TextEncoderConfig`.
        max_length: tokens that are read of a text.
        tokenizer: of the texts.

    Raises:
        ValueError: classes or vocabulary are not what such a head needs, or it is of another sort.
    """
    own = tasks.of(kind)
    plain, length, head = own.config_class(), "max_length", {}
    if kind == "masked_lm":
        source.refuse_unless("tie_word_embeddings", True)
        if tokenizer.mask_id is None:
            raise ValueError(
                "The vocabulary of a masked language model must hold its mask, [MASK]. "
                f"Received: {tokenizer.vocabulary_size} pieces without."
            )
        length, head = "window", {"head_activation": sizes["activation"]}
    config = replace(
        plain,
        data=replace(plain.data, **{length: max_length}),
        tokenizer=TokenizerConfig(
            kind="imported", vocabulary_size=tokenizer.vocabulary_size, lowercase=tokenizer.lowercase
        ),
        model=own.models[kind](**sizes, **head, embedding_scale=1.0),
    )
    made = own(config)
    made.tokenizers = {"text": tokenizer}
    if kind != "masked_lm":
        # Several answers to one text, or a number, are no class.
        source.refuse_unless("problem_type", None, "single_label_classification")
        made.classes = _classes(source)
    return made


def _classes(source):
    """The names of the classes in the order of the logits."""
    found = source.config.get("id2label")
    if found is None:
        # Names that the library makes itself it does not write.
        found = source.value("num_labels", int, 2)
        if found <= MAX_CLASSES:
            found = {str(place): f"LABEL_{place}" for place in range(found)}
    names = list(found.values()) if isinstance(found, dict) else []
    places = {str(place) for place in range(len(names))}
    if not names or set(found) != places or not all(isinstance(name, str) for name in names):
        raise ValueError(
            "id2label of config.json must give each class a name, by its number from 0 on. "
            f"Received: {found!r:.80}."
        )
    if len(set(names)) < max(len(names), 2):
        raise ValueError(
            "id2label of config.json must name at least two classes, each by a name of its own. "
            f"Received: {found!r:.80}."
        )
    return [found[str(place)] for place in range(len(names))]


def targets(kind: str, model, vocabulary_size: int) -> Iterator[Target]:
    """The targets of what stands on the encoder.

    Args:
        kind: of the model.
        model: built.
        vocabulary_size: the folder's number of ids.
    """
    width = model.encoder.hidden_dim
    if kind == "masked_lm":
        yield from dense("cls.predictions.transform.dense", model.dense, width)
        yield from norm("cls.predictions.transform.LayerNorm", model.norm)
        yield rows("cls.predictions.bias", model.bias, vocabulary_size)
    elif kind == "text_classifier":
        yield from dense("pooler.dense", model.pooler, width)
        yield from dense("classifier", model.classifier, width)
    else:
        # The first class is for pieces without a tag; the folder's has none of them.
        layer, number = model.classifier, model.num_classes - 1
        yield "classifier.weight", layer.kernel, (number, width), _with_unnamed
        yield "classifier.bias", layer.bias, (number,), lambda value: np.append(UNREACHABLE, value)


def _with_unnamed(value):
    """(classes, width) -> (width, 1 + classes), the first of which is zero."""
    return np.pad(value, ((1, 0), (0, 0))).T

"""The pairs of a translator's training and the tokenizers that are made of them."""

import functools
import math
from collections.abc import Sequence
from typing import Any

from training import datasets, measured_data
from training.tasks.translation.config import CorpusConfig, DataConfig, TokenizersConfig


def load_pairs(config: DataConfig, split: str) -> Any:
    """The pairs of a split, tf.data.Dataset of (source, target) strings; None if it was not configured.

    The training split has the pairs of all corpora, each once, one corpus after the other; the others have
    those of the main one.
    """
    if split == "train":
        return functools.reduce(lambda pairs, more: pairs.concatenate(more), load(config))
    files = {"validation": config.validation, "test": config.test}.get(split, ())
    if config.name == "parallel_text" and not files:
        return None
    return _load_one(config, split, files)


def load(config: DataConfig) -> list:
    """The training pairs of the main corpus and of each further one, as `load_pairs`.

    Raises:
        ValueError: a weight is not above 0, or see `datasets.load`.
    """
    corpora = [config, *config.also]
    for corpus in corpora:
        if not 0 < corpus.weight < math.inf:
            raise ValueError(f"`weight` must be above 0. Received: weight={corpus.weight} of {corpus.name}.")
    return [_load_one(corpus, "train", corpus.train) for corpus in corpora]


def _load_one(config: CorpusConfig, split: str, files):
    pairs = datasets.load(
        config.name,
        split,
        source=config.source_language,
        target=config.target_language,
        data_dir=config.data_dir,
        files=files,
        columns=config.columns,
        num_examples=config.num_examples,
    )
    if not config.tag:
        return pairs
    import tensorflow as tf

    return pairs.map(lambda source, target: (tf.strings.join([f"{config.tag} ", source]), target))


def check_tags(config: DataConfig, tokenizer) -> None:
    """Raises ValueError unless each corpus's tag is one piece of the source's vocabulary.

    A model cannot tell the tag from a word of its sources otherwise.
    """
    from keras_transformer.tokenizers.sampling import SPACE

    for name, corpus in (("data", config), *((f"data.also[{i}]", x) for i, x in enumerate(config.also))):
        if not corpus.tag:
            continue
        pieces = [
            piece.decode() for piece in tokenizer.id_to_piece(tokenizer.tokenize([corpus.tag])).to_list()[0]
        ]
        if [piece for piece in pieces if piece != SPACE] not in ([corpus.tag], [f"{SPACE}{corpus.tag}"]):
            raise ValueError(
                f"`{name}.tag` must be a word that is one piece of the source's vocabulary. "
                f"Received: {corpus.tag!r}, which is {' '.join(pieces)}."
            )


def make_tokenizers(config: TokenizersConfig, pairs, tags: Sequence[str] = ()) -> Any:
    """Trains the tokenizers on the training pairs.

    Args:
        config: see `TokenizersConfig`.
        pairs: tf.data.Dataset of (source, target) strings.
        tags: words of the sources that are one piece of a sub-word vocabulary each.

    Returns:
        Source and target tokenizer; the same object if the vocabulary is joint.
    """
    from training.tasks.tokenizing import train_tokenizer

    batches = list(pairs.batch(1024).as_numpy_iterator())
    sources = [text.decode("utf-8") for source, _ in batches for text in source]
    targets = [text.decode("utf-8") for _, target in batches for text in target]
    if config.target is None:
        joint = train_tokenizer(config.source, sources + targets, "tokenizer.source", tags)
        return joint, joint
    return (
        train_tokenizer(config.source, sources, "tokenizer.source", tags),
        train_tokenizer(config.target, targets, "tokenizer.target"),
    )


def load_split(config, split, data_dir=None, files=()) -> list[list[bytes]]:
    """The sources and the targets of a run's data, two lists of bytes.

    Args:
        config: the run's `TranslationConfig`.
        split: "train", "validation" or "test".
        data_dir: folder with the data; the one that was trained on if None.
        files: in place of the split.

    Raises:
        ValueError: the run's data has no such split.
        FileNotFoundError: it is not there; says how another place is named.
    """
    config = measured_data.choose(config, data_dir, files)
    with measured_data.explain_missing(config, split, is_own=not files) as is_missing:
        pairs = load_pairs(config.data, "test" if files else split)
        if pairs is None:
            is_missing()
        return [list(side) for side in zip(*pairs.as_numpy_iterator(), strict=True)]

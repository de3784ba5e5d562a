"""Texts and ids before and after a tokenizer's own work."""

import hashlib
import json
import re
import weakref
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_transformer.special_ids import END_ID, PAD_ID, START_ID, UNKNOWN_ID
from keras_transformer.types import StrPath, Tensor

SPECIAL_PIECES = ("<pad>", "<unk>", "<s>", "</s>")
REPLACEMENT_CHARACTER = "\N{REPLACEMENT CHARACTER}"
CONFIG_FILE = "tokenizer.json"
# How SentencePiece calls the piece of a byte.
BYTE = re.compile("<0x[0-9A-F]{2}>")
# The trainer drops a sentence above its limit (4192 bytes by default) without a word: we raise the
# limit, and longer sentences are trained on in parts. A character has at most 4 bytes.
MAX_SENTENCE_CHARACTERS = 100_000


def valid_text(text: Tensor) -> tf.Tensor:
    """Strings (B,), each invalid UTF-8 sequence replaced by U+FFFD."""
    text = tf.convert_to_tensor(text, tf.string)
    if text.shape.rank not in (None, 1):
        raise ValueError(f"`text` must be a batch of strings, (B,). Received: shape {text.shape}.")
    return tf.strings.unicode_transcode(text, "UTF-8", "UTF-8", errors="replace")


def known(ids: Tensor, vocabulary_size: int) -> tf.Tensor | tf.RaggedTensor:
    """Ids as int32; one outside the vocabulary raises in eager mode, is unknown in a graph."""
    if isinstance(ids, tf.RaggedTensor):
        return ids.with_flat_values(known(ids.flat_values, vocabulary_size))
    ids = tf.cast(tf.convert_to_tensor(ids), tf.int32)
    is_known = (ids >= 0) & (ids < vocabulary_size)
    if tf.executing_eagerly() and not tf.reduce_all(is_known):
        wrong = int(tf.boolean_mask(ids, ~is_known)[0])
        raise ValueError(f"`ids` must be from 0 to {vocabulary_size - 1}. Received: {wrong}.")
    return tf.where(is_known, ids, UNKNOWN_ID)


def content(ids: tf.Tensor | tf.RaggedTensor) -> tf.RaggedTensor:
    """Ids (B, T) up to the first end id, without pad, start and end: (B, None)."""
    if isinstance(ids, tf.RaggedTensor):
        ids = ids.to_tensor(PAD_ID)
    if ids.shape.rank not in (None, 2):
        raise ValueError(f"`ids` must be a batch of rows, (B, T). Received: shape {ids.shape}.")
    has_ended = tf.cumsum(tf.cast(ids == END_ID, tf.int32), axis=1) > 0
    return tf.ragged.boolean_mask(ids, ~has_ended & (ids != PAD_ID) & (ids != START_ID))


def byte_values(pieces: Sequence[str]) -> np.ndarray:
    """The byte that each piece `<0xE3>` is, int32 (V,), and -1 for all others, which are whole characters."""
    return np.array([int(x[3:5], 16) if BYTE.fullmatch(x) else -1 for x in pieces], np.int32)


def whole_characters(ids: tf.RaggedTensor, values: np.ndarray) -> tf.RaggedTensor:
    """Ids (B, None) without the bytes at the end of a row that begin a character of UTF-8 and do not end it.

    A text that is cut at a number of ids so ends with a whole character.

    Args:
        ids: int32.
        values: `byte_values` of all pieces, in the order of their ids.
    """
    if values.max() < 0:
        return ids
    rows = tf.concat(
        [tf.fill([ids.nrows(), 3], -1), ids.with_flat_values(tf.gather(values, ids.flat_values))], 1
    )
    third, second, last = tf.unstack(rows[:, -3:].to_tensor(shape=[None, 3]), axis=1)
    follows = [(x >= 0x80) & (x < 0xC0) for x in (last, second)]
    # The first byte says how many there are: 2, 3 or 4.
    cut = tf.where(last >= 0xC0, 1, 0)
    cut = tf.where(follows[0] & (second >= 0xE0), 2, cut)
    cut = tf.where(follows[0] & follows[1] & (third >= 0xF0), 3, cut)
    kept = ids.row_lengths() - tf.cast(cut, tf.int64)
    return tf.ragged.boolean_mask(ids, tf.ragged.range(ids.row_lengths()) < kept[:, None])


# Of tokenizers that are in use.
_texts: weakref.WeakValueDictionary[bytes, Any] = weakref.WeakValueDictionary()


def shared_texts(pieces: Iterable[str]) -> tf.Tensor:
    """Pieces as strings (V,), one tensor for equal ones: an export holds it once, whoever reads it."""
    texts = [piece.encode() for piece in pieces]
    digest = hashlib.sha256(b"\0".join(b"%d %b" % (len(text), text) for text in texts)).digest()
    found = _texts.get(digest)
    if found is None:
        with tf.init_scope():
            found = _texts[digest] = tf.constant(texts, tf.string)
    return found


def trainable(sentences: Iterable[str]) -> Iterator[str]:
    """Passes on the sentences that have text, the very long ones in parts; raises if none has."""
    if isinstance(sentences, str | bytes):
        raise ValueError("`sentences` must be several strings. Received: one string.")
    is_empty = True
    for sentence in sentences:
        if not isinstance(sentence, str):
            raise ValueError(f"`sentences` must be strings. Received: {sentence!r}.")
        sentence.encode()  # A lone surrogate raises a ValueError here, not a riddle in the trainer.
        if sentence and not sentence.isspace():
            is_empty = False
            for start in range(0, len(sentence), MAX_SENTENCE_CHARACTERS):
                yield sentence[start : start + MAX_SENTENCE_CHARACTERS]
    if is_empty:
        raise ValueError("`sentences` must hold at least one that is not empty. Received: none.")


def write_config(folder: StrPath, **config: Any) -> None:
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(config, ensure_ascii=False, indent=2)
    (folder / CONFIG_FILE).write_text(text + "\n", encoding="utf-8")

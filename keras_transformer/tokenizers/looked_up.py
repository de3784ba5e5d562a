"""Base of the tokenizers whose pieces have the ids of a vocabulary."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_transformer.special_ids import END_ID, PAD_ID, START_ID, UNKNOWN_ID
from keras_transformer.tokenizers.text import content, known, shared_texts, valid_text, write_config
from keras_transformer.types import StrPath, Tensor


class LookedUpTokenizer(tf.Module):
    """Cuts a text into pieces, in a way of its own, and looks them up.

    Args:
        vocabulary: the pieces in the order of their ids. The first four are padding, unknown, start and end,
            whatever they are called: none of them is read in a text.
        adds_start: whether the ids of a text that has any begin with the start token, for the sources of
            models that were trained so.

    Raises:
        ValueError: a piece is there twice or is no text, or there are fewer than five.
    """

    kind: str  # its name in `tokenizer.json`

    def __init__(self, vocabulary: Sequence[str], adds_start: bool = False):
        super().__init__()
        _check(vocabulary)
        self.adds_start = adds_start
        # NumPy, not a list: tf.Module would wrap a list and track each entry.
        self._pieces = np.array(vocabulary, dtype=object)
        self._texts = shared_texts(self._pieces)
        self._ids = tf.lookup.StaticHashTable(_Ids(self._texts), default_value=UNKNOWN_ID)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.vocabulary_size:,} pieces)"

    @property
    def vocabulary_size(self) -> int:
        """Number of ids, special ids included."""
        return len(self._pieces)

    def tokenize(self, text: Tensor) -> tf.RaggedTensor:
        """Text (B,), strings -> ids (B, None), int32. Invalid UTF-8 is read as U+FFFD."""
        pieces = self._pieces_of(valid_text(text))
        ids = pieces.with_flat_values(self._ids.lookup(pieces.flat_values))
        if not self.adds_start:
            return ids
        has_any = tf.cast(ids.row_lengths() > 0, tf.int64)
        starts = tf.fill([tf.reduce_sum(has_any)], START_ID)
        return tf.concat([tf.RaggedTensor.from_row_lengths(starts, has_any), ids], axis=1)

    def _pieces_of(self, text):
        """Valid text (B,) -> pieces (B, None), strings."""
        raise NotImplementedError

    def detokenize(self, ids: Tensor) -> tf.Tensor:
        """Ids (B, T), dense or ragged -> text (B,), valid UTF-8.

        What follows the first end id is dropped, and so are pad and start.

        Raises:
            ValueError: an id outside the vocabulary, in eager mode; in a graph it reads as unknown.
        """
        return self._text_of(content(known(ids, self.vocabulary_size)))

    def _text_of(self, ids):
        """Ids (B, None) without pad, start and end -> text (B,)."""
        raise NotImplementedError

    def id_to_piece(self, ids: Tensor) -> tf.Tensor:
        """Ids of any shape -> their pieces, strings of the same shape."""
        return tf.gather(self._texts, known(ids, self.vocabulary_size))

    def save(self, folder: StrPath) -> None:
        """Writes `tokenizer.json`, vocabulary included, into `folder`."""
        options: dict[str, Any] = {"adds_start": True} if self.adds_start else {}
        write_config(folder, kind=self.kind, vocabulary=list(self._pieces), **options)


class _Ids(tf.lookup.KeyValueTensorInitializer):
    """Fills a table with pieces and their ids; the first four are read in no text."""

    def __init__(self, texts):
        super().__init__(texts, _ids(texts))
        self._texts = texts

    def initialize(self, table):
        # Computed, so that no export holds them.
        ids = _ids(self._texts)
        return tf.raw_ops.LookupTableImportV2(
            table_handle=table.resource_handle, keys=self._texts, values=ids
        )


def _ids(texts):
    ids = tf.range(texts.shape[0], dtype=tf.int32)
    return tf.where(ids > max(PAD_ID, UNKNOWN_ID, START_ID, END_ID), ids, UNKNOWN_ID)


def _check(vocabulary):
    seen = set()
    for number, piece in enumerate(vocabulary):
        if not isinstance(piece, str) or piece in seen:
            raise ValueError(
                f"`vocabulary` must hold texts, each once. Received: {piece!r:.80} as number {number}."
            )
        seen.add(piece)
    if len(seen) < 5:
        raise ValueError(
            "`vocabulary` must have pieces behind padding, unknown, start and end. "
            f"Received: {len(seen)} pieces."
        )

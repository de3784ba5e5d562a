"""Base of the tokenizers of others' models: SentencePiece's pieces, and a vocabulary that has their ids."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_transformer.special_ids import END_ID, PAD_ID, START_ID, UNKNOWN_ID
from keras_transformer.tokenizers.sentencepiece import MODEL_FILE, opened
from keras_transformer.tokenizers.text import content, known, valid_text, write_config
from keras_transformer.types import StrPath, Tensor

SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
# What Python's `str.strip` takes away.
BLANK_ENDS = r"^[\s\v\x1c-\x1f\x85\p{Z}]+|[\s\v\x1c-\x1f\x85\p{Z}]+$"


class PieceTokenizer(tf.Module):
    """Pieces of a SentencePiece model, with the ids of another vocabulary.

    A text's pieces are looked up as strings: a piece that the SentencePiece model itself does not know may be
    in the vocabulary. One that is not there is unknown. The text is normalised as the model says.

    Args:
        model: bytes of a SentencePiece model file, whose own ids do not count.
        vocabulary: the pieces in the order of their ids. The first four are padding, unknown, start and end,
            whatever they are called.

    Raises:
        ValueError: `model` is no such model, a piece is there twice or is no text, or there are fewer than
            four.
    """

    kind: str  # its name in `tokenizer.json`

    def __init__(self, model: bytes, vocabulary: Sequence[str]):
        super().__init__()
        _check(vocabulary)
        self._model = model
        self._tokenizer = opened(model, tf.string)
        # NumPy, not a list: tf.Module would wrap a list and track each entry.
        self._pieces = np.array(vocabulary, dtype=object)
        first = max(PAD_ID, UNKNOWN_ID, START_ID, END_ID) + 1
        ids = tf.range(first, len(vocabulary), dtype=tf.int32)
        self._ids = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(tf.constant(self._pieces[first:], tf.string), ids),
            default_value=UNKNOWN_ID,
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.vocabulary_size:,} pieces)"

    @property
    def vocabulary_size(self) -> int:
        """Number of ids, special ids included."""
        return len(self._pieces)

    def tokenize(self, text: Tensor) -> tf.RaggedTensor:
        """Text (B,), strings -> ids (B, None), int32. Invalid UTF-8 is read as U+FFFD."""
        pieces = self._pieces_of(valid_text(text))
        return pieces.with_flat_values(self._ids.lookup(pieces.flat_values))

    def _pieces_of(self, text):
        """Valid text (B,) -> pieces (B, None), strings."""
        raise NotImplementedError

    def detokenize(self, ids: Tensor) -> tf.Tensor:
        """Ids (B, T), dense or ragged -> text (B,), valid UTF-8.

        What follows the first end id is dropped, and so are pad, start and the unknown id.

        Raises:
            ValueError: an id outside the vocabulary, in eager mode; in a graph it reads as unknown.
        """
        ids = content(known(ids, self.vocabulary_size))
        ids = tf.ragged.boolean_mask(ids, ids != UNKNOWN_ID)
        text = self._tokenizer.detokenize(tf.gather(tf.constant(self._pieces), ids))
        text = tf.strings.regex_replace(valid_text(text), SPACE, " ")
        return tf.strings.regex_replace(text, BLANK_ENDS, "")

    def id_to_piece(self, ids: Tensor) -> tf.Tensor:
        """Ids of any shape -> their pieces, strings of the same shape.

        The first piece of a word begins with U+2581.
        """
        return tf.gather(tf.constant(self._pieces), known(ids, self.vocabulary_size))

    def save(self, folder: StrPath) -> None:
        """Writes `tokenizer.json`, vocabulary included, and `sentencepiece.model` into `folder`."""
        write_config(folder, kind=self.kind, vocabulary=list(self._pieces))
        (Path(folder) / MODEL_FILE).write_bytes(self._model)


def single(pieces: Tensor, is_there: Tensor) -> tf.RaggedTensor:
    """Strings (B,), of which those that are there become rows of one, the others rows of none: (B, None)."""
    return tf.RaggedTensor.from_row_lengths(tf.boolean_mask(pieces, is_there), tf.cast(is_there, tf.int64))


def _check(vocabulary):
    seen = set()
    for number, piece in enumerate(vocabulary):
        if not isinstance(piece, str) or piece in seen:
            raise ValueError(
                f"`vocabulary` must hold texts, each once. Received: {piece!r:.80} as number {number}."
            )
        seen.add(piece)
    if len(seen) < 4:
        raise ValueError(
            f"`vocabulary` must begin with padding, unknown, start and end. Received: {len(seen)} pieces."
        )

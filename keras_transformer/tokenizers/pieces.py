"""SentencePiece's pieces, with the ids of another vocabulary."""

from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf

from keras_transformer.special_ids import UNKNOWN_ID
from keras_transformer.tokenizers.looked_up import LookedUpTokenizer
from keras_transformer.tokenizers.sentencepiece import MODEL_FILE, opened
from keras_transformer.tokenizers.text import byte_values, valid_text, whole_characters
from keras_transformer.types import StrPath, Tensor

SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
# What Python's `str.strip` takes away.
BLANK_ENDS = r"^[\s\v\x1c-\x1f\x85\p{Z}]+|[\s\v\x1c-\x1f\x85\p{Z}]+$"


class PieceTokenizer(LookedUpTokenizer):
    """Pieces of a SentencePiece model, with the ids of another vocabulary.

    A text's pieces are looked up as strings: a piece that the SentencePiece model itself does not know may be
    in the vocabulary. One that is not there is unknown. The text is normalised as the model says.

    Args:
        model: bytes of a SentencePiece model file, whose own ids do not count.
        vocabulary, adds_start: see `LookedUpTokenizer`.

    Raises:
        ValueError: `model` is no such model, a piece is there twice or is no text, or there are fewer than
            five.
    """

    kind = "pieces"

    def __init__(self, model: bytes, vocabulary: Sequence[str], adds_start: bool = False):
        super().__init__(vocabulary, adds_start)
        self._model = model
        self._tokenizer = opened(model, tf.string)
        self._byte_values = byte_values(vocabulary)

    def _pieces_of(self, text):
        return self._tokenizer.tokenize(text)

    def detokenize(self, ids: Tensor) -> tf.Tensor:
        """Ids (B, T), dense or ragged -> text (B,), valid UTF-8.

        What follows the first end id is dropped, and so are pad, start and the unknown id, and the byte
        pieces at the end of a cut text that are no whole character.

        Raises:
            ValueError: an id outside the vocabulary, in eager mode; in a graph it reads as unknown.
        """
        return super().detokenize(ids)

    def _text_of(self, ids):
        ids = whole_characters(tf.ragged.boolean_mask(ids, ids != UNKNOWN_ID), self._byte_values)
        text = self._tokenizer.detokenize(tf.gather(self._texts, ids))
        text = tf.strings.regex_replace(valid_text(text), SPACE, " ")
        return tf.strings.regex_replace(text, BLANK_ENDS, "")

    def save(self, folder: StrPath) -> None:
        """Writes `tokenizer.json`, vocabulary included, and `sentencepiece.model` into `folder`."""
        super().save(folder)
        (Path(folder) / MODEL_FILE).write_bytes(self._model)


def single(pieces: Tensor, is_there: Tensor) -> tf.RaggedTensor:
    """Strings (B,), of which those that are there become rows of one, the others rows of none: (B, None)."""
    return tf.RaggedTensor.from_row_lengths(tf.boolean_mask(pieces, is_there), tf.cast(is_there, tf.int64))

"""Characters, code points or bytes, in the TensorFlow graph."""

from collections.abc import Iterable, Sequence

import numpy as np
import tensorflow as tf

from keras_transformer.special_ids import UNKNOWN_ID
from keras_transformer.tokenizers.text import (
    REPLACEMENT_CHARACTER,
    SPECIAL_PIECES,
    byte_values,
    content,
    known,
    trainable,
    valid_text,
    whole_characters,
    write_config,
)
from keras_transformer.types import StrPath, Tensor


class CharacterTokenizer(tf.Module):
    """One id for each character: a Unicode code point or a byte of UTF-8.

    `detokenize(tokenize(text))` equals `text`, in bytes for any valid UTF-8, in code points for any
    text made of `characters`: another one becomes the unknown id, which reads U+FFFD. Nothing is
    normalised.

    Args:
        unit: "code_points", or "bytes" (ids 4 to 259; there is no unknown byte).
        characters: those that have an id, from 4 in this order; for code points only.
    Raises:
        ValueError: another unit; characters for bytes; for code points no character, one twice, or
            one that is not a single character.
    """

    def __init__(self, unit: str = "code_points", characters: Sequence[str] = ()):
        super().__init__()
        _check_characters(unit, characters)
        self.unit = unit
        # One string, not a list: tf.Module would wrap a list and track each entry.
        self._characters = "".join(characters)
        if unit == "bytes":
            # Visible ASCII, which is whole characters, as it is.
            pieces = [chr(b) if 0x20 < b < 0x7F else f"<0x{b:02X}>" for b in range(256)]
        else:
            pieces = list(self._characters)
        self._pieces = np.array([*SPECIAL_PIECES, *pieces], dtype=object)
        self._byte_values = byte_values(self._pieces)
        self._codes = np.array([ord(c) for c in self._characters], dtype=np.int32)
        self._order = np.argsort(self._codes).astype(np.int32)

    @classmethod
    def train(cls, sentences: Iterable[str], unit: str = "code_points") -> "CharacterTokenizer":
        """Takes the characters seen in `sentences`, sorted; bytes look at no sentence.

        Raises:
            ValueError: another unit, or no sentence has text.
        """
        if unit != "code_points":
            return cls(unit)
        return cls(unit, sorted(set().union(*trainable(sentences))))

    def __repr__(self) -> str:
        return f"CharacterTokenizer({self.unit}, {self.vocabulary_size:,} ids)"

    @property
    def vocabulary_size(self) -> int:
        """Number of ids, special ids included."""
        return len(self._pieces)

    def tokenize(self, text: Tensor) -> tf.RaggedTensor:
        """Text (B,), strings -> ids (B, None), int32. Invalid UTF-8 is read as U+FFFD."""
        text = valid_text(text)
        if self.unit == "bytes":
            # One string for the whole batch: one op in place of one string for each byte.
            values = tf.cast(tf.io.decode_raw(tf.strings.reduce_join(text), tf.uint8), tf.int32)
            lengths = tf.strings.length(text)
            return tf.RaggedTensor.from_row_lengths(values + len(SPECIAL_PIECES), lengths)

        codes = tf.strings.unicode_decode(text, "UTF-8")
        # Binary search: a lookup table would be one more resource for each exporter to track.
        place = tf.searchsorted(self._codes[self._order], codes.flat_values)
        place = tf.minimum(place, len(self._codes) - 1)
        index = tf.gather(self._order, place)
        is_known = tf.gather(self._codes, index) == codes.flat_values
        return codes.with_flat_values(tf.where(is_known, index + len(SPECIAL_PIECES), UNKNOWN_ID))

    def detokenize(self, ids: Tensor) -> tf.Tensor:
        """Ids (B, T), dense or ragged -> text (B,), valid UTF-8.

        What follows the first end id is dropped, and so are pad and start, and the bytes at the end of a
        cut text that are no whole character. The unknown id, and other bytes that are no UTF-8, read U+FFFD.

        Raises:
            ValueError: an id outside the vocabulary, in eager mode; in a graph it reads as unknown.
        """
        if self.unit == "bytes":
            units = [bytes([b]) for b in range(256)]
        else:
            units = [c.encode() for c in self._characters]
        units = tf.constant([REPLACEMENT_CHARACTER.encode()] * len(SPECIAL_PIECES) + units)
        ids = content(known(ids, self.vocabulary_size))
        if self.unit == "bytes":
            ids = whole_characters(ids, self._byte_values)
        units_of_row = tf.gather(units, ids)
        return valid_text(tf.strings.reduce_join(units_of_row, axis=-1))

    def id_to_piece(self, ids: Tensor) -> tf.Tensor:
        """Ids of any shape -> their characters, strings of the same shape.

        A byte that is no visible ASCII character reads like `<0xE3>`.
        """
        return tf.gather(tf.constant(self._pieces), known(ids, self.vocabulary_size))

    def save(self, folder: StrPath) -> None:
        """Writes `tokenizer.json` into `folder`; makes it if missing."""
        write_config(folder, kind="characters", unit=self.unit, characters=list(self._characters))


def _check_characters(unit: str, characters: Sequence[str]) -> None:
    if unit not in ("code_points", "bytes"):
        raise ValueError(f'`unit` must be "code_points" or "bytes". Received: unit={unit!r}.')
    if unit == "bytes" and characters:
        raise ValueError('`characters` must be empty for unit="bytes". Received: some.')
    if unit == "code_points" and not characters:
        raise ValueError("`characters` must hold at least one character. Received: none.")
    seen = set()
    for character in characters:
        is_one = isinstance(character, str) and len(character) == 1
        if not is_one or "\ud800" <= character <= "\udfff" or character in seen:
            raise ValueError(f"`characters` must be single characters, each once. Received: {character!r}.")
        seen.add(character)

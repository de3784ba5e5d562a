"""BERT's WordPiece in the TensorFlow graph (Devlin et al. 2019; the pieces: Schuster and Nakajima 2012)."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tensorflow_text

from keras_transformer.special_ids import PAD_ID
from keras_transformer.tokenizers.text import shared_texts, valid_text, write_config
from keras_transformer.types import StrPath, Tensor

SUFFIX = "##"
# A longer word is unknown as a whole: 100 characters of four bytes, which is where BERT's limit lies.
MAX_WORD_BYTES = 400
# Control, format and private characters, but for those that are read as spaces.
CONTROLS = r"[\p{Cc}\p{Cf}\p{Co}\x{FFFD}]"
SPACES = r"[\t\n\r]"


class WordPieceTokenizer(tf.Module):
    """Pieces of words as BERT has them: from the left the longest that is known; later ones begin with ##.

    A text is cleaned first: control characters go, invalid UTF-8 too; with `strip_accents` it is decomposed
    (NFD) and loses its combining marks; with `lowercase` it is lower-cased, each character for itself. Words
    end at spaces, and every sign of punctuation and every Chinese character is a word. A word with a
    part that has no piece, or of more than 400 bytes, is unknown as a whole (BERT's own limit is 100
    characters: longer words in one alphabet are cut into pieces here).

    What stands in a text is never a special token: "[SEP]" is read as a bracket, a word, a bracket.

    Args:
        vocabulary: the pieces, in the order of their ids; `pad`, which is the first, `unknown`, `start` and
            `end` are among them.
        lowercase: whether case is folded.
        strip_accents: whether accents are removed; as `lowercase` if None.
        pad, unknown, start, end: how the special pieces are called.
        mask: how the piece is called that hides another, which need not be in the vocabulary.

    Attributes:
        mask_id: of the mask; None if there is none.
        start_id, end_id: what stands before and behind a text, [CLS] and [SEP].
        unknown_id: of a word without pieces.

    Raises:
        ValueError: a piece is there twice, or is empty, a special one is not there, or the padding is not 0.
    """

    kind = "wordpiece"  # its name in `tokenizer.json`

    def __init__(
        self,
        vocabulary: Sequence[str],
        lowercase: bool = True,
        strip_accents: bool | None = None,
        pad: str = "[PAD]",
        unknown: str = "[UNK]",
        start: str = "[CLS]",
        end: str = "[SEP]",
        mask: str = "[MASK]",
    ):
        super().__init__()
        self._special = {"pad": pad, "unknown": unknown, "start": start, "end": end}
        ids = _ids(vocabulary, self._special)
        self._special["mask"] = mask
        self.mask_id: int | None = ids.get(mask)
        self.unknown_id, self.start_id, self.end_id = (ids[piece] for piece in (unknown, start, end))
        self.lowercase = lowercase
        self.strip_accents = strip_accents
        self._pieces = np.array(vocabulary, dtype=object)
        self._texts = shared_texts(self._pieces)
        self._tokenizer = tensorflow_text.FastWordpieceTokenizer(
            list(vocabulary),
            suffix_indicator=SUFFIX,
            max_bytes_per_word=MAX_WORD_BYTES,
            token_out_type=tf.int32,
            unknown_token=unknown,
        )

    def __repr__(self) -> str:
        case = "lower-cased" if self.lowercase else "cased"
        return f"WordPieceTokenizer({case}, {self.vocabulary_size:,} pieces)"

    @property
    def vocabulary_size(self) -> int:
        """Number of ids, special ids included."""
        return len(self._pieces)

    def tokenize(self, text: Tensor) -> tf.RaggedTensor:
        """Text (B,), strings -> ids (B, None), int32, without start and end."""
        return self._tokenizer.tokenize(self.normalize(text))

    def normalize(self, text: Tensor) -> tf.Tensor:
        """Text (B,), strings -> what is cut into words, strings (B,)."""
        text = tf.strings.regex_replace(valid_text(text), SPACES, " ")
        text = tf.strings.regex_replace(text, CONTROLS, "")
        if self.lowercase if self.strip_accents is None else self.strip_accents:
            text = tensorflow_text.normalize_utf8(text, "NFD")
            text = tf.strings.regex_replace(text, r"\p{Mn}", "")
        if self.lowercase:
            # One at a time: the rule for whole words makes another letter of a sigma at their end.
            text = tf.strings.regex_replace(
                text, "\N{GREEK CAPITAL LETTER SIGMA}", "\N{GREEK SMALL LETTER SIGMA}"
            )
            text = tf.strings.lower(text, encoding="utf-8")
        return text

    def detokenize(self, ids: Tensor) -> tf.Tensor:
        """Ids (B, T), dense or ragged -> text (B,): words with a space between, without pad, start and end.

        Raises:
            ValueError: an id outside the vocabulary, in eager mode; in a graph it reads as unknown.
        """
        if not isinstance(ids, tf.RaggedTensor):
            ids = tf.RaggedTensor.from_tensor(ids)
        is_text = (ids != PAD_ID) & (ids != self.start_id) & (ids != self.end_id)
        pieces = self.id_to_piece(tf.ragged.boolean_mask(ids, is_text))
        return tf.strings.regex_replace(
            tf.strings.reduce_join(pieces, axis=-1, separator=" "), f" {SUFFIX}", ""
        )

    def id_to_piece(self, ids: Tensor) -> tf.Tensor:
        """Ids of any shape -> their pieces, strings of the same shape."""
        if isinstance(ids, tf.RaggedTensor):
            return ids.with_flat_values(self.id_to_piece(ids.flat_values))
        ids = tf.cast(tf.convert_to_tensor(ids), tf.int32)
        is_known = (ids >= 0) & (ids < self.vocabulary_size)
        if tf.executing_eagerly() and not tf.reduce_all(is_known):
            wrong = int(tf.boolean_mask(ids, ~is_known)[0])
            raise ValueError(f"`ids` must be from 0 to {self.vocabulary_size - 1}. Received: {wrong}.")
        return tf.gather(self._texts, tf.where(is_known, ids, self.unknown_id))

    def save(self, folder: StrPath) -> None:
        """Writes `tokenizer.json`, vocabulary included, into `folder`; makes it if missing."""
        write_config(
            folder,
            kind=self.kind,
            lowercase=self.lowercase,
            strip_accents=self.strip_accents,
            **self._special,
            vocabulary=list(self._pieces),
        )


def _ids(vocabulary, special):
    """{piece: id}, checked."""
    ids = {}
    for number, piece in enumerate(vocabulary):
        if not isinstance(piece, str) or not piece or piece in ids:
            raise ValueError(
                "`vocabulary` must hold pieces that are not empty, each once. "
                f"Received: {piece!r} as number {number}."
            )
        ids[piece] = number
    for name, piece in special.items():
        if piece not in ids:
            raise ValueError(
                f"`vocabulary` must hold `{name}`, {piece!r}. Received: {len(ids)} pieces without."
            )
    if ids[special["pad"]] != PAD_ID:
        raise ValueError(
            f"The padding, {special['pad']!r}, must be the first of `vocabulary`: models mask the id 0. "
            f"Received: as number {ids[special['pad']]}."
        )
    return ids

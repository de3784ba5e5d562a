"""T5's tokenizer in the TensorFlow graph: SentencePiece's pieces, and sentinels for what is left out."""

import re
from collections.abc import Sequence

import tensorflow as tf

from keras_transformer.tokenizers.pieces import PieceTokenizer, single

SENTINEL = re.compile(r"<extra_id_\d+>")
# Around a sentinel; no valid UTF-8 has this byte.
EDGE = b"\xff"


class T5Tokenizer(PieceTokenizer):
    """Pieces of a SentencePiece model, with the ids of another vocabulary, that has sentinels, too.

    Raffel et al. 2020, "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer",
    section 3.1.4: "<extra_id_0>", "<extra_id_1>" and so on stand for spans that are left out. Those of the
    vocabulary are one token anywhere in a text, and stay in a text that ids become. Nothing else in a text is
    a special token.

    Args and errors: those of `PieceTokenizer`.
    """

    kind = "t5"

    def __init__(self, model: bytes, vocabulary: Sequence[str]):
        super().__init__(model, vocabulary)
        sentinels = [re.escape(piece) for piece in vocabulary if SENTINEL.fullmatch(piece)]
        self._sentinels = f"({'|'.join(sentinels)})" if sentinels else None

    def _pieces_of(self, text):
        if self._sentinels is None:
            return self._tokenizer.tokenize(text)
        marked = tf.strings.regex_replace(text, self._sentinels, EDGE + rb"\1" + EDGE)
        parts = tf.strings.split(marked, EDGE)  # (B, None)
        is_sentinel = tf.strings.regex_full_match(parts.flat_values, self._sentinels)
        words = self._tokenizer.tokenize(tf.where(is_sentinel, "", parts.flat_values))
        pieces = tf.concat([words, single(parts.flat_values, is_sentinel)], axis=1)
        return parts.with_flat_values(pieces).merge_dims(1, 2)

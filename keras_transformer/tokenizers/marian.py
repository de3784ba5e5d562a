"""Marian's tokenizer in the TensorFlow graph: SentencePiece's pieces, and a language in front of a text."""

import tensorflow as tf

from keras_transformer.tokenizers.pieces import PieceTokenizer, single

# Which language is meant, before the text: ">>fra<<".
LANGUAGE = r"(?s)^(>>.*?<<)?(.*)$"


class MarianTokenizer(PieceTokenizer):
    """Pieces of a SentencePiece model, with the ids of another vocabulary.

    Junczys-Dowmunt et al. 2018, "Marian: Fast Neural Machine Translation in C++", and Tiedemann and
    Thottingal 2020, "OPUS-MT". See `PieceTokenizer`: the vocabulary is that of both languages.

    ">>fra<<" at the beginning of a text is one token: the language to translate to, for models of several.
    Nothing else in a text is a special token.

    Args and errors: those of `PieceTokenizer`.
    """

    kind = "marian"

    def _pieces_of(self, text):
        language = tf.strings.regex_replace(text, LANGUAGE, r"\1", replace_global=False)
        text = tf.strings.regex_replace(text, LANGUAGE, r"\2", replace_global=False)
        return tf.concat([single(language, language != ""), self._tokenizer.tokenize(text)], axis=1)

"""Words between white space, for texts that were cut into tokens before."""

import tensorflow as tf

from keras_transformer.tokenizers.looked_up import LookedUpTokenizer


class WordTokenizer(LookedUpTokenizer):
    """The tokens of a text that has them with spaces between, and the ids of a vocabulary.

    What OpenNMT-tf's `SpaceTokenizer` does, and torchtext's `str.split`: a word is what stands between white
    space, nothing is folded or normalised, and a text of ids is their words with a space between, the unknown
    one under its own name. Whoever cuts texts by a program of their own gives the tokens and gets tokens.

    Args and errors: those of `LookedUpTokenizer`.
    """

    kind = "words"

    def _pieces_of(self, text):
        return tf.strings.split(text)

    def _text_of(self, ids):
        return tf.strings.reduce_join(tf.gather(self._texts, ids), axis=-1, separator=" ")

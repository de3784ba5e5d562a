"""Texts to words with tags: tokenizer and classifier of tokens, in a TensorFlow graph."""

import itertools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from keras_transformer import arguments
from keras_transformer.installation import needs
from keras_transformer.pipelines import guards
from keras_transformer.pipelines.guards import Limits
from keras_transformer.pipelines.signatures import Served, graph
from keras_transformer.pipelines.text_classes import TextClasses
from keras_transformer.pipelines.text_graphs import enclosed, ends
from keras_transformer.special_ids import PAD_ID, START_ID, UNKNOWN_ID
from keras_transformer.texts import as_list
from keras_transformer.tokenizers import Tokenizer

with needs("text"):
    import tensorflow as tf


class TaggedWord(NamedTuple):
    """A word, its tag, and the tag's probability."""

    word: str
    tag: str
    probability: float


class Tagger(TextClasses):
    """Says which tag each word of a text has, with a `models.TokenClassifier`; can be exported as it is.

    Words are what stands between white space: spaces, tabs, line ends, form feeds, vertical tabs. The tag of
    a word is that of its first piece (Devlin et al. 2019, section 5.3). Of a text with more tokens than
    `max_length` allows, `tag` reads part after part, and an export, like `__call__`, the first part alone.

    Args, errors: those of `TextClasses`; the model gives logits (B, T, 1 + C), the first of pieces without a
    tag.
    """

    model_name = "a tagger"
    num_unnamed = 1

    def served(self, limits: Limits) -> Served:
        """See `Pipeline`."""

        @graph(text=tf.string)
        def tag(text):
            """`text` (B,) -> `words`, `tags`, strings, and `probabilities`, (B, W) each; W is the most words
            that are read of a text, and behind the words of the others stand "" and 0.
            """
            return self(guards.text(text, limits))

        return self.served_as("tag", tag, limits)

    def __call__(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        """Strings (B,) -> "words", "tags" and "probabilities", (B, W) each; see `served`."""
        words = tf.strings.split(text)
        tags, probabilities = self.tags(words)
        words = words.to_tensor("")[:, : tf.shape(tags)[1]]
        return {
            "words": tf.where(tags == "", "", words),
            "tags": tags,
            "probabilities": probabilities,
        }

    def tags(self, words: tf.RaggedTensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Words, strings (B, None) -> their tags, strings (B, W), with their probabilities, float32 (B, W).

        W is the most words that are read of a text; "" and 0 stand behind those of the others.
        """
        ids, starts = pieces(words, self.tokenizer, self.max_length)
        logits = self.model({"token_ids": ids.to_tensor(PAD_ID)}, training=False)[..., self.num_unnamed :]
        starts = starts.to_tensor(0)  # where the start token is, no word begins
        logits = tf.gather(logits, starts, batch_dims=1)  # (B, W, C)
        probabilities = tf.nn.softmax(tf.cast(logits, tf.float32))
        names = tf.gather(tf.constant(self.classes), tf.argmax(probabilities, axis=-1))
        is_word = starts > 0
        return tf.where(is_word, names, ""), tf.where(is_word, tf.reduce_max(probabilities, axis=-1), 0.0)

    def tag(
        self,
        texts: str | bytes | Iterable[str | bytes] | Sequence[Sequence[str | bytes]],
        batch_size: int = 128,
    ) -> list[TaggedWord] | list[list[TaggedWord]]:
        """The words of each text with their tags; of one text that is not in a list, one list.

        Args:
            texts: to be tagged; or lists of words.
            batch_size: texts that the model sees together, those of similar length; >= 1.

        Raises:
            ValueError: `texts` holds something else than strings, or `batch_size` is out of range.
        """
        arguments.check_sizes(batch_size=batch_size)
        if isinstance(texts, str | bytes):
            return self.tag([texts], batch_size)[0]
        words = _split(texts)
        found: list[list[TaggedWord]] = [[] for _ in words]
        while rest := [row for row in range(len(words)) if len(found[row]) < len(words[row])]:
            rest.sort(key=lambda row: len(words[row]) - len(found[row]))
            for first in range(0, len(rest), batch_size):
                rows = rest[first : first + batch_size]
                parts = [words[row][len(found[row]) :] for row in rows]
                results = (result.numpy().tolist() for result in self.tags(ragged(parts)))
                for row, part, names, values in zip(rows, parts, *results, strict=True):
                    tagged = zip(map(_text, part), map(_text, names), values, strict=False)
                    found[row] += [TaggedWord(*one) for one in tagged if one[1]]
        return found


def pieces(
    words: tf.RaggedTensor, tokenizer: Tokenizer, max_length: int
) -> tuple[tf.RaggedTensor, tf.RaggedTensor]:
    """Words -> what a tagger reads of them.

    Each word is tokenized with a space before it, by which characters tell where a word begins, too. A word
    of which the tokenizer leaves nothing is unknown.

    Args:
        words: strings, (B, None).
        tokenizer: see `keras_transformer.tokenizers`.
        max_length: tokens that are read of a text, the start token included, and the end, where there is
            one: with BERT's tokenizer [CLS] and [SEP] stand around the text.

    Returns:
        Ids, int32 (B, None), the start token first; and where the words begin that are read, int64 (B, None).
    """
    words = words.with_row_splits_dtype(tf.int64)
    found = tokenizer.tokenize(tf.strings.join([" ", words.flat_values]))  # (words, None)
    found = found.with_row_splits_dtype(tf.int64)  # each tokenizer has its own
    is_empty = tf.cast(found.row_lengths() == 0, tf.int64)
    unknown_id = getattr(tokenizer, "unknown_id", UNKNOWN_ID)
    unknown = tf.RaggedTensor.from_row_lengths(tf.fill([tf.reduce_sum(is_empty)], unknown_id), is_empty)
    found = tf.concat([found, unknown], axis=1)
    ids = words.with_flat_values(found).merge_dims(1, 2)  # (B, None)
    before, behind = ends(tokenizer, [START_ID])
    starts = len(before) + found.row_starts() - tf.gather(ids.row_splits, words.value_rowids())
    starts = words.with_flat_values(starts)
    ids = enclosed(ids, before, behind, max_length)
    return ids, tf.ragged.boolean_mask(starts, starts < max_length - len(behind))


def ragged(words: Sequence[Sequence[str | bytes]]) -> tf.RaggedTensor:
    """Lists of words as strings, (B, None)."""
    lengths = tf.constant([len(row) for row in words], tf.int64)
    return tf.RaggedTensor.from_row_lengths(tf.constant(list(itertools.chain(*words)), tf.string), lengths)


def _split(texts):
    """The words of texts, or those that are given."""
    if isinstance(texts, list | tuple) and not any(isinstance(text, str | bytes) for text in texts):
        return [as_list(words, "words") for words in texts]
    # The white space of bytes is that of `tf.strings.split`; that of str is Unicode's.
    return [(text.encode() if isinstance(text, str) else text).split() for text in as_list(texts)]


def _text(word):
    return word.decode("utf-8", "replace") if isinstance(word, bytes) else word

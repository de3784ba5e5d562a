"""Words for the gaps of texts: tokenizer and masked language model, in a TensorFlow graph."""

from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_transformer import tokenizers
from keras_transformer.installation import needs
from keras_transformer.pipelines import guards
from keras_transformer.pipelines.base import Pipeline, check_vocabulary
from keras_transformer.pipelines.guards import Limits
from keras_transformer.pipelines.signatures import Served, graph, text_requests
from keras_transformer.pipelines.text_graphs import enclosed, ends
from keras_transformer.saving.run_files import length
from keras_transformer.special_ids import END_ID, PAD_ID

with needs("text"):
    import tensorflow as tf

MASK = "[MASK]"


class MaskFiller(Pipeline):
    """Says which tokens may stand in the place of `[MASK]`; can be exported as it is.

    What stands before a gap and what comes after it are tokenized each for itself. A SentencePiece model so
    reads what comes after as the beginning of a word: gaps are for whole words.

    Args:
        model: a `models.MaskedLM`, whose last id is the mask; with BERT's tokenizer it is the one that the
            tokenizer says.
        tokenizer: see `keras_transformer.tokenizers`; one id fewer than the model, BERT's as many.
        window: tokens that are read, at least 3: of a longer text those around the gap. With BERT's tokenizer
            [CLS] and [SEP], which stand around them, are among them.

    Raises:
        ValueError: the tokenizer has another number of ids, or is BERT's and has no mask.
    """

    model_name = "a masked language model"
    tokenizer_name = "text"

    def __init__(self, model: keras.Model, tokenizer: tokenizers.Tokenizer, window: int):
        super().__init__(model, "mask_filler")
        self.mask_id, special_ids = masked_ids(model.vocabulary_size, tokenizer)
        # What may stand in a gap.
        no_words = [*special_ids, self.mask_id]
        self._ordinary_ids = np.setdiff1d(np.arange(model.vocabulary_size, dtype="int32"), no_words)
        self.tokenizer = tokenizer
        self.window = window

    @classmethod
    def run_arguments(cls, folder: Path) -> dict[str, Any]:
        """See `Pipeline`."""
        return {"window": length(folder, "window")}

    def __repr__(self) -> str:
        return self.described(f"{self.tokenizer.vocabulary_size:,} pieces, window {self.window}")

    def served(self, limits: Limits) -> Served:
        """See `Pipeline`."""

        @graph(text=tf.string)
        def fill(text):
            """`text` (B,), each with [MASK] -> `candidates` (B, N), strings, `probabilities` (B, N)."""
            candidates, probabilities = self(guards.text(text, limits))
            return {"candidates": candidates, "probabilities": probabilities}

        functions = {"serving_default": fill, "fill": fill}
        # The gap must be among the characters that are read.
        length = min(self.window, (limits.max_characters - len(MASK)) // 4)
        long = " ".join(["a"] * length)
        texts = (
            [f"a {MASK} b"],
            [f"{long} {MASK} {long}"],
            [MASK, f"a {MASK}", f"{MASK} b"][: limits.max_rows],
        )
        return Served(
            functions,
            [self.tf_variables, self.tokenizer],
            text_requests(functions, *texts),
            text_requests(functions, texts[2]),
            None,
            limits.of("max_rows", "max_characters") | {"max_tokens": self.window},
        )

    def __call__(self, text: tf.Tensor, num_candidates: int = 10) -> tuple[tf.Tensor, tf.Tensor]:
        """The likeliest tokens for the first gap of each text.

        Args:
            text: strings, (B,), each with `[MASK]`; one without fails with InvalidArgumentError. The model
                reads every further `[MASK]` as a gap too.
            num_candidates: N; no more than the tokenizer has ordinary tokens.

        Returns:
            Candidates, strings (B, N), likeliest first, and their probabilities among all ordinary tokens,
            float32 (B, N).

        Raises:
            ValueError: one text is given that is not in a batch.
        """
        text = tf.convert_to_tensor(text, tf.string)
        if text.shape.rank not in (None, 1):
            raise ValueError(f"`text` must be a batch of strings, (B,). Received: shape {text.shape}.")
        has_gap = tf.strings.regex_full_match(text, r"(?s).*\[MASK\].*")
        check = tf.debugging.Assert(
            tf.reduce_all(has_gap), [f"Each text must hold {MASK}. Received: one without."]
        )
        with tf.control_dependencies([check]):
            token_ids, gaps = self.token_ids(text)
        logits = self.model({"token_ids": token_ids}, training=False)  # (B, T, V)
        logits = tf.gather(logits, gaps, batch_dims=1)  # (B, V), in the gap
        ordinary = tf.cast(tf.gather(logits, self._ordinary_ids, axis=1), tf.float32)
        probabilities, places = tf.math.top_k(
            tf.nn.softmax(ordinary), min(num_candidates, len(self._ordinary_ids))
        )
        ids = tf.reshape(tf.gather(self._ordinary_ids, places), [-1, 1])
        candidates = tf.reshape(self.tokenizer.detokenize(ids), tf.shape(places))
        return candidates, probabilities

    def token_ids(self, text: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Ids around the first gap, int32 (B, T), T <= window, and where the gap is in them, (B,)."""
        pieces = tf.strings.split(text, MASK)  # (B, gaps + 1)
        ids = self.tokenizer.tokenize(pieces.flat_values)
        gaps = tf.gather(ids.row_lengths(), pieces.row_starts())
        # A gap behind every piece, also behind the last, where none is.
        ids = tf.concat([ids, tf.fill([ids.nrows(), 1], self.mask_id)], axis=1)
        ids = pieces.with_flat_values(ids).merge_dims(1, 2)[:, :-1]
        before, behind = ends(self.tokenizer)
        room = self.window - len(before) - len(behind)
        first = gaps - room // 2
        if behind:  # a text, not a piece of a running one: it is whole where it fits
            first = tf.maximum(tf.minimum(first, ids.row_lengths() - room), 0)
        last = tf.minimum(first + room, ids.row_lengths())
        first = tf.maximum(first, 0)
        seen = tf.gather(ids, tf.ragged.range(first, last), batch_dims=1)
        seen = enclosed(seen, before, behind, self.window)
        return seen.to_tensor(PAD_ID), gaps - first + len(before)


def masked_ids(vocabulary_size: int, tokenizer: tokenizers.Tokenizer) -> tuple[int, list[int]]:
    """The id of the mask, and those of what is no token of a text.

    Args:
        vocabulary_size: of the model.
        tokenizer: one id fewer than the model, BERT's as many.

    Raises:
        ValueError: the tokenizer has another number of ids, or is BERT's and has no mask.
    """
    if isinstance(tokenizer, tokenizers.WordPieceTokenizer):
        check_vocabulary(tokenizer, vocabulary_size)
        if tokenizer.mask_id is None:
            raise ValueError("The tokenizer must have a mask, [MASK]. Received: a vocabulary without.")
        return tokenizer.mask_id, [PAD_ID, tokenizer.unknown_id, tokenizer.start_id, tokenizer.end_id]
    mask_id = vocabulary_size - 1
    if tokenizer.vocabulary_size != mask_id:
        raise ValueError(
            f"The tokenizer must have one id fewer than the model, {mask_id}. "
            f"Received: a tokenizer with {tokenizer.vocabulary_size}."
        )
    return mask_id, [*range(END_ID + 1)]

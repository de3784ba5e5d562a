"""Words for the gaps of texts: tokenizer and masked language model, in a TensorFlow graph."""

from pathlib import Path
from typing import Self

import keras
import tensorflow as tf

from keras_transformer import tokenizers
from keras_transformer.checkpoints import checkpoint_path
from keras_transformer.model_files import load_model
from keras_transformer.run_files import data_length
from keras_transformer.special_ids import END_ID, PAD_ID
from keras_transformer.types import StrPath, Tensor

MASK = "[MASK]"


class MaskFiller(tf.Module):
    """Says which tokens may stand in the place of `[MASK]`; can be exported as it is.

    What stands before a gap and what comes after it are tokenized each for itself. A SentencePiece model so
    reads what comes after as the beginning of a word: gaps are for whole words.

    Args:
        model: a `models.MaskedLM`, whose last id is the mask.
        tokenizer: see `keras_transformer.tokenizers`; one id fewer than the model.
        window: tokens that are read, at least 3: of a longer text those around the gap.

    Raises:
        ValueError: the tokenizer has another number of ids.
    """

    def __init__(self, model: keras.Model, tokenizer: tokenizers.Tokenizer, window: int):
        super().__init__(name="mask_filler")
        self.mask_id = model.encoder.vocabulary_size - 1
        if tokenizer.vocabulary_size != self.mask_id:
            raise ValueError(
                f"The tokenizer must have one id fewer than the model, {self.mask_id}. "
                f"Received: a tokenizer with {tokenizer.vocabulary_size}."
            )
        self.model = model
        self.tokenizer = tokenizer
        self.window = window
        # A tf.Module does not see the variables inside Keras's; without them an export has none.
        self.tf_variables = [variable.value for variable in model.variables]

    @classmethod
    def from_run(cls, run_folder: StrPath, checkpoint: str | None = None) -> Self:
        """Loads what `training.train` made of a `masked_lm`.

        Args:
            run_folder: a folder with model.keras, tokenizer/text and config.yaml.
            checkpoint: which model of `run_folder`, see `checkpoint_path`; model.keras if None.

        Raises:
            ValueError: the folder is no such run folder, or there is no such checkpoint.
        """
        folder = Path(run_folder)
        for part in ("config.yaml", "tokenizer/text"):
            if not (folder / part).exists():
                raise ValueError(
                    "The run folder of a masked language model holds config.yaml and tokenizer/text. "
                    f"Received: {folder}, without {part}."
                )
        window = data_length(folder, "window")
        model = load_model(checkpoint_path(folder, checkpoint))
        return cls(model, tokenizers.load(folder / "tokenizer" / "text"), window)

    def __call__(self, text: Tensor, num_candidates: int = 10) -> tuple[tf.Tensor, tf.Tensor]:
        """The likeliest tokens for the first gap of each text.

        Args:
            text: strings, (B,), each with `[MASK]`; one without fails with InvalidArgumentError. The model
                reads every further `[MASK]` as a gap too.
            num_candidates: N; no more than the tokenizer has ordinary tokens.

        Returns:
            Candidates, strings (B, N), likeliest first, and their probabilities among all ordinary tokens,
            float32 (B, N).
        """
        has_gap = tf.strings.regex_full_match(text, r"(?s).*\[MASK\].*")
        check = tf.debugging.Assert(
            tf.reduce_all(has_gap), [f"Each text must hold {MASK}. Received: one without."]
        )
        with tf.control_dependencies([check]):
            token_ids, gaps = self._token_ids(text)
        logits = self.model({"token_ids": token_ids}, training=False)  # (B, T, V)
        logits = tf.gather(logits, gaps, batch_dims=1)  # (B, V), in the gap
        ordinary = tf.cast(logits[:, END_ID + 1 : self.mask_id], tf.float32)
        probabilities, places = tf.math.top_k(
            tf.nn.softmax(ordinary), min(num_candidates, self.mask_id - END_ID - 1)
        )
        ids = tf.reshape(places + END_ID + 1, [-1, 1])
        candidates = tf.reshape(self.tokenizer.detokenize(ids), tf.shape(places))
        return candidates, probabilities

    def _token_ids(self, text):
        """Ids around the first gap, int32 (B, T), T <= window, and where the gap is in them, (B,)."""
        pieces = tf.strings.split(text, MASK)  # (B, gaps + 1)
        ids = self.tokenizer.tokenize(pieces.flat_values)
        gaps = tf.gather(ids.row_lengths(), pieces.row_starts())
        # A gap behind every piece, also behind the last, where none is.
        ids = tf.concat([ids, tf.fill([ids.nrows(), 1], self.mask_id)], axis=1)
        ids = pieces.with_flat_values(ids).merge_dims(1, 2)[:, :-1]
        first = tf.maximum(gaps - self.window // 2, 0)
        behind = tf.minimum(gaps - self.window // 2 + self.window, ids.row_lengths())
        seen = tf.gather(ids, tf.ragged.range(first, behind), batch_dims=1)
        return seen.to_tensor(PAD_ID), gaps - first

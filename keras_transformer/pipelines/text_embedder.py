"""Texts to vectors: tokenizer and sentence encoder, in a TensorFlow graph."""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_transformer import arguments, tokenizers
from keras_transformer.installation import needs
from keras_transformer.pipelines import guards
from keras_transformer.pipelines.base import Pipeline
from keras_transformer.pipelines.guards import Limits
from keras_transformer.pipelines.signatures import SAMPLES, Served, graph, text_requests
from keras_transformer.saving.run_files import length
from keras_transformer.special_ids import PAD_ID
from keras_transformer.texts import as_list

with needs("text"):
    import tensorflow as tf


# Of shapes that XLA compiles: lengths are multiples of it.
LENGTH_STEP = 8


class TextEmbedder(Pipeline):
    """Vectors of texts, near to each other if the texts mean nearly the same; can be exported as it is.

    `__call__` is for graphs, `embed` takes one text or a list.

    Args:
        model: a `models.SentenceEncoder`.
        tokenizer: a `tokenizers.WordPieceTokenizer`, with no more ids than the model.
        max_length: tokens that are read of a text, start and end included, at least 3.

    Raises:
        ValueError: the tokenizer has more ids, or the model fewer positions.
    """

    model_name = "a text embedder"
    tokenizer_name = "text"

    def __init__(self, model: keras.Model, tokenizer: tokenizers.WordPieceTokenizer, max_length: int):
        super().__init__(model, "text_embedder")
        if tokenizer.vocabulary_size > model.encoder.vocabulary_size:
            raise ValueError(
                f"The tokenizer must have at most the model's {model.encoder.vocabulary_size} ids. "
                f"Received: a tokenizer with {tokenizer.vocabulary_size}."
            )
        if not 3 <= max_length <= model.encoder.max_length:
            raise ValueError(
                f"`max_length` must be from 3 to {model.encoder.max_length}, the model's positions. "
                f"Received: max_length={max_length}."
            )
        self.tokenizer = tokenizer
        self.max_length = max_length
        self._embed = tf.function(
            self.__call__, input_signature=[tf.TensorSpec([None], tf.string)], autograph=False
        )

        self._token_ids = tf.function(
            self.token_ids, input_signature=[tf.TensorSpec([None], tf.string)], autograph=False
        )
        self._compiled = tf.function(
            lambda ids: self.model({"token_ids": ids}, training=False),
            input_signature=[tf.TensorSpec([None, None], tf.int32)],
            autograph=False,
            jit_compile=True,
        )

    @classmethod
    def run_arguments(cls, folder: Path) -> dict[str, Any]:
        """See `Pipeline`."""
        return {"max_length": length(folder, "max_length")}

    def __repr__(self) -> str:
        return self.described(f"{self.tokenizer.vocabulary_size:,} pieces, {self.max_length} tokens")

    def served(self, limits: Limits) -> Served:
        """See `Pipeline`."""

        @graph(text=tf.string)
        def embed(text):
            """`text` (B,), strings -> `embedding` (B, D), float32."""
            return {"embedding": self(guards.text(text, limits))}

        functions = {"serving_default": embed, "embed": embed}
        long = " ".join(["a"] * min(self.max_length, limits.max_characters // 2))
        return Served(
            functions,
            [self.tf_variables, self.tokenizer],
            text_requests(functions, ["a"], [long], ["", "a", "b b"][: limits.max_rows]),
            text_requests(functions, SAMPLES[:1], SAMPLES[: limits.max_rows]),
            None,
            limits.of("max_rows", "max_characters") | {"max_tokens": self.max_length},
        )

    def __call__(self, text: tf.Tensor) -> tf.Tensor:
        """Texts, strings (B,) -> vectors, float32 (B, D). Of a long text the beginning is read."""
        return self.model({"token_ids": self.token_ids(text)}, training=False)

    def token_ids(self, text: tf.Tensor) -> tf.Tensor:
        """Texts, strings (B,) -> int32 (B, T), start and end included, T <= max_length, padded."""
        ids = self.tokenizer.tokenize(text)[:, : self.max_length - 2]
        start, end = (tf.fill([ids.nrows(), 1], x) for x in (self.tokenizer.start_id, self.tokenizer.end_id))
        return tf.concat([start, ids, end], axis=1).to_tensor(PAD_ID)

    def embed(
        self, texts: str | bytes | Iterable[str | bytes], batch_size: int = 32, jit_compile: bool = False
    ) -> np.ndarray:
        """The vectors of texts, texts of similar length together, and a batch for each core at a time.

        Args:
            texts: str or UTF-8 bytes: one, or any iterable of them.
            batch_size: texts embedded together, >= 1.
            jit_compile: whether XLA compiles the model, for each number of texts (a power of 2) and length (a
                multiple of 8 tokens) when it first comes, which takes seconds; texts one by one are faster.

        Returns:
            float32, (N, D), in the order of `texts`; of one text that is not in a list, (D,).

        Raises:
            ValueError: `texts` holds something else than strings, or `batch_size` is out of range.
        """
        if isinstance(texts, str | bytes):
            return self.embed([texts], batch_size, jit_compile)[0]
        arguments.check_sizes(batch_size=batch_size)
        texts = as_list(texts)
        order = sorted(range(len(texts)), key=lambda number: len(texts[number]))
        batches = [order[first : first + batch_size] for first in range(0, len(order), batch_size)]
        found = np.zeros((len(texts), self.model.encoder.hidden_dim), "float32")
        # Traced in this thread.
        run = self._embed_compiled if jit_compile else self._embed.get_concrete_function()

        def embed_rows(rows):
            found[rows] = run(tf.constant([texts[row] for row in rows], tf.string)).numpy()

        if len(batches) == 1:
            embed_rows(order)  # no thread to wait for
        else:
            # Beside each other: the products of one batch are too small to keep several cores busy.
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                list(pool.map(embed_rows, batches))
        return found

    def _embed_compiled(self, text):
        """As `__call__`, by one of few programs: with copies of texts and padding behind the ids."""
        ids = self._token_ids(text)
        rows, length = ids.shape
        missing = min(-length % LENGTH_STEP, self.max_length - length)
        numbers = np.arange(1 << (rows - 1).bit_length())
        ids = tf.gather(tf.pad(ids, [[0, 0], [0, missing]], constant_values=PAD_ID), numbers % rows)
        return self._compiled(ids)[:rows]

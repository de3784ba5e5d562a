"""Text from a language model: tokenizer, model and search as functions that run in a TensorFlow graph."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import keras
import tensorflow as tf

from keras_transformer import decoding, tokenizers
from keras_transformer.checkpoints import checkpoint_path
from keras_transformer.model_files import load_model
from keras_transformer.run_files import data_length
from keras_transformer.special_ids import END_ID, PAD_ID
from keras_transformer.types import StrPath, Tensor


class TextGenerator(tf.Module):
    """Continues texts with a `models.CausalLM`; can be exported as it is.

    `__call__` is for graphs, `generate` takes a list.

    Args:
        model: a model that takes prompts.
        tokenizer: see `keras_transformer.tokenizers`.
        search: say `decoding.Sampling(max_length=64, top_k=20)`; its `max_length` counts the prompt.

    Raises:
        ValueError: the tokenizer has another number of ids than the model.
    """

    def __init__(self, model: keras.Model, tokenizer: tokenizers.Tokenizer, search: decoding.Search):
        super().__init__(name="text_generator")
        if tokenizer.vocabulary_size != model.vocabulary_size:
            raise ValueError(
                f"The tokenizer must have the model's {model.vocabulary_size} ids. "
                f"Received: a tokenizer with {tokenizer.vocabulary_size}."
            )
        self.model = model
        self.tokenizer = tokenizer
        self.search = search
        # A tf.Module does not see the variables inside Keras's; without them an export has none.
        self.tf_variables = [variable.value for variable in model.variables]
        self._graph = tf.function(
            self.n_best, input_signature=[tf.TensorSpec([None], tf.string)], autograph=False
        )

    @classmethod
    def from_run(
        cls,
        run_folder: StrPath,
        search: decoding.Search | Callable[[int], decoding.Search] = decoding.Sampling,
        checkpoint: str | None = None,
    ) -> Self:
        """Loads what `training.train` made of a `causal_lm`.

        Args:
            run_folder: a folder with model.keras, tokenizer/text and config.yaml.
            search: a search, or a function of `max_length` that makes one; `max_length` is then the window
                of the training.
            checkpoint: which model of `run_folder`, see `checkpoint_path`; model.keras if None.

        Raises:
            ValueError: the folder is no such run folder, there is no such checkpoint, or the search is longer
                than the window: no position beyond it was ever trained.
        """
        folder = Path(run_folder)
        for part in ("config.yaml", "tokenizer/text"):
            if not (folder / part).exists():
                raise ValueError(
                    "The run folder of a language model holds config.yaml and tokenizer/text. "
                    f"Received: {folder}, without {part}."
                )
        window = data_length(folder, "window")
        if not isinstance(search, decoding.Search):
            search = search(window)
        if search.max_length > window:
            raise ValueError(
                f"`max_length` must be at most the window of the training, {window} tokens. "
                f"Received: max_length={search.max_length}."
            )
        model = load_model(checkpoint_path(folder, checkpoint))
        return cls(model, tokenizers.load(folder / "tokenizer" / "text"), search)

    def __call__(self, text: Tensor) -> tf.Tensor:
        """Prompts, strings (B,) -> texts that begin with them, strings (B,)."""
        return self.n_best(text)[0][:, 0]

    def n_best(self, text: Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Prompts, strings (B,) -> texts, strings (B, N), and log-probabilities, float32 (B, N).

        A prompt of `max_length` tokens and more is cut to its end: what comes next follows from that. The
        text returned begins with the prompt as the tokenizer reads it back.
        """
        tokens = self.tokenizer.tokenize(text)[:, -(self.search.max_length - 1) :]
        # At least one column: the search finds the batch's size in it.
        prompt_ids = tokens.to_tensor(PAD_ID)
        prompt_ids = tf.pad(prompt_ids, [[0, 0], [0, tf.maximum(1 - tf.shape(prompt_ids)[1], 0)]])
        ids, scores = decoding.generate_n_best(self.model, {"prompt_ids": prompt_ids}, self.search)
        batch_size, num_results, _ = tf.unstack(tf.shape(ids))
        texts = self.tokenizer.detokenize(tf.reshape(ids, (batch_size * num_results, -1)))
        return tf.reshape(texts, (batch_size, num_results)), scores

    def continued(self, text: str, length: int) -> str:
        """Goes on with a text beyond the window: again and again from its last half window on.

        Args:
            text: str.
            length: tokens of the whole, the prompt's included.

        Returns:
            The text up to its end token, or to `length`.
        """
        ids = self.tokenizer.tokenize([text]).to_list()[0]
        window, number, new = self.search.max_length, 0, []
        while len(ids) < length and END_ID not in new:
            kept = ids[-(window // 2) :]
            max_length = min(window, len(kept) + length - len(ids))
            changes = {"max_length": max_length, "min_length": min(self.search.min_length, max_length)}
            if isinstance(self.search, decoding.Sampling) and self.search.seed is not None:
                changes["seed"] = self.search.seed + number  # else all parts would share their draws
            search = dataclasses.replace(self.search, **changes)
            found, _ = decoding.generate(self.model, {"prompt_ids": tf.constant([kept or [PAD_ID]])}, search)
            new = [token for token in found.numpy()[0].tolist()[len(kept) :] if token != PAD_ID]
            ids += new
            number += 1
        return self.tokenizer.detokenize([ids]).numpy()[0].decode("utf-8", "replace")

    def generate(self, texts: Sequence[str]) -> list[list[tuple[str, float]]]:
        """Continues a list of texts, one graph for all.

        Args:
            texts: list of str.

        Returns:
            For each a list of (text, log-probability), best first or as drawn.
        """
        found, scores = self._graph(tf.constant(list(texts), tf.string))
        return [
            [(text.decode("utf-8", "replace"), float(score)) for text, score in zip(*row, strict=True)]
            for row in zip(found.numpy(), scores.numpy(), strict=True)
        ]

"""Text from a language model: tokenizer, model and search as functions that run in a TensorFlow graph."""

import dataclasses
import functools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import keras

from keras_transformer import decoding, tokenizers
from keras_transformer.installation import needs
from keras_transformer.pipelines import guards
from keras_transformer.pipelines.base import SearchingPipeline
from keras_transformer.pipelines.guards import Limits
from keras_transformer.pipelines.signatures import SAMPLES, Served, answers_alike, searched, text_requests
from keras_transformer.pipelines.text_seeds import TextSeeds, seed_words
from keras_transformer.saving.run_files import length
from keras_transformer.special_ids import END_ID, PAD_ID
from keras_transformer.texts import as_list

with needs("text"):
    import tensorflow as tf


class TextGenerator(SearchingPipeline):
    """Continues texts with a `models.CausalLM`; can be exported as it is.

    `__call__` is for graphs, `generate` takes one text or a list.

    Args:
        model: a model that takes prompts.
        tokenizer: see `keras_transformer.tokenizers`.
        search: say `decoding.Sampling(max_length=64, top_k=20)`; its `max_length` counts the prompt.

    Raises:
        ValueError: the tokenizer has another number of ids than the model.
    """

    model_name = "a language model"
    tokenizer_name = "text"
    default_search = decoding.Sampling

    def __init__(self, model: keras.Model, tokenizer: tokenizers.Tokenizer, search: decoding.Search):
        super().__init__(model, "text_generator", tokenizer, search)

    @classmethod
    def run_arguments(cls, folder: Path) -> dict[str, Any]:
        """See `Pipeline`; `max_length` is the window of the training."""
        return {"max_length": length(folder, "window")}

    @classmethod
    def _check_search(cls, search, longest):
        if search.max_length > longest:  # no position beyond it was ever trained
            raise ValueError(
                f"`max_length` must be at most the window of the training, {longest} tokens. "
                f"Received: max_length={search.max_length}."
            )

    def __repr__(self) -> str:
        return self.described(f"{self.tokenizer.vocabulary_size:,} pieces")

    @property
    def most_ids(self) -> int:
        """See `Pipeline`."""
        return max(self.search.max_length - 1, 1)

    def served(self, limits: Limits) -> Served:
        """See `Pipeline`."""
        take = functools.partial(guards.prompt, limits=limits)
        functions = searched(self, "generate", "text", take, ("generated", "generated"))
        long = " ".join("a" * self.search.max_length)
        repeatable = answers_alike(functions, self.search)
        compiled = [] if self.compiled is None else self.compiled.requests(self._prompt_ids)
        return Served(
            functions,
            [self.tf_variables, self.tokenizer],
            text_requests(functions, ["a"], [long], ["", "a", "b b"][: limits.max_rows], *compiled),
            text_requests(repeatable, SAMPLES[:1], SAMPLES[: limits.max_rows]),
            self.search,
            limits.of("max_rows", "max_characters") | {"max_steps": self.search.max_length},
        )

    def model_inputs(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        """Prompts, strings (B,) -> {"prompt_ids": (B, P)}.

        A prompt of `max_length` tokens and more is cut to its end: what comes next follows from that. A text
        returned begins with its prompt as the tokenizer reads it back.
        """
        tokens = self.tokenizer.tokenize(text)[:, -(self.search.max_length - 1) :]
        # At least one column: the search finds the batch's size in it.
        prompt_ids = tokens.to_tensor(PAD_ID)
        return {"prompt_ids": tf.pad(prompt_ids, [[0, 0], [0, tf.maximum(1 - tf.shape(prompt_ids)[1], 0)]])}

    def _prompt_ids(self, text):
        return self.model_inputs(text)["prompt_ids"]

    def continued(self, text: str, length: int, seed: int | None = None) -> str:
        """Goes on with a text beyond the window: again and again from its last half window on.

        Args:
            text: str.
            length: tokens of the whole, the prompt's included.
            seed: of a sampling, an integer >= 0; that of the search if None.

        Returns:
            The text up to its end token, or to `length`.
        """
        ids = self.tokenizer.tokenize(as_list([text], "text")).to_list()[0]
        seed = getattr(self.search, "seed", None) if seed is None else seed
        window, number, new = self.search.max_length, 0, []
        while len(ids) < length and END_ID not in new:
            kept = ids[-(window // 2) :]
            max_length = min(window, len(kept) + length - len(ids))
            changes = {"max_length": max_length, "min_length": min(self.search.min_length, max_length)}
            search = dataclasses.replace(self.search, **changes)
            prompt = {"prompt_ids": tf.constant([kept or [PAD_ID]])}
            part_seed = None if seed is None else seed + number  # else equal parts would go on alike
            found, _ = decoding.generate(self.model, prompt, search, seed=part_seed)
            new = [token for token in found.numpy()[0].tolist()[len(kept) :] if token != PAD_ID]
            ids += new
            number += 1
        return self.tokenizer.detokenize([ids]).numpy()[0].decode("utf-8", "replace")

    def generate(
        self, texts: str | bytes | Iterable[str | bytes], seeds: Iterable[int] | None = None
    ) -> list[tuple[str, float]] | list[list[tuple[str, float]]]:
        """Continues texts, all together.

        Args:
            texts: str or UTF-8 bytes: one, or any iterable of them.
            seeds: of a sampling, an integer >= 0 for each text, whose results follow from text and seed
                alone. If None those of `TextSeeds`: the search's own, and of equal texts the next ones.

        Returns:
            For each a list of (text, log-probability), best first or as drawn; of one text that is not in a
            list, its own.

        Raises:
            ValueError: `texts` holds something else than strings, or there is not a seed for each.
        """
        if isinstance(texts, str | bytes):
            return self.generate([texts], seeds)[0]
        texts = as_list(texts)
        seeds = TextSeeds(self.search)(texts) if seeds is None else seeds
        if seeds is not None:
            seeds = tf.constant(seed_words(seeds, self.search, len(texts)), tf.int32)
        found, scores = self.n_best(tf.constant(texts, tf.string), seeds)
        return [
            [
                (text.decode("utf-8", "replace"), float(score))
                for text, score in zip(*row, strict=True)
                if score > -float("inf")
            ]
            for row in zip(found.numpy(), scores.numpy(), strict=True)
        ]

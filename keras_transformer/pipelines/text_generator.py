"""Text from a language model: tokenizer, model and search as functions that run in a TensorFlow graph."""

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path

import keras

from keras_transformer import decoding, tokenizers
from keras_transformer.installation import needs
from keras_transformer.pipelines import guards
from keras_transformer.pipelines.base import Pipeline, check_vocabulary
from keras_transformer.pipelines.guards import Limits
from keras_transformer.pipelines.signatures import (
    LOWEST,
    SAMPLES,
    Served,
    answers_alike,
    draws,
    graph,
    request,
    single,
)
from keras_transformer.pipelines.text_graphs import decoded_texts, same_rows
from keras_transformer.pipelines.text_seeds import TextSeeds, seed_words
from keras_transformer.saving.checkpoints import checkpoint_path
from keras_transformer.saving.model_files import load_model
from keras_transformer.saving.run_files import check_parts, length
from keras_transformer.special_ids import END_ID, PAD_ID
from keras_transformer.texts import as_list

with needs("text"):
    import tensorflow as tf


class TextGenerator(Pipeline):
    """Continues texts with a `models.CausalLM`; can be exported as it is.

    `__call__` is for graphs, `generate` takes one text or a list.

    Args:
        model: a model that takes prompts.
        tokenizer: see `keras_transformer.tokenizers`.
        search: say `decoding.Sampling(max_length=64, top_k=20)`; its `max_length` counts the prompt.

    Raises:
        ValueError: the tokenizer has another number of ids than the model.
    """

    decodes = True

    def __init__(self, model: keras.Model, tokenizer: tokenizers.Tokenizer, search: decoding.Search):
        super().__init__(model, "text_generator")
        check_vocabulary(tokenizer, model.vocabulary_size)
        self.tokenizer = tokenizer
        self.search = search

    @classmethod
    def from_run(
        cls,
        run_folder: str | Path,
        search: decoding.Search | Callable[[int], decoding.Search] = decoding.Sampling,
        checkpoint: str | None = None,
    ) -> "TextGenerator":
        """Loads what `training.train` made of a `causal_lm`.

        Args:
            run_folder: a folder with model.keras, tokenizer/text and pipeline.json.
            search: a search, or a function of `max_length` that makes one; `max_length` is then the window
                of the training.
            checkpoint: which model of `run_folder`, see `checkpoint_path`; model.keras if None.

        Raises:
            ValueError: the folder is no such run folder, there is no such checkpoint, or the search is longer
                than the window: no position beyond it was ever trained.
        """
        folder = Path(run_folder)
        check_parts(folder, "The run folder of a language model holds tokenizer/text", ("tokenizer/text",))
        window = length(folder, "window")
        if not isinstance(search, decoding.Search):
            search = search(window)
        if search.max_length > window:
            raise ValueError(
                f"`max_length` must be at most the window of the training, {window} tokens. "
                f"Received: max_length={search.max_length}."
            )
        model = load_model(checkpoint_path(folder, checkpoint))
        generator = cls(model, tokenizers.load(folder / "tokenizer" / "text"), search)
        return generator.of_run(run_folder)

    def __repr__(self) -> str:
        return self.described(f"{self.tokenizer.vocabulary_size:,} pieces")

    def served(self, limits: Limits) -> Served:
        """See `Pipeline`."""
        best = TextGenerator(self.model, self.tokenizer, single(self.search))

        @graph(text=tf.string)
        def generate(text):
            """`text` (B,) -> `generated` (B,), strings: each begins with its text."""
            return {"generated": best(guards.prompt(text, limits))}

        @graph(text=tf.string)
        def generate_nbest(text):
            """`text` (B,) -> `generated` (B, N), strings, and `scores` (B, N), float32: log-probabilities."""
            texts, scores = self.n_best(guards.prompt(text, limits))
            return {"generated": texts, "scores": tf.maximum(scores, LOWEST)}

        @graph(text=tf.string, seed=tf.int32)
        def generate_seeded(text, seed):
            """`text` (B,), strings, `seed` (B,), int32 -> as `generate_nbest`, alike each time."""
            text, seed = same_rows(text=text, seed=seed)
            texts, scores = self.n_best(guards.prompt(text, limits), seed)
            return {"generated": texts, "scores": tf.maximum(scores, LOWEST)}

        functions = {"serving_default": generate, "generate": generate, "generate_nbest": generate_nbest}
        if draws(self.search):
            functions["generate_seeded"] = generate_seeded
        texts = ["a"], [" ".join("a" * self.search.max_length)], ["", "a", "b b"][: limits.max_rows]
        requests = [(name, request(name, "text", text)) for text in texts for name in functions]
        repeatable = answers_alike(functions, self.search)
        samples = [
            (name, request(name, "text", texts))
            for texts in (SAMPLES[:1], SAMPLES[: limits.max_rows])
            for name in repeatable
        ]
        return Served(
            functions,
            [self.tf_variables, self.tokenizer],
            requests,
            samples,
            self.search,
            limits.of("max_rows", "max_characters") | {"max_steps": self.search.max_length},
        )

    def __call__(self, text: tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
        """Prompts, strings (B,) -> texts that begin with them, strings (B,)."""
        return self.n_best(text, seed)[0][:, 0]

    def n_best(self, text: tf.Tensor, seed: tf.Tensor | None = None) -> tuple[tf.Tensor, tf.Tensor]:
        """Prompts, strings (B,) -> texts, strings (B, N), and log-probabilities, float32 (B, N).

        A prompt of `max_length` tokens and more is cut to its end: what comes next follows from that. The
        text returned begins with the prompt as the tokenizer reads it back. The texts of a beam search
        differ; where there are fewer than N the rest is empty, with the score -inf. `seed` is of a sampling,
        int32, a scalar or (B,); that of the search if None.
        """
        tokens = self.tokenizer.tokenize(text)[:, -(self.search.max_length - 1) :]
        # At least one column: the search finds the batch's size in it.
        prompt_ids = tokens.to_tensor(PAD_ID)
        prompt_ids = tf.pad(prompt_ids, [[0, 0], [0, tf.maximum(1 - tf.shape(prompt_ids)[1], 0)]])
        return decoded_texts(self.model, self.tokenizer, self.search, {"prompt_ids": prompt_ids}, seed)

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

"""Signatures of an exported translator: graph functions with named inputs and outputs.

    serving_default, translate      text -> translation
    translate_nbest                 text -> translations, scores
    score                           source, target -> log_prob, token_log_probs
    align                           text -> translation, source_tokens, target_tokens, attention
    tokens                          source_ids -> target_ids, scores
    translate_seeded                text, seed -> translations, scores; if the search draws

The batch is the first axis of every tensor: along it TF Serving joins requests and splits answers.

Legend: B texts, N hypotheses of a text, S source pieces, T target pieces, L `max_length` of the search.
"""

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np

from keras_transformer.installation import needs
from keras_transformer.pipelines import guards
from keras_transformer.pipelines.guards import Limits
from keras_transformer.pipelines.signatures import (
    LOWEST,
    SAMPLES,
    Served,
    answers_alike,
    draws,
    graph,
    single,
)
from keras_transformer.pipelines.text_graphs import same_rows
from keras_transformer.special_ids import END_ID

with needs("text"):
    import tensorflow as tf


def served(translator: Any, limits: Limits, layer: int | None = None, head: int | None = None) -> Served:
    """What is exported of a translator; see `functions`."""
    signatures = functions(translator, limits, layer, head)
    texts = SAMPLES[: limits.max_rows]
    # Targets that fit any limit: at most three tokens.
    repeatable = {name: signatures[name] for name in answers_alike(signatures, translator.search)}
    samples = list(_requests(translator, repeatable, texts, ["1", "", "1", ""][: len(texts)]))
    return Served(
        signatures,
        [translator.tf_variables, translator.source_tokenizer, translator.target_tokenizer],
        list(warm_up(translator, signatures, limits)),
        samples,
        translator.search,
        limits.of("max_rows", "max_characters", "max_target_tokens")
        | {"max_source_tokens": translator.max_source_length, "max_steps": translator.search.max_length},
    )


def functions(translator: Any, limits: Limits, layer: int | None = None, head: int | None = None) -> dict:
    """The signatures of a translator.

    Args:
        translator: a `Translator`.
        limits: how large a request may be.
        layer, head: which attention `align` returns, counted from 0, negative from the end; the mean over all
            if None.

    Returns:
        Name of the signature -> `tf.function`.

    Raises:
        ValueError: the model has no such layer or head.
    """
    _check_attention(translator.model, layer, head)
    # Whoever asks for one translation does not wait for N.
    best = copy.copy(translator)
    best.search = single(translator.search)

    @graph(text=tf.string)
    def translate(text):
        """Best translations: `text` (B,) -> `translation` (B,), strings."""
        return {"translation": best(guards.text(text, limits))}

    @graph(text=tf.string)
    def translate_nbest(text):
        """N translations of each text, the best first; samples as drawn.

        `text` (B,) -> `translations` (B, N), strings, and `scores` (B, N), float32: log-probabilities,
        the end token included. Where there are fewer than N the rest is empty, with the score
        `LOWEST`, -3.4028235e38: JSON has no -inf.
        """
        translations, scores = translator.n_best(guards.text(text, limits))
        return {"translations": translations, "scores": tf.maximum(scores, LOWEST)}

    @graph(source=tf.string, target=tf.string)
    def score(source, target):
        """Log-probabilities of given translations, the end token included.

        `source`, `target` (B,), strings -> `log_prob` (B,), float32, and by piece of the target
        `token_log_probs` (B, T), zeros at padding. An empty source is a source like any other.
        """
        target = guards.target(target, translator.target_tokenizer, limits)
        token_log_probs, log_prob = translator.score(guards.text(source, limits), target)
        return {"log_prob": log_prob, "token_log_probs": token_log_probs}

    @graph(text=tf.string)
    def align(text):
        """Best translations, with what each of their pieces attended to.

        `text` (B,) -> `translation` (B,), `source_tokens` (B, S) and `target_tokens` (B, T), strings with
        the end token, empty at padding; `attention` (B, T, S), float32: rows sum to 1, and are zero at
        padding.
        """
        return best.align(guards.text(text, limits), layer, head)

    @graph(source_ids=tf.int32)
    def tokens(source_ids):
        """The model without tokenizers.

        `source_ids` (B, S), int32, each row ended with `END_ID` and then padded with `PAD_ID`; S is at most
        the translator's `max_source_length` -> `target_ids` (B, N, L), int32, without the start token,
        padded after the end token; `scores` (B, N) as those of `translate_nbest`.
        """
        source_ids = guards.ids(source_ids, translator.max_source_length, limits)
        target_ids, scores = translator.tokens(source_ids)
        return {"target_ids": target_ids, "scores": tf.maximum(scores, LOWEST)}

    @graph(text=tf.string, seed=tf.int32)
    def translate_seeded(text, seed):
        """Samples of each text by its own seed: the same answer to the same question.

        `text` (B,), strings, `seed` (B,), int32 -> as `translate_nbest`.
        """
        text, seed = same_rows(text=text, seed=seed)
        translations, scores = translator.n_best(guards.text(text, limits), seed)
        return {"translations": translations, "scores": tf.maximum(scores, LOWEST)}

    found = {
        "serving_default": translate,
        "translate": translate,
        "translate_nbest": translate_nbest,
        "score": score,
        "align": align,
        "tokens": tokens,
    }
    return found | {"translate_seeded": translate_seeded} if draws(translator.search) else found


def warm_up(translator: Any, signatures: dict, limits: Limits) -> Iterator[tuple[str, dict]]:
    """Requests that make a server prepare all that its answers need, before it says "available".

    Args:
        translator: what the signatures were made of.
        signatures: what `functions` returned.
        limits: those of `functions`.

    Yields:
        For each signature the shortest and the longest text, alone and in a batch, and for those that decode
        each shape that XLA compiles: its name, and {input: array or list}.
    """
    # No tokenizer makes more than two tokens of " 1".
    target_length = min(translator.max_source_length, (limits.max_target_tokens - 1) // 2)
    short, long = ("1", ""), tuple(" ".join(["1"] * n) for n in (translator.max_source_length, target_length))
    for pairs in ([short], [long], ([short, long] * 4)[: limits.max_rows]):
        yield from _requests(translator, signatures, *map(list, zip(*pairs, strict=True)))
    if translator.compiled is not None:
        decoding = {name: function for name, function in signatures.items() if name != "score"}
        for texts in translator.compiled.requests(translator.source_ids):
            yield from _requests(translator, decoding, texts, texts)


def _requests(translator, signatures, texts, targets):
    """A request to each signature."""
    ids = translator.source_ids(tf.constant(texts)).numpy()
    values = {"text": texts, "source": texts, "target": targets, "source_ids": ids}
    values["seed"] = np.arange(len(texts), dtype="int32")
    for name, function in signatures.items():
        yield name, {spec.name: values[spec.name] for spec in function.input_signature}


def _check_attention(model, layer, head):
    state = model.initial_state({"source_ids": tf.constant([[END_ID]])}, max_length=1)
    _, num_layers, num_heads, _ = model.attention(state).shape
    for name, number, count in (("layer", layer, num_layers), ("head", head, num_heads)):
        if number is not None and not -count <= number < count:
            raise ValueError(
                f"`{name}` must be a number from {-count} to {count - 1}. Received: {name}={number}."
            )

"""What an exported model can be asked: each signature a graph function with named inputs and outputs.

    serving_default, translate      text -> translation
    translate_nbest                 text -> translations, scores
    score                           source, target -> log_prob, token_log_probs
    align                           text -> translation, source_tokens, target_tokens, attention
    tokens                          source_ids -> target_ids, scores

The batch is the first axis of every tensor: along it TF Serving joins requests and splits answers.

Legend: B texts, N hypotheses of a text, S source pieces, T target pieces, L `max_length` of the search.
"""

import dataclasses
from collections.abc import Iterator
from functools import partial
from typing import Any

import tensorflow as tf

from keras_transformer import decoding
from keras_transformer.special_ids import END_ID
from keras_transformer.translator import Translator
from serving import guards
from serving.limits import Limits

# Score of a hypothesis that is not there: -inf, as far as JSON has a number for it.
LOWEST = tf.float32.min
# Texts whose answers are stored with the export.
SAMPLES = ["1", "", "Ein Beispiel, 12.5 % \N{EM DASH} an example.", "\u00fc\u4e2d\u6587 \U0001f642"]


@dataclasses.dataclass(frozen=True)
class Served:
    """What is exported of a run.

    Attributes:
        functions: name of the signature -> `tf.function`.
        resources: variables and tokenizers that the functions read.
        warm_up, samples: requests, see `saved_model.write`.
        search: how it decodes; None if there is nothing to search.
        limits: how large a request may be, name -> number.
    """

    functions: dict
    resources: list
    warm_up: list
    samples: list
    search: decoding.Search | None
    limits: dict


def translator(run_folder, search, limits, checkpoint=None, ensemble=(), layer=None, head=None) -> Served:
    """What is exported of a run that translates."""
    found = Translator.from_run(run_folder, search, ensemble, checkpoint)
    signatures = functions(found, layer, head, limits)
    texts = SAMPLES[: limits.max_rows]
    # Targets that fit any limit: at most three tokens.
    samples = list(_requests(found, signatures, texts, ["1", "", "1", ""][: len(texts)]))
    return Served(
        signatures,
        [found.tf_variables, found.source_tokenizer, found.target_tokenizer],
        list(warm_up(found, signatures, limits)),
        samples,
        found.search,
        limits.of("max_rows", "max_characters", "max_target_tokens")
        | {"max_source_tokens": found.max_source_length, "max_steps": found.search.max_length},
    )


def functions(translator, layer=None, head=None, limits=None) -> dict:
    """The signatures of a translator.

    Args:
        translator: a `keras_transformer.translator.Translator`.
        layer, head: which attention `align` returns, counted from 0, negative from the end; the mean over all
            if None.
        limits: how large a request may be; `Limits()` if None.

    Returns:
        Name of the signature -> `tf.function`.

    Raises:
        ValueError: the model has no such layer or head.
    """
    _check_attention(translator.model, layer, head)
    limits = limits or Limits()
    # Whoever asks for one translation does not wait for N.
    best = Translator(
        translator.model,
        translator.source_tokenizer,
        translator.target_tokenizer,
        single(translator.search),
        translator.max_source_length,
    )

    @_graph(text=tf.string)
    def translate(text):
        """Best translations: `text` (B,) -> `translation` (B,), strings."""
        return {"translation": best(guards.text(text, limits))}

    @_graph(text=tf.string)
    def translate_nbest(text):
        """N translations of each text, the best first; samples as drawn.

        `text` (B,) -> `translations` (B, N), strings, and `scores` (B, N), float32: log-probabilities,
        the end token included. Where there are fewer than N the rest is empty, with the score
        `LOWEST`, -3.4028235e38: JSON has no -inf.
        """
        translations, scores = translator.n_best(guards.text(text, limits))
        return {"translations": translations, "scores": tf.maximum(scores, LOWEST)}

    @_graph(source=tf.string, target=tf.string)
    def score(source, target):
        """Log-probabilities of given translations, the end token included.

        `source`, `target` (B,), strings -> `log_prob` (B,), float32, and by piece of the target
        `token_log_probs` (B, T), zeros at padding. An empty source is a source like any other.
        """
        target = guards.target(target, translator.target_tokenizer, limits)
        token_log_probs, log_prob = translator.score(guards.text(source, limits), target)
        return {"log_prob": log_prob, "token_log_probs": token_log_probs}

    @_graph(text=tf.string)
    def align(text):
        """Best translations, with what each of their pieces attended to.

        `text` (B,) -> `translation` (B,), `source_tokens` (B, S) and `target_tokens` (B, T), strings with
        the end token, empty at padding; `attention` (B, T, S), float32: rows sum to 1, and are zero at
        padding.
        """
        return best.align(guards.text(text, limits), layer, head)

    @_graph(source_ids=tf.int32)
    def tokens(source_ids):
        """The model without tokenizers.

        `source_ids` (B, S), int32, each row ended with `END_ID` and then padded with `PAD_ID`; S is at most
        the translator's `max_source_length` -> `target_ids` (B, N, L), int32, without the start token,
        padded after the end token; `scores` (B, N) as those of `translate_nbest`.
        """
        source_ids = guards.ids(source_ids, translator.max_source_length, limits)
        target_ids, scores = translator.tokens(source_ids)
        return {"target_ids": target_ids, "scores": tf.maximum(scores, LOWEST)}

    return {
        "serving_default": translate,
        "translate": translate,
        "translate_nbest": translate_nbest,
        "score": score,
        "align": align,
        "tokens": tokens,
    }


def warm_up(translator, signatures, limits=None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Requests that make a server prepare all that its answers need, before it says "available".

    Args:
        translator: what the signatures were made of.
        signatures: what `functions` returned.
        limits: those of `functions`.

    Yields:
        For each signature the shortest and the longest text, alone and in a batch: its name, and
        {input: array or list}.
    """
    limits = limits or Limits()
    # No tokenizer makes more than two tokens of " 1".
    target_length = min(translator.max_source_length, (limits.max_target_tokens - 1) // 2)
    short, long = ("1", ""), tuple(" ".join(["1"] * n) for n in (translator.max_source_length, target_length))
    for pairs in ([short], [long], ([short, long] * 4)[: limits.max_rows]):
        yield from _requests(translator, signatures, *map(list, zip(*pairs, strict=True)))


def _requests(translator, signatures, texts, targets):
    """A request to each signature."""
    ids = translator.source_ids(tf.constant(texts)).numpy()
    values = {"text": texts, "source": texts, "target": targets, "source_ids": ids}
    for name, function in signatures.items():
        yield name, {spec.name: values[spec.name] for spec in function.input_signature}


def single(search) -> decoding.Search:
    """The search with one result for each source, that which is otherwise its first."""
    if isinstance(search, decoding.BeamSearch):
        return dataclasses.replace(search, n_best=1)
    if isinstance(search, decoding.Sampling):
        return dataclasses.replace(search, num_samples=1)
    return search


def _check_attention(model, layer, head):
    state = model.initial_state({"source_ids": tf.constant([[END_ID]])}, max_length=1)
    _, num_layers, num_heads, _ = model.attention(state).shape
    for name, number, count in (("layer", layer, num_layers), ("head", head, num_heads)):
        if number is not None and not -count <= number < count:
            raise ValueError(
                f"`{name}` must be a number from {-count} to {count - 1}. Received: {name}={number}."
            )


def _graph(**inputs):
    """Decorates a function of batches: strings (B,) and ids (B, S)."""
    specs = [
        tf.TensorSpec([None] if dtype == tf.string else [None, None], dtype, name)
        for name, dtype in inputs.items()
    ]
    return partial(tf.function, input_signature=specs, autograph=False)

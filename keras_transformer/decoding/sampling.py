"""Searches that decide for one token at each step: the likeliest, or one drawn at random."""

import math
from dataclasses import KW_ONLY, dataclass

from keras import ops

from keras_transformer.decoding.checks import MOST_HYPOTHESES, check_number, check_size
from keras_transformer.decoding.draws import fresh_seed, seed_word, uniform
from keras_transformer.decoding.search import Search
from keras_transformer.decoding.vocabulary import log_normaliser


class _TokenByToken(Search):
    """The step of a search whose hypotheses do not compete."""

    def _choose(self, logits, ranking, allowed, loop, rules):
        token_ids = self._pick(allowed, loop)  # (R,)
        chosen = ops.squeeze(ops.take_along_axis(logits, token_ids[:, None], axis=1), 1)
        log_probs = chosen - log_normaliser(logits)[:, 0]
        # A row that has ended stays as it is, whatever its neighbours still do.
        was_closed, scores = loop["is_closed"], loop["scores"]
        tokens = ops.where(was_closed, self.pad_id, ops.reshape(token_ids, ops.shape(was_closed)))
        ends = ops.logical_or(tokens == self.end_id, loop["index"] + 1 >= rules.longest[:, None])
        return {
            "tokens": tokens,
            "scores": ops.where(was_closed, scores, scores + ops.reshape(log_probs, ops.shape(scores))),
            "is_closed": ops.logical_or(was_closed, ends),
        }, None

    def _pick(self, logits, loop):
        """Token of each row, int32 (R,), from the allowed logits (R, V) and what is carried."""
        raise NotImplementedError


@dataclass(frozen=True)
class Greedy(_TokenByToken):
    """Takes the likeliest token at each step. The arguments are those of `Search`."""

    def _pick(self, logits, loop):
        # Sooner than `argmax`, by 1.5 to 2 times on CPUs.
        return ops.cast(ops.top_k(logits, 1)[1][:, 0], "int32")


@dataclass(frozen=True)
class Sampling(_TokenByToken):
    """Draws each token from the model's distribution, or from its most likely part.

    The filters apply in this order: temperature, top-k, top-p, min-p; what passes is normalised again. Each
    draw is a function of `seed`, of what is in the row, of how many equal rows come before it in the batch,
    of the number of the sample and of the position: the same seed gives the same text for the same source on
    every backend, beside any neighbours, in Python and in an exported model, and equal rows have texts of
    their own.

    Args:
        temperature: logits are divided by it, > 0; below 1 sharper, above 1 flatter.
        top_k: only the k likeliest tokens, >= 1 (Fan et al. 2018, section 5.4); None for all.
        top_p: only the smallest set of likeliest tokens whose probabilities sum to p or more, 0 < p <= 1
            (Holtzman et al. 2020, section 3.1).
        min_p: only tokens at least p times as likely as the likeliest, 0 <= p <= 1 (Nguyen et al. 2024).
        num_samples: N, samples for each source, 1 to 2**16; they come in the order in which they were drawn.
        seed: of the draws, an integer >= 0; None for a new one at each call. Inside a `jax.jit` that is one
            for all of its calls.

    The other arguments are those of `Search`.
    """

    _: KW_ONLY
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0
    min_p: float = 0.0
    num_samples: int = 1
    seed: int | None = 0

    def __post_init__(self):
        super().__post_init__()
        check_number(self, "temperature", above=0)
        if self.top_k is not None:
            check_size(self, "top_k")
        check_number(self, "top_p", above=0, most=1)
        check_number(self, "min_p", least=0, most=1)
        check_size(self, "num_samples", most=MOST_HYPOTHESES)
        if self.seed is not None:
            check_size(self, "seed", least=0, most=math.inf)

    @property
    def num_hypotheses(self) -> int:
        return self.num_samples

    def _pick(self, logits, loop):
        logits = logits / self.temperature
        size = logits.shape[-1]
        is_filtered = self.top_k is not None or self.top_p < 1 or self.min_p > 0
        if is_filtered:  # likeliest first: then each filter keeps a beginning
            logits, ids = ops.top_k(logits, min(self.top_k or size, size))
        probabilities = ops.softmax(logits, axis=-1) if logits.shape[-1] > 1 else ops.ones_like(logits)
        if is_filtered:
            above = ops.cumsum(probabilities, axis=-1) - probabilities
            is_kept = ops.logical_and(above < self.top_p, probabilities >= self.min_p * probabilities[:, :1])
            probabilities = ops.where(is_kept, probabilities, 0.0)
        # Inverse of the cumulative distribution at a uniform draw.
        cumulative = ops.cumsum(probabilities, axis=-1)
        draws = ops.take(loop["draws"], loop["index"], axis=1)[:, None]  # (R, 1)
        place = ops.sum(ops.cast(cumulative <= draws * cumulative[:, -1:], "int32"), axis=-1)
        return ops.squeeze(ops.take_along_axis(ids, place[:, None], axis=1), 1) if is_filtered else place

    def _random(self, batch_size, seed, streams):
        if seed is None:
            seed = fresh_seed() if self.seed is None else seed_word(self.seed)
        streams = ops.arange(batch_size) if streams is None else streams
        draws = uniform(seed, ops.cast(streams, "int32"), self.num_samples, self.max_length)
        return {"draws": ops.reshape(draws, (-1, self.max_length))}

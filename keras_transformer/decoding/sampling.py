"""Searches that decide for one token at each step: the likeliest, or one drawn at random."""

from dataclasses import KW_ONLY, dataclass

import numpy as np
from keras import ops

from keras_transformer.decoding.checks import check_number, check_size
from keras_transformer.decoding.search import Search
from keras_transformer.decoding.vocabulary import log_normaliser


class _TokenByToken(Search):
    """The step of a search whose hypotheses do not compete."""

    def _choose(self, logits, ranking, allowed, loop, rules):
        token_ids = self._pick(allowed, loop["index"])  # (R,)
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

    def _pick(self, logits, index):
        """Token of each row, int32 (R,), from the allowed logits (R, V)."""
        raise NotImplementedError


@dataclass(frozen=True)
class Greedy(_TokenByToken):
    """Takes the likeliest token at each step.

    Args:
        Those of `Search`.
    """

    def _pick(self, logits, index):
        # Sooner than `argmax`, by 1.5 to 2 times on CPUs.
        return ops.cast(ops.top_k(logits, 1)[1][:, 0], "int32")


@dataclass(frozen=True)
class Sampling(_TokenByToken):
    """Draws each token from the model's distribution, or from its most likely part.

    The filters apply in this order: temperature, top-k, top-p, min-p; what passes is normalised again. The
    draws come from a table that `seed` alone decides, one number for each sample and position, shared
    by all rows of a batch: the same seed gives the same text for the same source on every backend, in
    every batch, in Python and in an exported model.

    Args:
        temperature: logits are divided by it, > 0; below 1 sharper, above 1 flatter.
        top_k: only the k likeliest tokens, >= 1 (Fan et al. 2018, section 5.4); None for all.
        top_p: only the smallest set of likeliest tokens whose probabilities sum to p or more, 0 < p <= 1
            (Holtzman et al. 2020, section 3.1).
        min_p: only tokens at least p times as likely as the likeliest, 0 <= p <= 1 (Nguyen et al. 2024).
        num_samples: N, samples for each source, >= 1; they come in the order in which they were drawn.
        seed: of the draws, an integer >= 0.
        And those of `Search`.
    """

    _: KW_ONLY
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0
    min_p: float = 0.0
    num_samples: int = 1
    seed: int = 0

    def __post_init__(self):
        super().__post_init__()
        check_number(self, "temperature", above=0)
        if self.top_k is not None:
            check_size(self, "top_k")
        check_number(self, "top_p", above=0, most=1)
        check_number(self, "min_p", least=0, most=1)
        check_size(self, "num_samples")
        check_size(self, "seed", least=0)

    @property
    def num_hypotheses(self):
        return self.num_samples

    def _pick(self, logits, index):
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
        draws = ops.take(self._draws(), index, axis=0)  # (N,)
        draws = ops.take(draws, ops.arange(ops.shape(logits)[0]) % self.num_samples)[:, None]
        place = ops.sum(ops.cast(cumulative <= draws * cumulative[:, -1:], "int32"), axis=-1)
        return ops.squeeze(ops.take_along_axis(ids, place[:, None], axis=1), 1) if is_filtered else place

    def _draws(self):
        # Each sample has a stream of its own: the first is the same however many are drawn.
        streams = [np.random.default_rng([self.seed, number]) for number in range(self.num_samples)]
        draws = np.stack([stream.random(self.max_length) for stream in streams], axis=1)
        # In float32 the product with the total must stay below the total.
        return ops.convert_to_tensor(np.minimum(draws, 1 - 1e-6).astype("float32"))

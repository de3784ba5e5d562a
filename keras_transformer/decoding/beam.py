"""Beam search."""

from dataclasses import KW_ONLY, dataclass
from typing import Any

from keras import ops

from keras_transformer.decoding.checks import MOST_HYPOTHESES, check_number, check_size
from keras_transformer.decoding.constraints import BANNED
from keras_transformer.decoding.search import NOT_FOUND, Search
from keras_transformer.decoding.vocabulary import log_normaliser, top_k

# Floor of a source token's coverage, for its logarithm.
LEAST_COVERAGE = 1e-6


@dataclass(frozen=True)
class BeamSearch(Search):
    """Follows the `width` most likely hypotheses and returns the best `n_best` of those that have ended.

    A hypothesis y of a source x ranks by log P(y | x) / lp(y) + cp(x, y) (Wu et al. 2016, equation 14):

        lp(y) = ((5 + |y|) / 6) ** alpha
        cp(x, y) = coverage_penalty * sum over source tokens of log(min(attention received, 1))

    One that has ended is frozen: it keeps its place in the beam, and the others go on in the places that
    are left. A row stops when none of its open hypotheses can still come among its `n_best`, whatever
    follows. Width 1 is greedy search; a width of all V ** L sequences is exhaustive search.

    Args:
        width: W, hypotheses of a source, 1 to 2**16; 4 in Vaswani et al. 2017, section 6.1.
        alpha: of the length penalty, >= 0; 0 ranks by log-probability alone, which favours short
            results; 0.6 in Vaswani et al. 2017, section 6.1.
        coverage_penalty: >= 0, Wu et al.'s beta; 0 for none. Attention is averaged over layers and heads;
            a token that received none counts as 1e-6.
        n_best: N, results for each source, 1 to `width`, best first.

    The other arguments are those of `Search`. With a repetition penalty hypotheses rank by the penalised
    distribution, and scores are the model's own log-probabilities all the same.
    """

    _: KW_ONLY
    width: int = 4
    alpha: float = 0.6
    coverage_penalty: float = 0.0
    n_best: int = 1

    def __post_init__(self):
        super().__post_init__()
        check_size(self, "width", most=MOST_HYPOTHESES)
        check_size(self, "n_best", most=self.width)
        check_number(self, "alpha", least=0)
        check_number(self, "coverage_penalty", least=0)

    @property
    def num_hypotheses(self) -> int:
        return self.width

    @property
    def needs(self) -> dict[str, dict[str, Any]]:
        if not self.coverage_penalty:
            return super().needs
        own = {"coverage_penalty": self.coverage_penalty}
        return {"attention": own, "source_mask": own | super().needs.get("source_mask", {})}

    def _start(self, batch_size, source_mask):
        # All hypotheses begin alike: only the first is there.
        first = ops.where(ops.arange(self.width) == 0, 0.0, NOT_FOUND)
        start = {
            "sums": ops.broadcast_to(first, (batch_size, self.width)),  # of the ranking's log-probabilities
            "ranks": ops.full((batch_size, self.width), NOT_FOUND),  # of those that have ended
        }
        if self.coverage_penalty:
            start["coverage"] = ops.zeros((batch_size * self.width, ops.shape(source_mask)[1]))
            start["is_source"] = source_mask
        return start

    def _may_read_ahead(self, keep_attention):
        return super()._may_read_ahead(keep_attention) and not self.reweighs

    def _gained(self, loop, log_probs):
        is_found = loop["sums"] > NOT_FOUND / 2
        sums = ops.where(is_found, loop["sums"] + log_probs, loop["sums"])
        return {**super()._gained(loop, log_probs), "sums": sums}

    def _choose(self, logits, ranking, allowed, loop, rules):
        is_open = ops.logical_not(loop["is_closed"])  # (B, W)
        candidates, tokens, gains = self._candidates(logits, ranking, allowed)  # (R, C) each
        count = candidates.shape[-1]
        candidates = ops.reshape(candidates, (-1, self.width, count)) + loop["sums"][..., None]
        candidates = ops.where(is_open[..., None], candidates, NOT_FOUND)
        sums, places = ops.top_k(_flat(candidates, self.width * count), self.width)  # (B, W), best first
        # The r-th open place takes the r-th best candidate.
        order = ops.maximum(ops.cumsum(ops.cast(is_open, "int32"), axis=1) - 1, 0)
        sums, places = (ops.take_along_axis(x, order, axis=1) for x in (sums, places))
        is_found = ops.logical_and(is_open, sums > BANNED / 2)
        places = ops.cast(places, "int32")
        own = ops.broadcast_to(ops.arange(self.width), ops.shape(is_open))
        parents = ops.where(is_open, places // count, own)
        tokens, gains = (
            ops.take_along_axis(_flat(x, self.width * count), places, axis=1) for x in (tokens, gains)
        )
        scores = ops.take_along_axis(loop["scores"], parents, axis=1)
        scores = ops.where(is_found, scores + gains, scores)
        sums = ops.where(is_found, sums, ops.where(is_open, NOT_FOUND, loop["sums"]))
        tokens = ops.where(is_found, tokens, self.pad_id)

        length = loop["index"] + 1
        has_ended = ops.logical_or(tokens == self.end_id, length >= rules.longest[:, None])
        has_ended = ops.logical_and(is_found, has_ended)
        new_ranks = sums / self._length_penalty(length) + self._coverage(loop, parents)
        ranks = ops.where(has_ended, new_ranks, loop["ranks"])
        is_closed = ops.logical_or(loop["is_closed"], has_ended)
        # The most that an open hypothesis can reach: certain of all that follows, to the last position
        # (a sum is negative, so that the largest length divides it best), and all of the source covered.
        most = ops.max(ops.where(is_closed, NOT_FOUND, sums), axis=1)
        most = most / self._length_penalty(rules.longest)
        worst = ops.top_k(ranks, self.n_best)[0][:, -1]
        is_done = ops.logical_or(most <= worst, most < BANNED / 2)
        return {
            "tokens": tokens,
            "scores": scores,
            "sums": sums,
            "ranks": ranks,
            "is_closed": ops.logical_or(is_closed, is_done[:, None]),
        }, None if self.width == 1 else parents

    def _candidates(self, logits, ranking, allowed):
        """What each row may go on with, best first: ranking's and model's log-probabilities and tokens."""
        normaliser = log_normaliser(logits)
        values, tokens = top_k(allowed, min(self.width, allowed.shape[-1]))
        if not self.reweighs:
            return values - normaliser, tokens, values - normaliser
        gains = ops.take_along_axis(logits, tokens, axis=1) - normaliser
        return values - log_normaliser(ranking), tokens, gains

    def _length_penalty(self, length):
        return ((5.0 + ops.cast(length, "float32")) / 6.0) ** self.alpha

    def _coverage(self, loop, parents):
        if not self.coverage_penalty:
            return 0.0
        coverage = ops.reshape(loop["coverage"], (*ops.shape(parents), -1))  # (B, W, S)
        coverage = ops.take_along_axis(coverage, parents[..., None], axis=1)
        logs = ops.log(ops.clip(coverage, LEAST_COVERAGE, 1.0))
        logs = ops.where(loop["is_source"][:, None], logs, 0.0)
        return self.coverage_penalty * ops.sum(logs, axis=-1)

    def _best(self, loop):
        ranks, best = ops.top_k(loop["ranks"], self.n_best)
        scores = ops.take_along_axis(loop["scores"], best, axis=1)
        return ops.cast(best, "int32"), ops.where(ranks > NOT_FOUND / 2, scores, NOT_FOUND)


def _flat(x, size):
    return ops.reshape(x, (-1, size))

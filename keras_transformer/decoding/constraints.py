"""Constraints of a search: lengths, repetitions, forced prefixes. Legend as in search.py."""

from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
from keras import ops

from keras_transformer.decoding.checks import MOST_TOKENS, check_number, check_size
from keras_transformer.types import Tensor

# Added to the logit of a token that is not allowed. Beyond any log-probability of a whole text, and small
# enough for float32 to tell one such hypothesis from another that does not exist at all.
BANNED = -1e9


@dataclass(frozen=True)
class Constraints:
    """What a search may be told of lengths and tokens.

    Args:
        max_length: L, largest number of tokens of a result, the end token included, 1 to 2**20. A
            longer hypothesis is cut and then has no end token.
        min_length: smallest number of tokens of a result, the end token included, 1 to `max_length`.
        max_ratio: largest number of tokens of a result for each token of the source, > 0 (the product
            rounded up); None for no such limit.
        min_ratio: smallest number of tokens of a result for each token of the source, >= 0.
        no_repeat_ngram_size: n, no n-gram occurs twice in a result (Paulus et al. 2018, section 2.5);
            0 to allow all.
        repetition_penalty: > 0; logits of tokens that the hypothesis holds already are divided by it where
            positive and multiplied by it where negative (Keskar et al. 2019, section 4.1); 1 for none.

    Raises:
        ValueError: a value is out of range.
    """

    max_length: int
    _: KW_ONLY
    min_length: int = 1
    max_ratio: float | None = None
    min_ratio: float = 0.0
    no_repeat_ngram_size: int = 0
    repetition_penalty: float = 1.0

    def __post_init__(self):
        check_size(self, "max_length", most=MOST_TOKENS)
        check_size(self, "min_length", most=self.max_length)
        check_size(self, "no_repeat_ngram_size", least=0)
        check_number(self, "repetition_penalty", above=0)
        check_number(self, "min_ratio", least=0)
        if self.max_ratio is not None:
            check_number(self, "max_ratio", above=0)
            if self.max_ratio < self.min_ratio:
                raise ValueError(
                    "`max_ratio` must not be smaller than `min_ratio`. "
                    f"Received: max_ratio={self.max_ratio}, min_ratio={self.min_ratio}."
                )

    @property
    def ratios(self) -> dict[str, float]:
        """The limits that need a source, those that are set."""
        return {name: value for name in ("max_ratio", "min_ratio") if (value := getattr(self, name))}

    @property
    def reweighs(self) -> bool:
        """Whether hypotheses rank by other log-probabilities than the model's."""
        return self.repetition_penalty != 1.0


class Rules:
    """The limits and rules of a `Search`, for one batch.

    Args:
        search: a `Search`.
        batch_size: B.
        source_mask: bool, (B, S), or None.
        prefix_ids: int32, (B, P), or None.

    Attributes:
        longest: int32, (B,), largest number of tokens of each row's results.
    """

    def __init__(
        self, search: Any, batch_size: int | Tensor, source_mask: Tensor | None, prefix_ids: Tensor | None
    ):
        self.search = search
        self.positions = ops.arange(search.max_length)
        self.longest = ops.full((batch_size,), search.max_length, "int32")
        self.shortest = ops.full((batch_size,), search.min_length, "int32")
        if source_mask is not None:
            source_length = ops.sum(ops.cast(source_mask, "float32"), axis=1)
            if search.max_ratio is not None:
                ratio_limit = _limit(source_length, search.max_ratio, search.max_length)
                self.longest = ops.maximum(ratio_limit, 1)
            ratio_limit = _limit(source_length, search.min_ratio, search.max_length)
            self.shortest = ops.minimum(ops.maximum(self.shortest, ratio_limit), self.longest)
        self.prefix = None
        if prefix_ids is not None:
            room = ops.full((batch_size, search.max_length), search.pad_id, "int32")
            prefix = ops.concatenate([ops.cast(prefix_ids, "int32"), room], axis=1)[:, : search.max_length]
            length = ops.sum(ops.cast(prefix != search.pad_id, "int32"), axis=1)
            self.longest = ops.minimum(ops.maximum(self.longest, length + 1), search.max_length)
            self.prefix = ops.repeat(prefix, search.num_hypotheses, axis=0)  # (R, L)

    def penalised(self, logits: Tensor, ids: Tensor) -> Tensor:
        """Logits (R, V) with the repetition penalty, for the tokens so far, int32 (R, L)."""
        penalty = self.search.repetition_penalty
        if not self.search.reweighs:
            return logits
        is_repeated = self._holds(ids, ids != self.search.pad_id, logits.shape[-1])
        penalised = ops.where(logits > 0, logits / penalty, logits * penalty)
        return ops.where(is_repeated, penalised, logits)

    def allowed(self, logits: Tensor, ids: Tensor, index: int | Tensor) -> Tensor:
        """Logits (R, V) after the rules; near `BANNED` and less for what is not allowed.

        Args:
            logits: (R, V), penalised.
            ids: int32, (R, L), the tokens so far.
            index: the position that is being decided, an integer scalar.
        """
        search, size = self.search, logits.shape[-1]
        before = logits
        if search.no_repeat_ngram_size:
            logits = logits + BANNED * ops.cast(self._completes_ngram(ids, index, size), "float32")
        # Twice: where the rules leave nothing at all, another token still comes before these.
        special = [search.pad_id, search.start_id]
        first = min(max(special) + 1, size)
        banned = (2 * BANNED * np.isin(np.arange(first), special)).astype("float32")
        # Zeros that are made at each step: as a constant each loop of an export would hold V numbers.
        banned, tokens = ops.pad(ops.convert_to_tensor(banned), [[0, size - first]]), ops.arange(size)
        if search.min_length > 1 or search.min_ratio > 0:
            is_end = ops.cast(tokens == search.end_id, "float32")
            # One number if all rows have one limit: an addition of (V,), not of (R, V).
            varies = search.min_ratio > 0 or search.max_ratio is not None
            is_short = ops.less(index + 1, self.shortest if varies else search.min_length)
            is_short = ops.cast(is_short, "float32")
            if varies:
                is_short = ops.repeat(is_short, search.num_hypotheses)[:, None]
            banned = banned + BANNED * is_short * is_end
        logits = logits + banned
        if self.prefix is not None:
            forced = ops.take(self.prefix, index, axis=1)[:, None]  # (R, 1)
            is_wrong = ops.logical_and(forced != search.pad_id, forced != tokens)
            # What is forced is allowed, whatever the other rules say.
            is_forced = ops.logical_and(forced != search.pad_id, forced == tokens)
            logits = ops.where(is_wrong, BANNED, ops.where(is_forced, before, logits))
        return logits

    def _holds(self, ids, is_meant, size):
        """(R, V): whether token v is one of the row's meant ids (R, L)."""
        rows = ops.broadcast_to(ops.arange(ops.shape(ids)[0])[:, None], ops.shape(ids))
        indices = ops.reshape(ops.stack([rows, ids], axis=-1), (-1, 2))
        counts = ops.reshape(ops.cast(is_meant, "int32"), (-1,))
        return ops.scatter(indices, counts, (ops.shape(ids)[0], size)) > 0

    def _completes_ngram(self, ids, index, size):
        """(R, V): whether token v would end an n-gram that the row has already."""
        before = self.search.no_repeat_ngram_size - 1
        # An n-gram ends at each position: it is the row's if the n - 1 tokens before are the latest ones.
        is_seen = ops.logical_and(self.positions >= before, self.positions < index)
        is_seen = ops.broadcast_to(is_seen, ops.shape(ids))
        for back in range(1, before + 1):
            latest = ops.take(ids, ops.maximum(index - back, 0), axis=1)[:, None]
            is_seen = ops.logical_and(is_seen, ops.roll(ids, back, axis=1) == latest)
        return self._holds(ids, is_seen, size)


def _limit(length, ratio, most):
    """`length` * `ratio`, rounded up, int32; at most `most`, whatever the product is."""
    return ops.cast(ops.minimum(ops.ceil(length * ratio - 1e-3), float(most)), "int32")

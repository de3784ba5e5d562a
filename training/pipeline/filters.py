"""Filters of pairs, and how many each of them left out."""

import hashlib

import numpy as np


class Filters:
    """Rules that a pair must pass, in this order; the first that it breaks counts it.

    Args:
        max_length: tokens that a side may have, >= 2, one special token included: END of a source and of the
            labels, START of the decoder's input.
        max_length_ratio: tokens of the longer side for each of the shorter, both with END, >= 1; None: any.
            Sentences that do not belong together often differ much in length.
        remove_duplicates: whether a pair is left out whose two texts came before, byte for byte.
        remove_copies: whether a pair is left out whose target is its source, byte for byte: Khayrallah and
            Koehn 2018, "On the Impact of Various Types of Noise on Neural Machine Translation", found
            untranslated targets to do the most harm.

    Attributes:
        dropped: rule -> number of pairs it left out so far; only rules that left out some.

    Raises:
        ValueError: `max_length` below 2 or `max_length_ratio` below 1.
    """

    def __init__(
        self,
        max_length: int,
        max_length_ratio: float | None = None,
        remove_duplicates: bool = False,
        remove_copies: bool = False,
    ):
        if max_length < 2:
            raise ValueError(f"`max_length` must be at least 2. Received: max_length={max_length}.")
        if max_length_ratio is not None and not max_length_ratio >= 1:
            raise ValueError(
                f"`max_length_ratio` must be at least 1. Received: max_length_ratio={max_length_ratio}."
            )
        self.max_length = max_length
        self.max_length_ratio = max_length_ratio
        self.remove_duplicates = remove_duplicates
        self.remove_copies = remove_copies
        self.dropped = {}
        self._seen = set()

    def keep(self, sources, targets, source_lengths, target_lengths) -> np.ndarray:
        """Which of some pairs pass, (N,) bool; counts the others.

        Args:
            sources, targets: (N,) texts, bytes.
            source_lengths, target_lengths: (N,) numbers of tokens, the special one included.
        """
        kept = np.ones(len(sources), bool)
        if self.remove_copies:
            self._drop(
                "copies", kept, np.array([s == t for s, t in zip(sources, targets, strict=True)], bool)
            )
        if self.remove_duplicates:
            seen = [self._has_seen(s, t) for s, t in zip(sources, targets, strict=True)]
            self._drop("duplicates", kept, np.array(seen, bool))
        longer = np.maximum(source_lengths, target_lengths)
        self._drop("too long", kept, longer > self.max_length)
        if self.max_length_ratio is not None:
            shorter = np.minimum(source_lengths, target_lengths)
            self._drop("too unequal in length", kept, longer > self.max_length_ratio * shorter)
        return kept

    def _drop(self, rule: str, kept: np.ndarray, broken: np.ndarray) -> None:
        count = int(np.count_nonzero(kept & broken))
        if count:
            self.dropped[rule] = self.dropped.get(rule, 0) + count
        kept &= ~broken

    def _has_seen(self, source: bytes, target: bytes) -> bool:
        # 16 bytes for each pair, not its text: a corpus of millions has to fit into memory.
        key = hashlib.blake2b(len(source).to_bytes(8, "big") + source + target, digest_size=16).digest()
        has_seen = key in self._seen
        self._seen.add(key)
        return has_seen

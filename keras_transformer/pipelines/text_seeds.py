"""Seeds of texts that are sampled, one for each."""

import numbers
import secrets
from collections import Counter
from collections.abc import Iterable
from typing import Any

from keras_transformer.decoding import Sampling
from keras_transformer.decoding.draws import seed_word
from keras_transformer.texts import shown


class TextSeeds:
    """A seed for each text that is sampled: of equal texts the second has the next seed.

    So results do not depend on how texts are cut into batches.

    Args:
        search: a `Sampling` with or without a seed; for others there are no seeds.
    """

    def __init__(self, search: Any):
        self._first, self._counts = None, Counter()
        if isinstance(search, Sampling):
            self._first = secrets.randbits(31) if search.seed is None else search.seed

    def __call__(self, texts: Iterable[str | bytes]) -> list[int] | None:
        """Texts -> integers >= 0, which go on where the last call ended; None for a search without draws."""
        if self._first is None:
            return None
        seeds = []
        for text in texts:
            text = text.encode() if isinstance(text, str) else text
            seeds.append(self._first + self._counts[text])
            self._counts[text] += 1
        return seeds


def seed_words(seeds: Iterable[int], search: Any, num_texts: int) -> list[int]:
    """Seeds of a list of texts as numbers that int32 holds.

    Raises:
        ValueError: they are not integers >= 0, one for each text, or the search does not draw.
    """
    seeds = list(seeds)
    if not isinstance(search, Sampling):
        raise ValueError(f"`seeds` are for a search that draws. Received: {search}.")
    are_seeds = all(
        isinstance(seed, numbers.Integral) and not isinstance(seed, bool) and seed >= 0 for seed in seeds
    )
    if not are_seeds or len(seeds) != num_texts:
        raise ValueError(
            f"There must be a seed >= 0 for each of {num_texts} texts. Received: {shown(seeds)}."
        )
    return [seed_word(int(seed)) for seed in seeds]

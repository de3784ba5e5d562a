"""Which hypotheses a search followed, written down while it runs."""

import dataclasses
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from keras_transformer.decoding.search import Search


class History(NamedTuple):
    """The hypotheses of a search after each step.

    Attributes:
        tokens: int32, (B, steps, W), what was appended at each step; padding where a hypothesis has ended
            before, or none was left for its place.
        parents: int32, (B, steps, W), the place, one step before, of the hypothesis that each goes on from.
        scores: float32, (B, steps, W), log-probabilities of the hypotheses with that token.
    """

    tokens: np.ndarray
    parents: np.ndarray
    scores: np.ndarray


def recorded(search: Search) -> tuple[Search, list]:
    """The same search, and a list that it fills with its steps; for a search that runs eagerly."""
    steps = []

    class Recorded(type(search)):
        """Decides as the search does, and writes it down."""

        def _choose(self, *arguments):
            chosen, parents = super()._choose(*arguments)
            own = np.broadcast_to(np.arange(self.num_hypotheses), chosen["tokens"].shape)
            step = chosen["tokens"], own if parents is None else parents, chosen["scores"]
            steps.append([ops.convert_to_numpy(x) for x in step])
            return chosen, parents

        def _may_read_ahead(self, keep_attention):
            return False  # what is read in one pass has no steps

    return Recorded(**_settings(search)), steps


def history_of(steps: list) -> History:
    """What `recorded` wrote down, at least one step."""
    return History(*(np.stack(x, axis=1) for x in zip(*steps, strict=True)))


def _settings(search) -> dict[str, Any]:
    return {field.name: getattr(search, field.name) for field in dataclasses.fields(search)}

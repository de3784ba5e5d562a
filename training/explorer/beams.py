"""The hypotheses of a search as a tree."""

import math
from dataclasses import dataclass

import numpy as np

from keras_transformer.special_ids import END_ID, PAD_ID


@dataclass(frozen=True)
class Node:
    """A token of a hypothesis.

    Attributes:
        token: its id.
        parent: number of the node before it; None at the first step.
        step: its position, from 0.
        log_prob: of the token, by the model.
        score: log-probability of the hypothesis up to here.
        fate: what came of it: "on" (there are nodes behind it), "ended" (with the end token), "cut" (at the
            longest length), "dropped" (better ones took its place), "open" (the search stopped: it could not
            win any more).
        rank: of the result that ends here, from 0; None for others.
    """

    token: int
    parent: int | None
    step: int
    log_prob: float
    score: float
    fate: str
    rank: int | None = None


def tree(history, results, max_length: int, row: int = 0) -> list[Node]:
    """All hypotheses that one row of a search followed; parents come before their children.

    Args:
        history: a `decoding.History`.
        results: int, (B, N, L), what the search returned.
        max_length: L of the search.
        row: which of its rows.
    """
    tokens, parents, scores = (np.asarray(x)[row] for x in history)
    nodes: list[list] = []  # token, parent, step, log_prob, score
    current = [None] * tokens.shape[1]
    for step, (ids, before, sums) in enumerate(zip(tokens, parents, scores, strict=True)):
        following = []
        for place, token in enumerate(ids.tolist()):
            if token == PAD_ID:  # it has ended and keeps its place, or the place is free
                kept = current[place]
                following.append(kept if kept is not None and nodes[kept][0] == END_ID else None)
                continue
            parent = current[int(before[place])] if step else None
            gained = float(sums[place]) - (nodes[parent][4] if parent is not None else 0.0)
            nodes.append([token, parent, step, min(gained, 0.0), float(sums[place])])
            following.append(len(nodes) - 1)
        current = following
    has_children = {parent for _, parent, *_ in nodes}
    ranks = {}
    for rank, ids in enumerate(np.asarray(results)[row].tolist()):
        ranks.setdefault(tuple(token for token in ids if token != PAD_ID), rank)
    found = []
    for number, (token, parent, step, log_prob, score) in enumerate(nodes):
        if number in has_children:
            fate = "on"
        elif token == END_ID:
            fate = "ended"
        elif step + 1 < len(tokens):
            fate = "dropped"
        else:
            fate = "cut" if step + 1 >= max_length else "open"
        rank = None if fate == "on" else ranks.get(path(nodes, number))
        if rank is not None and fate == "open":
            fate = "cut"  # a limit by the source's length
        found.append(Node(token, parent, step, _finite(log_prob), _finite(score), fate, rank))
    return found


def path(nodes, number) -> tuple[int, ...]:
    """The tokens from the first step to a node."""
    tokens = []
    while number is not None:
        token, parent, *_ = nodes[number]
        tokens.append(token)
        number = parent
    return tuple(reversed(tokens))


def _finite(value):
    return value if math.isfinite(value) else -1e30

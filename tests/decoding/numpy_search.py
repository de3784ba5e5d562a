"""The searches once more, slowly, in NumPy, from what their docstrings say: one source at a time, lists of
hypotheses, and no early stop."""

import math

import numpy as np

from tests.decoding.scripted import END, PAD, START, log_softmax


def limits(search, source_length, prefix=()):
    """Smallest and largest number of tokens of a result."""
    longest = search.max_length
    if search.max_ratio is not None:
        longest = min(longest, max(1, math.ceil(source_length * search.max_ratio)))
    shortest = min(max(search.min_length, math.ceil(source_length * search.min_ratio)), longest)
    if prefix:
        longest = min(max(longest, len(prefix) + 1), search.max_length)
    return shortest, longest


def is_allowed(search, token, so_far, shortest, prefix=()):
    if len(so_far) < len(prefix):
        return token == prefix[len(so_far)]
    if token in (PAD, START) or (token == END and len(so_far) + 1 < shortest):
        return False
    n = search.no_repeat_ngram_size
    text = [*so_far, token]
    ngrams = [tuple(text[i : i + n]) for i in range(len(text) - n + 1)] if n else []
    return n == 0 or len(text) < n or ngrams[-1] not in ngrams[:-1]


def choices(search, model, row, so_far, prefix=()):
    """{token: (what it adds to the ranking's log-probability, the model's log-probability)}."""
    logits = model.logits(row, so_far)
    penalty = search.repetition_penalty
    penalised = [(x / penalty if x > 0 else x * penalty) if t in so_far else x for t, x in enumerate(logits)]
    ranking, log_probs = log_softmax(np.array(penalised)), log_softmax(logits)
    shortest, _ = limits(search, model.lengths[row], prefix)
    tokens = [t for t in range(len(logits)) if is_allowed(search, t, so_far, shortest, prefix)]
    return {t: (float(ranking[t]), float(log_probs[t])) for t in tokens}


def rank(search, model, row, ids, total):
    """Wu et al. 2016, equation 14, for a search that may have no such parameters."""
    length_penalty = ((5 + len(ids)) / 6) ** search.alpha
    steps = [model.attention(row, ids[:t]).mean(axis=(0, 1)) for t in range(len(ids))]
    received = np.sum(steps, axis=0)[model.mask[row]]
    coverage = np.sum(np.log(np.clip(received, 1e-6, 1)))
    return total / length_penalty + search.coverage_penalty * coverage


def exhaustive(search, model, row=0, prefix=()):
    """The best of all sequences that end with the end token or are as long as allowed: [(ids, score)]."""
    _, longest = limits(search, model.lengths[row], prefix)
    found = []

    def follow(ids, total, score):
        if len(ids) == longest or (ids and ids[-1] == END):
            found.append((rank(search, model, row, ids, total), ids, score))
            return
        for token, (gain, log_prob) in choices(search, model, row, ids, prefix).items():
            follow([*ids, token], total + gain, score + log_prob)

    follow([], 0.0, 0.0)
    return _best(found, search.n_best)


def beam(search, model, row=0, prefix=()):
    """Beam search to the very end: [(ids, score)], the best first."""
    _, longest = limits(search, model.lengths[row], prefix)
    is_open, found = [(0.0, [], 0.0)], []
    while is_open and len(found) < search.width:
        candidates = [
            (total + gain, [*ids, token], score + log_prob)
            for total, ids, score in is_open
            for token, (gain, log_prob) in choices(search, model, row, ids, prefix).items()
        ]
        candidates.sort(key=lambda candidate: -candidate[0])
        is_open = []
        # One that has ended keeps its place in the beam.
        for total, ids, score in candidates[: search.width - len(found)]:
            if ids[-1] == END or len(ids) == longest:
                found.append((rank(search, model, row, ids, total), ids, score))
            else:
                is_open.append((total, ids, score))
    return _best(found, search.n_best)


def greedy(search, model, row=0, prefix=()):
    """[(ids, score)], one."""
    _, longest = limits(search, model.lengths[row], prefix)
    ids, score = [], 0.0
    while len(ids) < longest and END not in ids:
        options = choices(search, model, row, ids, prefix)
        token = max(options, key=lambda t: options[t][0])
        ids, score = [*ids, token], score + options[token][1]
    return [(ids, score)]


def _best(found, n_best):
    found.sort(key=lambda entry: -entry[0])
    return [(ids, score) for _, ids, score in found[:n_best]]


def assert_same(found, expected):
    """A search's ids (N, L) and scores (N,) are those of a list [(ids, score)], and nothing else."""
    ids, scores = found
    length = ids.shape[-1]
    wanted = [[*tokens, *[PAD] * (length - len(tokens))] for tokens, _ in expected]
    np.testing.assert_array_equal(ids[: len(expected)], wanted)
    np.testing.assert_allclose(scores[: len(expected)], [score for _, score in expected], atol=1e-4)
    # Where there are fewer than N hypotheses.
    assert (ids[len(expected) :] == PAD).all()
    assert (scores[len(expected) :] == -np.inf).all()

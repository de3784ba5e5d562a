"""Step functions without a model: scripts that spell words, and tables that answer to the whole prefix.

Each understands rows as `models.AutoregressiveModel` says: B rows in "source", R = B * W in "target".
"""

import contextlib

import keras
import numpy as np
import pytest
from keras import ops

from keras_transformer import decoding
from keras_transformer.special_ids import END_ID, PAD_ID, START_ID, UNKNOWN_ID
from tests import checks

# Padding _, unknown ?, start ^, end $, then letters.
ALPHABET = "_?^$abcdefghijklmnopqrstuvwxyz"
PAD, UNKNOWN, START, END = PAD_ID, UNKNOWN_ID, START_ID, END_ID


def ids_of(word):
    return [ALPHABET.index(letter) for letter in word]


def words_of(ids):
    """Words of a search's first results: (B, L) or (B, N, L)."""
    ids = checks.as_array(ids)
    return ["".join(ALPHABET[i] for i in row) for row in (ids if ids.ndim == 2 else ids[:, 0])]


def logits_for(next_ids, confidence=9.0):
    """(R, V), highest at the next id of each row."""
    return confidence * ops.one_hot(next_ids, len(ALPHABET), dtype="float32")


def speller(*scripts):
    """A step function that spells one script for each row, and its state: how far each row is."""
    letters = ops.convert_to_tensor(np.array([ids_of(script) for script in scripts], "int32"))

    def step(token_ids, state, index):
        spelled, letters = state["target"], state["source"]
        places = ops.reshape(spelled, (ops.shape(letters)[0], -1))  # (B, W)
        next_ids = ops.reshape(ops.take_along_axis(letters, places, axis=1), (-1,))
        return logits_for(next_ids), {"target": spelled + 1}

    return step, {"source": letters, "target": ops.zeros((len(scripts),), "int32")}


def constant(logits):
    """A step function that gives every row the same logits (V,), or a row's own (B, V); and its state."""
    logits = ops.convert_to_tensor(np.atleast_2d(np.array(logits, "float32")))

    def step(token_ids, state, index):
        rows = ops.shape(token_ids)[0] // ops.shape(logits)[0]
        return ops.repeat(logits, rows, axis=0), {"target": ()}

    return step, {"source": (), "target": ()}


def letters(end=None, **logits):
    """The same logits of letters, and of the end token, at every step; nothing else is ever likely."""
    row = np.full(len(ALPHABET), -60.0)
    for letter, logit in {"$": -60.0 if end is None else end, **logits}.items():
        row[ALPHABET.index(letter)] = logit
    return constant(row)


def bigrams(probabilities):
    """A step function that knows the last letter, and its state: {"a": {"b": 0.7, "$": 0.3}}."""
    table = np.full((len(ALPHABET), len(ALPHABET)), -np.inf, "float32")
    for last, following in probabilities.items():
        for letter, probability in following.items():
            table[ALPHABET.index(last), ALPHABET.index(letter)] = np.log(probability)
    table = ops.convert_to_tensor(np.maximum(table, -60))

    def step(token_ids, state, index):
        return ops.take(table, token_ids, axis=0), {"target": ()}

    return step, {"source": (), "target": ()}


@contextlib.contextmanager
def loops_in_python():
    """Runs `ops.while_loop` step by step, so that calls can be counted."""
    if keras.backend.backend() == "jax":
        import jax

        with jax.disable_jit():
            yield
    else:
        yield  # eager already


def counted(step):
    """The step function, and the list of the indices with which it was called."""
    calls = []

    def counted_step(token_ids, state, index):
        calls.append(int(index))
        return step(token_ids, state, index)

    return counted_step, calls


class TableModel:
    """Random logits and attention for each prefix: what brute force needs to mean anything.

    A prefix (the start token first) has a number; the number picks a row of two fixed tables. The prefix is
    spread over a nested state with a length, like a model's past, so that a row which goes on with another
    row's state gives itself away.

    Args:
        vocabulary_size: V.
        keys: one integer for each source: which tables it has.
        source_lengths: real tokens of each source, at most S = 5; all if None.
        seed: of the tables.
        spread: deviation of the logits.
        end: added to the logit of the end token.
    """

    S, LAYERS, HEADS, ROWS = 5, 2, 3, 4999

    def __init__(self, vocabulary_size, keys=(0,), source_lengths=None, seed=0, spread=2.0, end=0.0):
        rng = np.random.default_rng(seed)
        self.vocabulary_size = vocabulary_size
        self.keys = np.array(keys, "int32")
        self.lengths = np.array([self.S] * len(keys) if source_lengths is None else source_lengths)
        self.mask = np.arange(self.S) < self.lengths[:, None]
        self.table = rng.normal(0, spread, (self.ROWS, vocabulary_size)).astype("float32")
        self.table[:, END] += end
        # Cubes: some source tokens get next to nothing, as a coverage penalty has it.
        self.reads = rng.random((self.ROWS, self.LAYERS, self.HEADS, self.S)).astype("float32") ** 3
        self.factors = rng.integers(1, 9973, 97).astype("int32")

    @property
    def batch_size(self):
        return len(self.keys)

    # As a search sees it.

    def state(self, room):
        rows = self.batch_size
        return {
            "source": [ops.convert_to_tensor(self.keys), ops.convert_to_tensor(self.mask)],
            "target": {"past": ops.zeros((rows, room), "int32"), "sum": [(ops.zeros((rows,), "int32"),)]},
            "attention": ops.zeros((rows, self.LAYERS, self.HEADS, self.S)),
        }

    def grow(self, target, length):
        room = length - target["past"].shape[1]
        return {**target, "past": ops.pad(target["past"], [[0, 0], [0, room]])}

    def step(self, token_ids, state, index):
        (keys, mask), target = state["source"], state["target"]
        room = target["past"].shape[1]
        is_now = ops.arange(room) == index
        past = ops.where(is_now, token_ids[:, None] + 1, target["past"])  # (R, room)
        [(total,)] = target["sum"]
        total = total + 7 * token_ids
        numbers = ops.sum(past * ops.convert_to_tensor(self.factors[:room]), axis=1) + total  # (R,)
        numbers = ops.reshape(numbers, (ops.shape(keys)[0], -1)) + keys[:, None]  # (B, W)
        numbers = numbers % self.ROWS
        logits = ops.take(ops.convert_to_tensor(self.table), numbers, axis=0)
        reads = ops.take(ops.convert_to_tensor(self.reads), numbers, axis=0)  # (B, W, N, H, S)
        reads = ops.where(mask[:, None, None, None], reads, 0.0)
        reads = reads / ops.sum(reads, axis=-1, keepdims=True)
        new = {
            "target": {"past": past, "sum": [(total,)]},
            "attention": ops.reshape(reads, (-1, self.LAYERS, self.HEADS, self.S)),
        }
        return ops.reshape(logits, (-1, self.vocabulary_size)), new

    def search(self, search, growing=False, **kwargs):
        """Runs a search, with all that it may need; arrays of ids, scores and attention."""
        result = search(
            self.step,
            self.state(search.lengths[0] if growing else search.max_length),
            self.batch_size,
            grow=self.grow if growing else None,
            source_mask=ops.convert_to_tensor(self.mask),
            attention=lambda state: state["attention"],
            **kwargs,
        )
        return tuple(None if x is None else checks.as_array(x) for x in result)

    def part(self, rows):
        """The same tables for some of the sources, in another order, say."""
        part = object.__new__(TableModel)
        part.__dict__ = {**self.__dict__}
        part.keys, part.lengths, part.mask = self.keys[rows], self.lengths[rows], self.mask[rows]
        return part

    # As NumPy sees it; `ids` are a list of tokens without the start token.

    def _number(self, row, ids):
        tokens = np.array([START, *ids])
        number = np.sum((tokens + 1) * self.factors[: len(tokens)]) + 7 * np.sum(tokens)
        return int(number + self.keys[row]) % self.ROWS

    def logits(self, row, ids):
        """(V,), float64, what follows the prefix."""
        return self.table[self._number(row, ids)].astype("float64")

    def attention(self, row, ids):
        """(N, H, S), of the step that predicts what follows the prefix."""
        reads = np.where(self.mask[row], self.reads[self._number(row, ids)], 0.0)
        return reads / reads.sum(axis=-1, keepdims=True)

    def log_probability(self, row, ids):
        """Of a result without its padding."""
        steps = [log_softmax(self.logits(row, ids[:t]))[token] for t, token in enumerate(ids)]
        return float(np.sum(steps))


def log_softmax(logits):
    highest = np.max(logits)
    return logits - highest - np.log(np.sum(np.exp(logits - highest)))


def greedy_words(step_and_state, rows=1, max_length=7, source_lengths=None, prefixes=None, **rules):
    """Words of a greedy search; sources of so many tokens, prefixes as words padded with "_"."""
    given = {}
    if source_lengths:
        given["source_mask"] = ops.convert_to_tensor(np.arange(11) < np.array(source_lengths)[:, None])
    if prefixes:
        given["prefix_ids"] = ops.convert_to_tensor(np.array([ids_of(p) for p in prefixes], "int32"))
    return words_of(decoding.Greedy(max_length, **rules)(*step_and_state, rows, **given).ids)


def sampling(max_length, **options):
    return decoding.Sampling(max_length, num_samples=3, **options)


def beam(max_length, **options):
    return decoding.BeamSearch(max_length, width=3, n_best=3, **options)


EACH_SEARCH = pytest.mark.parametrize("make", [decoding.Greedy, sampling, beam])


def without_padding(ids):
    """The tokens of one result (L,) as a list."""
    return [int(token) for token in ids if token != PAD]

"""Texts with a class each -> batches of a few fixed shapes, in an order that seed and pass decide."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from training.pipeline.base import Batches, Shape, digest_of
from training.pipeline.pairs import Rows

# Texts that go through the tokenizer together.
TOKENIZER_BATCH = 1024


def rows(texts: Sequence, tokenize: Callable) -> Rows:
    """The ids of texts.

    Args:
        texts: N, at least one.
        tokenize: texts -> ragged ids.
    """
    return _rows(texts, lambda block: [tokenize(block)])[0]


def _rows(texts, tokenize):
    """`Rows` of each of the ragged tensors that are made of texts."""
    blocks = []
    for start in range(0, len(texts), TOKENIZER_BATCH):
        found = tokenize(list(texts[start : start + TOKENIZER_BATCH]))
        blocks.append([(x.flat_values.numpy(), x.row_lengths().numpy()) for x in found])
    return [Rows.join(parts) for parts in zip(*blocks, strict=True)]


def labelled_rows(texts: Sequence, labels: Sequence, tokenize: Callable) -> tuple[Rows, np.ndarray]:
    """The ids of texts whose words have labels, and a label for each id: a word's at its first, and else 0.

    Args:
        texts: N, at least one.
        labels: positive integers, one for each word of a text.
        tokenize: texts -> ragged ids, and where the words begin; those at the end may be missing.
    """
    ids, starts = _rows(texts, tokenize)
    by_id = np.zeros(len(ids.values), np.int32)
    read = [one[:number] for one, number in zip(labels, starts.lengths, strict=True)]
    by_id[np.repeat(ids.splits[:-1], starts.lengths) + starts.values] = list(itertools.chain(*read))
    return ids, by_id


class TextBatches(Batches):
    """Batches of texts of similar length.

    A text goes to the first boundary that holds it. What fills no batch there goes to the next boundary, so
    that all batches have as many rows. Only the last one has not: in training it is filled up with further
    texts of its length, so that each text comes at least once in a pass, and else it is smaller.

    Args:
        ids: N texts.
        labels: integers, (N,).
        batch_size: B, rows of a batch; no more than there are texts.
        boundaries: lengths in tokens, rising; the last must hold the longest text.
        shuffle: whether it is for training.
        seed: of the order, >= 0.
        row_multiple: in training, B is rounded up to a multiple of it.

    Raises:
        ValueError: there is no text.
    """

    AXES = "rows x tokens"

    def __init__(
        self,
        ids: Rows,
        labels: np.ndarray,
        *,
        batch_size: int,
        boundaries: Sequence[int],
        shuffle: bool,
        seed: int,
        row_multiple: int = 1,
    ):
        if not len(ids):
            raise ValueError("There must be at least one text. Received: none.")
        self.ids, self.labels = ids, np.asarray(labels, np.int32)
        self.batch_size = min(batch_size, len(ids))
        if shuffle:
            self.batch_size = -(-self.batch_size // row_multiple) * row_multiple
        self.boundaries = list(boundaries)
        self.bucket = np.searchsorted(boundaries, ids.lengths)
        self.shuffle = shuffle
        self.seed = seed

    def __len__(self):
        return -(-len(self.ids) // self.batch_size)

    @property
    def shapes(self) -> list[Shape]:
        """See `Batches`."""
        lengths = [length for length, _ in self.plan(0)]
        shapes = ((length, (self.batch_size, length)) for length in sorted(set(lengths)))
        return [Shape(shape, lengths.count(length), shape[0] * length) for length, shape in shapes]

    @property
    def signature(self) -> Any:
        """({"token_ids": (B, T)}, labels (B,)), int32, padded with 0."""
        ids = tf.TensorSpec((None, None), tf.int32)
        return {"token_ids": ids}, tf.TensorSpec((None,), tf.int32)

    def plan(self, number: int) -> list[tuple[int, np.ndarray]]:
        """The batches of a pass: tokens of a row, and which texts."""
        # Of the seed and the pass alone: a training that was interrupted finds its place again.
        generator = np.random.default_rng([self.seed, number])
        batches, rest = [], np.empty(0, np.int64)
        for bucket in np.unique(self.bucket):
            rows = np.flatnonzero(self.bucket == bucket)
            if self.shuffle:
                rows = generator.permutation(rows)
            rest = np.concatenate([rest, rows])
            while len(rest) >= self.batch_size:
                batches.append((self.boundaries[bucket], rest[: self.batch_size]))
                rest = rest[self.batch_size :]
        if len(rest):
            if self.shuffle:
                missing = self.batch_size - len(rest)
                rest = np.concatenate([rest, np.resize(generator.permutation(rows), missing)])
            batches.append((self.boundaries[bucket], rest))
        if self.shuffle:
            batches = [batches[place] for place in generator.permutation(len(batches))]
        return batches

    def batches_of_pass(self, number: int, start: int = 0) -> Iterator:
        """See `Batches`."""
        for length, rows in self.plan(number)[start:]:
            yield {"token_ids": self.ids.padded(rows, length)[0]}, self.labels[rows]

    def summary(self) -> str:
        """See `Batches`."""
        places = sum(shape.num_batches * shape.num_places for shape in self.shapes)
        padding = max(0.0, 1 - len(self.ids.values) / places)
        return (
            f"{len(self.ids):,} texts, {len(self):,} batches of {len(self.shapes)} shapes, "
            f"{len(self.ids.values):,} tokens, {padding:.0%} padding"
        )

    def digest(self) -> str:
        """See `Batches`."""
        return digest_of([self.ids.values, self.ids.splits, self.labels])


class TokenBatches(TextBatches):
    """`TextBatches` with a label for each token; see `labelled_rows`.

    Args:
        labels: integers, one for each of `ids`, end to end.
    """

    @property
    def signature(self) -> Any:
        """({"token_ids": (B, T)}, labels (B, T)), int32, padded with 0."""
        inputs, _ = super().signature
        return inputs, inputs["token_ids"]

    def batches_of_pass(self, number: int, start: int = 0) -> Iterator:
        """See `Batches`."""
        for length, rows in self.plan(number)[start:]:
            ids, labels = (
                Rows(x, self.ids.splits).padded(rows, length)[0] for x in (self.ids.values, self.labels)
            )
            yield {"token_ids": ids}, labels

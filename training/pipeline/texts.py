"""Texts with a class each -> batches of a few fixed shapes, in an order that seed and pass decide."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from training.pipeline.base import Batches, Shape, digest_of
from training.pipeline.pairs import Rows

# Texts that go through the tokenizer together.
TOKENIZER_BATCH = 1024


def rows(texts: Sequence[str], tokenize: Callable) -> Rows:
    """The ids of texts.

    Args:
        texts: N, at least one.
        tokenize: texts -> ragged ids.
    """
    blocks = []
    for start in range(0, len(texts), TOKENIZER_BATCH):
        ids = tokenize(list(texts[start : start + TOKENIZER_BATCH]))
        blocks.append((ids.flat_values.numpy(), ids.row_lengths().numpy()))
    return Rows.join(blocks)


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

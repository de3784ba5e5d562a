"""Base of all batches: passes over the data that can be entered anywhere, a few fixed shapes."""

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf


@dataclass(frozen=True)
class Shape:
    """One shape that batches have.

    Args:
        shape: rows first.
        num_batches: of a pass.
        num_places: of a batch, what its time grows with: tokens of the target with padding, pixels.
    """

    shape: tuple[int, ...]
    num_batches: int
    num_places: int


def digest_of(arrays) -> str:
    """A digest of shapes, types and values; a second for each gigabyte. None is an array, too."""
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        digest.update(f"{None if array is None else (array.shape, array.dtype.str)}".encode())
        if array is not None:
            digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
    return digest.hexdigest()


class Batches:
    """Batches in an order, and with changes, that depend on seed, pass and place alone.

    Subclasses give `__len__`, `shapes`, `batches_of_pass`, `signature` and `summary`.

    Attributes:
        AXES: the axes of `shapes` in words.
    """

    AXES = "rows"

    def __len__(self) -> int:
        """Batches of a pass."""
        raise NotImplementedError

    @property
    def shapes(self) -> list[Shape]:
        """The shapes of the batches."""
        raise NotImplementedError

    @property
    def signature(self) -> Any:
        """The tf.TensorSpecs of a batch: (inputs, labels)."""
        raise NotImplementedError

    def batches_of_pass(self, number: int, start: int = 0) -> Iterator:
        """The batches of one pass as NumPy arrays, from the one at place `start` on."""
        raise NotImplementedError

    def summary(self) -> str:
        """What a pass consists of, in a line."""
        raise NotImplementedError

    def digest(self) -> str:
        """A digest of the examples: other data has another."""
        raise NotImplementedError

    def stream(self, start: int = 0) -> tf.data.Dataset:
        """Pass after pass without an end, as `dataset`, from batch number `start` on."""
        return self._dataset(lambda: self._passes(start))

    def parts(self, count: int, numbers: range, start: int = 0, endless: bool = True) -> tf.data.Dataset:
        """Some of the parts of each batch, one after the other, without an end.

        Args:
            count: parts that a batch is split into along its rows: equal ones where the rows are a multiple
                of it, as in training; else, of a last batch that is measured, some have a row less, or none.
            numbers: the parts that are wanted.
            start: number of the batch to begin with, as of `stream`.
            endless: whether a pass follows the other; else the first comes again and again.
        """

        def parts():
            passes = self._passes(start) if endless else self._first_pass_again()
            for batch in passes:
                for number in numbers:
                    yield tf.nest.map_structure(lambda x: np.array_split(x, count)[number], batch)  # noqa: B023

        return self._dataset(parts)

    def _passes(self, start):
        first, skipped = divmod(start, len(self))
        for number in itertools.count(first):
            yield from self.batches_of_pass(number, skipped if number == first else 0)

    def _first_pass_again(self):
        while True:
            yield from self.batches_of_pass(0)

    def dataset(self) -> tf.data.Dataset:
        """The batches of the first pass: a data set of (inputs, labels), of known cardinality."""
        dataset = self._dataset(lambda: self.batches_of_pass(0))
        return dataset.apply(tf.data.experimental.assert_cardinality(len(self)))

    def _dataset(self, batches) -> tf.data.Dataset:
        dataset = tf.data.Dataset.from_generator(batches, output_signature=self.signature)
        return dataset.prefetch(tf.data.AUTOTUNE)

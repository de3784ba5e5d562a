"""Arrays with one row for each example -> batches, in an order that seed and pass decide."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from training.pipeline.base import Batches, Shape, digest_of


class ArrayBatches(Batches):
    """Batches of examples of one size.

    In training the examples of each pass come in another order, and those that fill no whole batch at its end
    are left out of it. Else they come as they are, and the last batch may be smaller.

    Args:
        inputs: {name: (N, ...)}, or one such array.
        labels: (N, ...).
        batch_size: B, rows of a batch; no more than there are examples.
        shuffle: whether it is for training.
        seed: of order and changes, >= 0.
        change: (inputs, labels, generator) -> the same, changed; None for no change.
        row_multiple: in training, B is rounded up to a multiple of it.

    Raises:
        ValueError: `batch_size` is not positive, or there is no example.
    """

    def __init__(
        self,
        inputs,
        labels: np.ndarray,
        *,
        batch_size: int,
        shuffle: bool,
        seed: int,
        change: Callable | None = None,
        row_multiple: int = 1,
    ):
        if batch_size < 1:
            raise ValueError(f"`batch_size` must be at least 1. Received: batch_size={batch_size}.")
        if not len(labels):
            raise ValueError("There must be at least one example. Received: none.")
        self.inputs, self.labels = inputs, labels
        self.batch_size = min(batch_size, len(labels))
        if shuffle:
            self.batch_size = -(-self.batch_size // row_multiple) * row_multiple
        if shuffle and self.batch_size > len(labels):
            raise ValueError(
                f"There must be an example for each micro-batch, {row_multiple}. Received: {len(labels)}."
            )
        self.shuffle = shuffle
        self.seed = seed
        self.change = change

    def __len__(self):
        whole, rest = divmod(len(self.labels), self.batch_size)
        return whole + bool(rest and not self.shuffle)

    @property
    def shapes(self) -> list[Shape]:
        """See `Batches`; the rows, and the sizes of the first input."""
        shape = self.batch_size, *tf.nest.flatten(self.inputs)[0].shape[1:]
        return [Shape(shape, len(self), self.batch_size)]

    @property
    def signature(self) -> Any:
        """See `Batches`."""
        return tf.nest.map_structure(
            lambda array: tf.TensorSpec((None, *array.shape[1:]), array.dtype), (self.inputs, self.labels)
        )

    def batches_of_pass(self, number: int, start: int = 0) -> Iterator:
        """See `Batches`."""
        order = np.arange(len(self.labels))
        if self.shuffle:
            # Of the seed and the pass alone: a training that was interrupted finds its place again.
            order = np.random.default_rng([self.seed, number]).permutation(order)
        for place in range(start, len(self)):
            rows = order[place * self.batch_size : (place + 1) * self.batch_size]
            inputs, labels = tf.nest.map_structure(lambda array: array[rows], (self.inputs, self.labels))  # noqa: B023
            if self.change is not None:
                generator = np.random.default_rng([self.seed, number, 1, place])
                inputs, labels = self.change(inputs, labels, generator)
            yield inputs, labels

    def summary(self) -> str:
        """See `Batches`."""
        sizes = " x ".join(map(str, self.shapes[0].shape[1:]))
        return f"{len(self.labels):,} examples of {sizes}, {len(self):,} batches of {self.batch_size}"

    def digest(self) -> str:
        """See `Batches`."""
        return digest_of([*tf.nest.flatten(self.inputs), self.labels])


def flipped_and_shifted(images: np.ndarray, flip: bool, shift: int, generator) -> np.ndarray:
    """Images as a camera might have taken them, too; what comes in from the edge is 0.

    Args:
        images: (B, H, W, C).
        flip: whether half of them are mirrored, left to right.
        shift: pixels by which each is moved at most, up, down, left or right.
        generator: `np.random.Generator`.
    """
    if flip:
        is_flipped = generator.random(len(images)) < 0.5
        images = np.where(is_flipped[:, None, None, None], images[:, :, ::-1], images)
    if shift:
        _, height, width, _ = images.shape
        padded = np.pad(images, ((0, 0), (shift, shift), (shift, shift), (0, 0)))
        tops, lefts = generator.integers(2 * shift + 1, size=(2, len(images)))
        images = np.stack(
            [
                image[top : top + height, left : left + width]
                for image, top, left in zip(padded, tops, lefts, strict=True)
            ]
        )
    return images

"""Running text -> windows of one length, each token once in a pass."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_transformer.special_ids import END_ID, PAD_ID, START_ID
from training.pipeline.base import Batches, Shape, digest_of

TOKENIZER_BATCH = 1024
# So many of the windows begin with the start token: the model learns to begin a text from nothing.
START_SHARE = 0.1


def encode_text(lines: Sequence[str], tokenizer, *, is_by_character: bool) -> np.ndarray:
    """The ids of all lines, int32 (N,).

    A tokenizer by characters sees the line ends. Sub-words have none: the end token stands there, the
    tokenizer's own where it has one.

    Args:
        lines: without their line ends.
        tokenizer: see `keras_transformer.tokenizers`.
        is_by_character: whether its units are characters or bytes.
    """
    parts = []
    for start in range(0, len(lines), TOKENIZER_BATCH):
        block = list(lines[start : start + TOKENIZER_BATCH])
        ids = tokenizer.tokenize([line + "\n" for line in block] if is_by_character else block)
        if not is_by_character:
            end_id = getattr(tokenizer, "end_id", END_ID)
            ids = tf.concat([ids, tf.fill([ids.nrows(), 1], end_id)], axis=1)
        parts.append(ids.flat_values.numpy().astype(np.int32))
    return np.concatenate(parts)


class WindowBatches(Batches):
    """Batches of windows of a running text.

    In training the windows of a pass begin at an offset that seed and pass decide, and come in an order that
    they decide, too: every token is a label once in a pass, or in the windows at both ends not at all.
    Else they lie side by side from the first token on, and the last one is padded.

    Args:
        ids: (N,), the text.
        window: T, tokens of a window, >= 1.
        batch_size: B, rows of a batch.
        shuffle: whether it is for training.
        seed: of order, offsets and examples, >= 0.
        make_example: tokens (B, T + 1), generator -> (inputs, labels). The first token of a row is the one
            before the window, or the start token.
        signature: the tf.TensorSpecs of (inputs, labels).
        row_multiple: B is rounded up to a multiple of it.

    Raises:
        ValueError: a size is not positive, or the text is shorter than a window.
    """

    AXES = "rows x tokens"

    def __init__(
        self,
        ids: np.ndarray,
        *,
        window: int,
        batch_size: int,
        shuffle: bool,
        seed: int,
        make_example: Callable,
        signature,
        row_multiple: int = 1,
    ):
        for name, size in (("window", window), ("batch_size", batch_size)):
            if size < 1:
                raise ValueError(f"`{name}` must be at least 1. Received: {name}={size}.")
        if shuffle and len(ids) < window + 1:
            raise ValueError(
                f"A training text must be longer than a window, {window} tokens. Received: {len(ids)} tokens."
            )
        self.ids = np.concatenate([[START_ID], ids]).astype(np.int32)
        self.window = window
        self.batch_size = -(-batch_size // row_multiple) * row_multiple
        self.shuffle = shuffle
        self.seed = seed
        self.make_example = make_example
        self._signature = signature

    @property
    def num_windows(self) -> int:
        """Of a pass."""
        num_labels = len(self.ids) - 1
        # Whatever the offset, so many whole windows fit.
        return (
            max(1, (num_labels - self.window + 1) // self.window)
            if self.shuffle
            else -(-num_labels // self.window)
        )

    def __len__(self):
        return -(-self.num_windows // self.batch_size)

    @property
    def shapes(self) -> list[Shape]:
        """See `Batches`."""
        shape = self.batch_size, self.window
        return [Shape(shape, len(self), self.batch_size * self.window)]

    @property
    def signature(self) -> Any:
        """See `Batches`."""
        return self._signature

    def batches_of_pass(self, number: int, start: int = 0) -> Iterator:
        """See `Batches`."""
        starts = np.arange(self.num_windows) * self.window
        if self.shuffle:
            # Of the seed and the pass alone: a training that was interrupted finds its place again.
            generator = np.random.default_rng([self.seed, number])
            last = len(self.ids) - 1 - self.num_windows * self.window
            starts = generator.permutation(starts + generator.integers(min(self.window, last + 1)))
        for place in range(start, len(self)):
            rows = starts[place * self.batch_size : (place + 1) * self.batch_size]
            generator = np.random.default_rng([self.seed, number, 1, place])
            yield self.make_example(self._tokens(rows, generator), generator)

    def _tokens(self, starts: np.ndarray, generator) -> np.ndarray:
        tokens = np.full((self.batch_size, self.window + 1), PAD_ID, np.int32)
        for row, start in enumerate(starts):
            found = self.ids[start : start + self.window + 1]
            tokens[row, : len(found)] = found
        if self.shuffle:
            begins = generator.random(len(starts)) < START_SHARE
            tokens[: len(starts), 0][begins] = START_ID
        return tokens

    def summary(self) -> str:
        """See `Batches`."""
        return (
            f"{len(self.ids) - 1:,} tokens, {len(self):,} batches of {self.batch_size} windows of "
            f"{self.window} tokens"
        )

    def digest(self) -> str:
        """See `Batches`."""
        return digest_of([self.ids])

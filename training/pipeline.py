"""From pairs of texts to batches of a few fixed shapes.

Tokenize, drop pairs that are too long, sort into buckets by length, shuffle with a seed, batch by
tokens, pad.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from keras_transformer.special_ids import END_ID, PAD_ID, START_ID

# Pairs that go through the tokenizers together.
TOKENIZER_BATCH = 1024


@dataclass(frozen=True)
class EncodedPairs:
    """Pairs as ids, held in memory (about 4 bytes an id)."""

    source: tf.RaggedTensor  # (N, None) int32: pieces, END
    target: tf.RaggedTensor  # (N, None) int32: START, pieces, END
    num_dropped: int  # pairs that were too long

    def __len__(self) -> int:
        return int(self.source.nrows())


@dataclass(frozen=True)
class Bucket:
    """Pairs of similar length, and the one shape of all their batches."""

    rows: np.ndarray  # int64, which pairs
    batch_size: int  # B, rows of a batch
    source_length: int  # S, tokens
    target_length: int  # T, tokens


def encode(pairs: tf.data.Dataset, source_tokenizer, target_tokenizer, *, max_length: int) -> EncodedPairs:
    """Tokenizes all pairs, in order, and drops those that are too long.

    Args:
        pairs: elements (source, target), scalar strings.
        source_tokenizer, target_tokenizer: see `keras_transformer.tokenizers`.
        max_length: tokens that a source (with END) and a target (with START, or with END) may have,
            >= 2.
    Raises:
        ValueError: `max_length` below 2; no pairs; every pair is too long.
    """
    if max_length < 2:
        raise ValueError(f"`max_length` must be at least 2. Received: max_length={max_length}.")

    def tokenize(source, target):
        return source_tokenizer.tokenize(source), target_tokenizer.tokenize(target)

    tokenized = pairs.batch(TOKENIZER_BATCH).map(
        tokenize, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    sources, targets, num_dropped = [], [], 0
    # tf.data keeps its tensors in host memory; so must the ids that it is going to read.
    with tf.device("CPU:0"):
        for source, target in tokenized.prefetch(tf.data.AUTOTUNE):
            source = _surround(source, None, END_ID)
            target = _surround(target, START_ID, END_ID)
            # The model reads START and pieces, and predicts pieces and END: one less than the row.
            fits = (source.row_lengths() <= max_length) & (target.row_lengths() - 1 <= max_length)
            sources.append(tf.ragged.boolean_mask(source, fits))
            targets.append(tf.ragged.boolean_mask(target, fits))
            num_dropped += int(tf.math.count_nonzero(~fits))
        if not sources:
            raise ValueError("`pairs` must hold at least one pair. Received: none.")
        result = EncodedPairs(tf.concat(sources, axis=0), tf.concat(targets, axis=0), num_dropped)
    if not len(result):
        raise ValueError(
            f"At least one pair must fit into max_length={max_length} tokens. "
            f"Received: {num_dropped} pairs, all longer."
        )
    return result


class BucketBatches:
    """Batches in which every pair appears exactly once in each pass.

    A pair goes into the first bucket whose boundary holds both its sides. All batches of a bucket
    have one shape, so that XLA compiles one program a bucket: the last is filled up with rows of
    pads.

    Args:
        encoded: the pairs.
        batch_tokens: padded tokens of a batch on its longer side: a bucket's batches have
            `batch_tokens // boundary` rows, at least 1 and no more than the bucket has pairs.
        bucket_boundaries: lengths in tokens, rising; the last must hold the longest pair.
        shuffle: True: pairs within a bucket, and the batches, come in an order that `seed` and the number
            of the pass decide. False: bucket by bucket, shortest first, each in the order of `encoded`.
        seed: of the shuffling, >= 0.
        row_multiple: the rows of every batch are a multiple of it, rounded up; what is missing is pads.

    Raises:
        ValueError: `batch_tokens` below 1, or boundaries that are not as said above.
    """

    def __init__(
        self,
        encoded: EncodedPairs,
        *,
        batch_tokens: int,
        bucket_boundaries: Sequence[int],
        shuffle: bool,
        seed: int,
        row_multiple: int = 1,
    ):
        if batch_tokens < 1:
            raise ValueError(f"`batch_tokens` must be at least 1. Received: batch_tokens={batch_tokens}.")
        self.encoded = encoded
        self.buckets = list(_buckets(encoded, batch_tokens, bucket_boundaries, row_multiple))
        self.shuffle = shuffle
        self.seed = seed

    def __len__(self) -> int:
        """Batches of a pass."""
        return sum(-(-len(bucket.rows) // bucket.batch_size) for bucket in self.buckets)

    def plan(self, number: int) -> list[tuple[int, np.ndarray]]:
        """The batches of one pass: index of the bucket, and rows of `encoded`."""
        # Of the seed and the pass alone: a training that was interrupted finds its place again.
        generator = np.random.default_rng([self.seed, number])
        batches = []
        for index, bucket in enumerate(self.buckets):
            rows = generator.permutation(bucket.rows) if self.shuffle else bucket.rows
            starts = range(0, len(rows), bucket.batch_size)
            batches += [(index, rows[start : start + bucket.batch_size]) for start in starts]
        if self.shuffle:
            batches = [batches[place] for place in generator.permutation(len(batches))]
        return batches

    def stream(self, start: int = 0) -> tf.data.Dataset:
        """Pass after pass without an end, as `dataset`, from batch number `start` on."""

        def batches():
            first, skipped = divmod(start, len(self))
            for number in itertools.count(first):
                yield from self.plan(number)[skipped if number == first else 0 :]

        return self._dataset(batches)

    def dataset(self) -> tf.data.Dataset:
        """The batches of the first pass.

        Returns:
            Dataset of ({"source_ids": (B, S), "target_ids": (B, T)}, labels (B, T)), int32, padded with
            0, of known cardinality. Labels are the target ids shifted by one.
        """
        dataset = self._dataset(lambda: self.plan(0))
        return dataset.apply(tf.data.experimental.assert_cardinality(len(self)))

    def _dataset(self, plan) -> tf.data.Dataset:
        shapes = np.array([(b.batch_size, b.source_length, b.target_length) for b in self.buckets])

        def batch(index, rows):
            size, source_length, target_length = tf.unstack(tf.gather(shapes, index))
            source = tf.gather(self.encoded.source, rows).to_tensor(PAD_ID, shape=(size, source_length))
            # START, pieces, END, pads.
            target = tf.gather(self.encoded.target, rows).to_tensor(PAD_ID, shape=(size, target_length + 1))
            labels = target[:, 1:]
            # What would predict a pad is END or a pad itself.
            target_ids = tf.where(labels == PAD_ID, PAD_ID, target[:, :-1])
            return {"source_ids": source, "target_ids": target_ids}, labels

        dataset = tf.data.Dataset.from_generator(
            plan, output_signature=(tf.TensorSpec((), tf.int64), tf.TensorSpec((None,), tf.int64))
        )
        dataset = dataset.map(batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        return dataset.prefetch(tf.data.AUTOTUNE)


def default_boundaries(max_length: int, count: int = 8) -> tuple[int, ...]:
    """At most `count` boundaries from 8 to `max_length`, in about equal ratios."""
    shortest = min(8, max_length)
    lengths = np.geomspace(shortest, max_length, count)[:-1]
    # Multiples of 4 are kinder to the hardware than odd lengths.
    rounded = {min(max_length, 4 * round(length / 4)) for length in lengths if length >= 8}
    return (*sorted(rounded - {max_length}), max_length)


def _surround(ids: tf.RaggedTensor, first: int | None, last: int) -> tf.RaggedTensor:
    """Adds `first` (if any) and `last` to each row."""
    ones = tf.ones((ids.nrows(), 1), tf.int32)
    return tf.concat(([] if first is None else [first * ones]) + [ids, last * ones], axis=1)


def _buckets(
    encoded: EncodedPairs, batch_tokens: int, boundaries: Sequence[int], row_multiple: int
) -> Iterator[Bucket]:
    boundaries = np.asarray(boundaries, dtype=np.int64)
    source_lengths = encoded.source.row_lengths().numpy()
    target_lengths = encoded.target.row_lengths().numpy() - 1
    lengths = np.maximum(source_lengths, target_lengths)
    is_rising = boundaries.ndim == 1 and len(boundaries) and (np.diff(boundaries) > 0).all()
    if not is_rising or boundaries[0] < 1 or boundaries[-1] < lengths.max():
        raise ValueError(
            "`bucket_boundaries` must be positive, rise, and end at no less than the longest pair, "
            f"{lengths.max()} tokens. Received: bucket_boundaries={boundaries.tolist()}."
        )

    bucket_of_pair = np.searchsorted(boundaries, lengths)
    for index in np.unique(bucket_of_pair):
        rows = np.flatnonzero(bucket_of_pair == index)
        # One side is often shorter throughout: dates written out against 10 characters of ISO 8601.
        sides = [
            boundaries[np.searchsorted(boundaries, side[rows].max())]
            for side in (source_lengths, target_lengths)
        ]
        batch_size = min(max(1, batch_tokens // boundaries[index]), len(rows))
        batch_size = -(-batch_size // row_multiple) * row_multiple
        yield Bucket(rows, int(batch_size), *map(int, sides))

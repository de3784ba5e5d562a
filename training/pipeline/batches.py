"""Pairs of ids -> batches of a few fixed shapes, in an order that seed and pass decide."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf

from keras_transformer.special_ids import END_ID, PAD_ID, START_ID
from training.pipeline.augmentation import Augmentation
from training.pipeline.base import Batches, Shape, digest_of
from training.pipeline.pairs import EncodedPairs, Rows

# Third number of a generator's seed, after seed and pass: what it draws. (No number counts as 0: the order.)
_SHARES, _CHANGES = 1, 2


@dataclass(frozen=True)
class Bucket:
    """Pairs of similar length, and the one shape of all their batches."""

    rows: list[np.ndarray]  # of each corpus, which pairs, int64
    size: int  # pairs of a pass
    batch_size: int  # B, rows of a batch
    source_length: int  # S, tokens
    target_length: int  # T, tokens

    @property
    def num_batches(self) -> int:
        return -(-self.size // self.batch_size)


class BucketBatches(Batches):
    """Batches in which every pair appears exactly once in each pass, or as often as its corpus's weight says.

    A pair goes into the first bucket whose boundary holds both its sides. All batches of a bucket
    have one shape, so that XLA compiles one program a bucket: the last is filled up with rows of
    pads.

    Of a corpus of weight 2.5, each pair appears twice in a pass, and half of them, bucket by bucket, a third
    time: these are cut from one random order after the other, so that after any number of passes no
    pair of a bucket and corpus has appeared more than once more often than another.

    Args:
        encoded: the pairs.
        batch_tokens: padded tokens of a batch on its longer side: a bucket's batches have
            `batch_tokens // boundary` rows, at least 1 and no more than the bucket has pairs in a pass.
        bucket_boundaries: lengths in tokens, rising; the last must hold the longest pair.
        shuffle: True: pairs within a bucket, and the batches, come in an order that `seed` and the number
            of the pass decide. False: bucket by bucket, shortest first, each in the order of `encoded`.
        seed: of the shuffling, the shares and the changes, >= 0.
        row_multiple: the rows of every batch are a multiple of it, rounded up; what is missing is pads.
        weights: how often a pair of each corpus appears in a pass, above 0; all 1 if None.
        augmentation: changes the pairs, each time in another way; None: they stay as they are. It also says
            how much room they need.

    Raises:
        ValueError: `batch_tokens` below 1, or boundaries that are not as said above.
    """

    AXES = "rows x source x target"

    def __init__(
        self,
        encoded: EncodedPairs,
        *,
        batch_tokens: int,
        bucket_boundaries: Sequence[int],
        shuffle: bool,
        seed: int,
        row_multiple: int = 1,
        weights: Sequence[float] | None = None,
        augmentation: Augmentation | None = None,
    ):
        if batch_tokens < 1:
            raise ValueError(f"`batch_tokens` must be at least 1. Received: batch_tokens={batch_tokens}.")
        self.encoded = encoded
        self.shuffle = shuffle
        self.seed = seed
        self.augmentation = augmentation
        self.weights = list(weights or [1.0] * (int(encoded.corpus.max()) + 1))
        self.buckets = list(self._make_buckets(batch_tokens, bucket_boundaries, row_multiple))

    def __len__(self):
        return sum(bucket.num_batches for bucket in self.buckets)

    @property
    def shapes(self) -> list[Shape]:
        """See `Batches`."""
        return [
            Shape(
                (bucket.batch_size, bucket.source_length, bucket.target_length),
                bucket.num_batches,
                bucket.batch_size * bucket.target_length,
            )
            for bucket in self.buckets
        ]

    @property
    def signature(self) -> Any:
        """({"source_ids": (B, S), "target_ids": (B, T)}, labels (B, T)), int32, padded with 0.

        Labels are the target ids shifted by one.
        """
        ids = tf.TensorSpec((None, None), tf.int32)
        return {"source_ids": ids, "target_ids": ids}, ids

    @property
    def num_shapes(self) -> int:
        """Shapes that batches have: so many programs XLA compiles."""
        return len({shape.shape for shape in self.shapes})

    @cached_property
    def num_tokens(self) -> tuple[int, int]:
        """Real tokens of the first pass's sources and of its targets, before any change."""
        rows = np.concatenate([self._rows(index, 0) for index in range(len(self.buckets))])
        sides = self.encoded.source, self.encoded.target
        return tuple(int((side.lengths[rows] + 1).sum()) for side in sides)

    @property
    def padding_ratio(self) -> tuple[float, float]:
        """Share of pads among the places of a pass's sources and of its targets, before any change."""
        places = [
            b.num_batches * b.batch_size * np.array([b.source_length, b.target_length]) for b in self.buckets
        ]
        return tuple(float(1 - real / all_) for real, all_ in zip(self.num_tokens, sum(places), strict=True))

    def summary(self) -> str:
        """In a line: pairs, what the filters left out, batches, tokens, padding."""
        sizes = np.bincount(self.encoded.corpus, minlength=len(self.weights))
        pairs = " + ".join(
            f"{size:,}" + (f" x {weight:g}" if weight != 1 else "")
            for size, weight in zip(sizes, self.weights, strict=True)
        )
        dropped = ", ".join(f"{count:,} {rule}" for rule, count in self.encoded.dropped.items())
        tokens, padding = self.num_tokens, self.padding_ratio
        return (
            f"{pairs} pairs{f' (left out: {dropped})' if dropped else ''}, {len(self):,} batches of "
            f"{self.num_shapes} shapes, {tokens[0]:,} source and {tokens[1]:,} target tokens, "
            f"{padding[0]:.0%} and {padding[1]:.0%} padding"
        )

    def digest(self) -> str:
        """See `Batches`."""
        encoded = self.encoded
        if encoded.digest is not None:
            return encoded.digest
        rows = encoded.source, encoded.target, encoded.source_texts, encoded.target_texts
        parts = [part for part in rows if part is not None]
        return digest_of([encoded.corpus, *(x for part in parts for x in (part.lengths, *part.blocks))])

    def plan(self, number: int) -> list[tuple[int, np.ndarray]]:
        """The batches of one pass: index of the bucket, and rows of `encoded`."""
        # Of the seed and the pass alone: a training that was interrupted finds its place again.
        generator = np.random.default_rng([self.seed, number])
        batches = []
        for index, bucket in enumerate(self.buckets):
            rows = self._rows(index, number)
            if self.shuffle:
                rows = generator.permutation(rows)
            starts = range(0, len(rows), bucket.batch_size)
            batches += [(index, rows[start : start + bucket.batch_size]) for start in starts]
        if self.shuffle:
            batches = [batches[place] for place in generator.permutation(len(batches))]
        return batches

    def batches_of_pass(self, number: int, start: int = 0) -> Iterator:
        """See `Batches`."""
        plan = self.plan(number)
        for place in range(start, len(plan)):
            # Of seed, pass and place alone, like the plan.
            generator = np.random.default_rng([self.seed, number, _CHANGES, place])
            yield self._batch(*plan[place], generator)

    def _batch(self, index: int, rows: np.ndarray, generator):
        bucket, encoded = self.buckets[index], self.encoded
        shape = bucket.batch_size, bucket.target_length
        source_ids = np.full((bucket.batch_size, bucket.source_length), PAD_ID, np.int32)
        target_ids, labels = np.full(shape, PAD_ID, np.int32), np.full(shape, PAD_ID, np.int32)
        if self.augmentation is None:
            sources, targets = encoded.source, encoded.target
        else:
            room = bucket.source_length - 1, bucket.target_length - 1
            sides = self.augmentation.ids(encoded, rows, *room, generator)
            sources, targets = (Rows.join([(np.concatenate(s), [len(row) for row in s])]) for s in sides)
            rows = np.arange(len(rows))
        places = np.arange(len(rows))
        source_ids[places], lengths = sources.padded(rows, bucket.source_length)
        source_ids[places, lengths] = END_ID
        labels[places], lengths = targets.padded(rows, bucket.target_length)
        target_ids[places, 0] = START_ID
        target_ids[places, 1:] = labels[places, :-1]
        labels[places, lengths] = END_ID
        if self.augmentation is not None:
            self.augmentation.drop_tokens(source_ids, target_ids, generator)
        return {"source_ids": source_ids, "target_ids": target_ids}, labels

    def _rows(self, index: int, number: int) -> np.ndarray:
        """The pairs of a bucket that appear in a pass, not yet in order."""
        parts = []
        for corpus, (rows, weight) in enumerate(zip(self.buckets[index].rows, self.weights, strict=True)):
            whole, count = _shares(len(rows), weight)
            parts += [rows] * whole
            if count:
                cycle, begin = divmod(number * count, len(rows))
                orders = [
                    np.random.default_rng([self.seed, cycle + more, _SHARES, index, corpus]).permutation(rows)
                    for more in (0, 1)
                ]
                parts.append(np.concatenate(orders)[begin : begin + count])
        return np.concatenate(parts)

    def _make_buckets(
        self, batch_tokens: int, boundaries: Sequence[int], row_multiple: int
    ) -> Iterator[Bucket]:
        encoded, boundaries = self.encoded, np.asarray(boundaries, dtype=np.int64)
        sides = [encoded.source.lengths + 1, encoded.target.lengths + 1]
        longest = max(side.max() for side in sides)
        is_rising = boundaries.ndim == 1 and len(boundaries) and (np.diff(boundaries) > 0).all()
        if not is_rising or boundaries[0] < 1 or boundaries[-1] < longest:
            raise ValueError(
                "`bucket_boundaries` must be positive, rise, and end at no less than the longest pair, "
                f"{longest} tokens. Received: bucket_boundaries={boundaries.tolist()}."
            )
        if self.augmentation is not None:
            sides = [np.minimum(side + 1, boundaries[-1]) for side in self.augmentation.room(encoded)]

        bucket_of_pair = np.searchsorted(boundaries, np.maximum(*sides))
        for index in np.unique(bucket_of_pair):
            in_bucket = bucket_of_pair == index
            # One side is often shorter throughout: dates written out against 10 characters of ISO 8601.
            lengths = [boundaries[np.searchsorted(boundaries, side[in_bucket].max())] for side in sides]
            rows = [
                np.flatnonzero(in_bucket & (encoded.corpus == corpus)) for corpus in range(len(self.weights))
            ]
            shares = [_shares(len(part), weight) for part, weight in zip(rows, self.weights, strict=True)]
            size = sum(len(part) * whole + count for part, (whole, count) in zip(rows, shares, strict=True))
            batch_size = min(max(1, batch_tokens // boundaries[index]), size)
            batch_size = -(-batch_size // row_multiple) * row_multiple
            yield Bucket(rows, size, int(batch_size), *map(int, lengths))


def default_boundaries(max_length: int, count: int = 8) -> tuple[int, ...]:
    """At most `count` boundaries from 8 to `max_length`, in about equal ratios."""
    shortest = min(8, max_length)
    lengths = np.geomspace(shortest, max_length, count)[:-1]
    # Multiples of 4 are kinder to the hardware than odd lengths.
    rounded = {min(max_length, 4 * round(length / 4)) for length in lengths if length >= 8}
    return (*sorted(rounded - {max_length}), max_length)


def _shares(num_rows: int, weight: float) -> tuple[int, int]:
    """How often all of some rows appear in a pass, and how many of them once more."""
    whole, fraction = divmod(weight, 1)
    # At least one, or a small corpus would never be seen.
    count = max(1, round(num_rows * fraction)) if fraction and num_rows else 0
    return int(whole), count

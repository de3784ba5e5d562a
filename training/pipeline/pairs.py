"""Pairs of texts -> pairs of ids, held in memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from keras_transformer.special_ids import PAD_ID
from training.pipeline.filters import Filters

# Pairs that go through the tokenizers together.
TOKENIZER_BATCH = 1024


@dataclass(frozen=True)
class Rows:
    """Rows of unequal length, end to end: a million small arrays would take many times the memory."""

    values: np.ndarray
    splits: np.ndarray  # (N + 1,) int64, where each row begins, and the end

    @classmethod
    def join(cls, blocks: Sequence[tuple[np.ndarray, np.ndarray]]) -> "Rows":
        """From blocks of (values, lengths of the rows)."""
        values, lengths = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
        return cls(values, np.concatenate([[0], np.cumsum(lengths)]))

    def __len__(self) -> int:
        return len(self.splits) - 1

    def __getitem__(self, row: int) -> np.ndarray:
        return self.values[self.splits[row] : self.splits[row + 1]]

    @property
    def lengths(self) -> np.ndarray:
        """(N,) int64."""
        return np.diff(self.splits)

    @property
    def blocks(self) -> list[np.ndarray]:
        """The values of all rows, end to end, in one piece or several."""
        return [self.values]

    def padded(self, rows: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Some rows, of at most `width` values: int32 (R, width), 0 behind each; and their lengths, (R,)."""
        starts = self.splits[rows]
        lengths = self.splits[rows + 1] - starts
        places = np.arange(width)
        is_real = places < lengths[:, None]
        found = np.full((len(rows), width), PAD_ID, np.int32)
        found[is_real] = self.values[(starts[:, None] + places)[is_real]]
        return found, lengths


@dataclass(frozen=True)
class EncodedPairs:
    """Pairs as ids without special ids, and where they came from."""

    source: Rows  # N rows of int32
    target: Rows
    corpus: np.ndarray  # (N,) int64, place of the pair's corpus in `corpora`
    dropped: dict[str, int]  # rule -> number of pairs that it left out
    source_texts: Rows | None = None  # uint8, UTF-8; None if they were not kept
    target_texts: Rows | None = None
    digest: str | None = None  # where it is known without reading them: of prepared pairs

    def __len__(self) -> int:
        return len(self.source)


def encode(
    corpora: Sequence[tf.data.Dataset],
    source_tokenizer,
    target_tokenizer,
    filters: Filters,
    keep_texts: bool = False,
) -> EncodedPairs:
    """Tokenizes all pairs, in order, and leaves out those that do not pass the filters.

    Args:
        corpora: one data set or several, each with elements (source, target), scalar strings.
        source_tokenizer, target_tokenizer: see `keras_transformer.tokenizers`.
        filters: counts what it leaves out; duplicates are looked for in all corpora together.
        keep_texts: whether the texts stay in memory beside the ids, for an `Augmentation` that reads them.
    Raises:
        ValueError: no pairs, or none that passes.
    """
    blocks, total = [], 0
    for number, pairs in enumerate(corpora):
        for block in encoded_blocks(pairs, source_tokenizer, target_tokenizer, filters, keep_texts):
            total += block.num_read
            blocks.append([*block.sides, *block.texts, np.full(len(block), number)])
    if not blocks:
        raise ValueError("`pairs` must hold at least one pair. Received: none.")
    *sides, corpus = zip(*blocks, strict=True)
    source, target, source_texts, target_texts = (
        Rows.join(side) if side[0] is not None else None for side in sides
    )
    check_some_passed(len(source), total, filters)
    return EncodedPairs(
        source, target, np.concatenate(corpus), dict(filters.dropped), source_texts, target_texts
    )


@dataclass(frozen=True)
class Block:
    """Some pairs that were tokenized together, less those that did not pass the filters.

    Attributes:
        num_read: pairs, with those that did not pass.
        sides: of source and target, (ids end to end, lengths).
        texts: of both, (UTF-8 bytes end to end, lengths), or None.
    """

    num_read: int
    sides: list
    texts: list

    def __len__(self):
        return len(self.sides[0][1])


def encoded_blocks(
    pairs: tf.data.Dataset,
    source_tokenizer,
    target_tokenizer,
    filters: Filters,
    keep_texts: bool = False,
    skipped: int = 0,
) -> Iterator[Block]:
    """Tokenizes the pairs of one corpus, in order: see `encode`.

    Args:
        skipped: blocks of `TOKENIZER_BATCH` pairs at the beginning that are not wanted.
    """

    def tokenize(source, target):
        return source, target, source_tokenizer.tokenize(source), target_tokenizer.tokenize(target)

    blocks = pairs.batch(TOKENIZER_BATCH).skip(skipped)
    blocks = blocks.map(tokenize, tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)
    for source_texts, target_texts, source, target in blocks:
        texts = source_texts.numpy(), target_texts.numpy()
        ids = _block(source), _block(target)
        # One special token a side: END of the source; START of the target's input, END of its labels.
        kept = filters.keep(*texts, *(lengths + 1 for _, lengths in ids))
        yield Block(
            len(kept),
            [_rows(side, kept) for side in ids],
            [_bytes(side[kept]) if keep_texts else None for side in texts],
        )


def check_some_passed(num_kept: int, num_read: int, filters: Filters) -> None:
    """Raises ValueError if the filters left out every pair."""
    if num_kept:
        return
    counts = ", ".join(f"{count:,} {rule}" for rule, count in filters.dropped.items())
    raise ValueError(
        f"At least one pair must pass the filters (max_length={filters.max_length}, "
        f"max_length_ratio={filters.max_length_ratio}). Received: {num_read:,} pairs, of them {counts}."
    )


def _block(ids: tf.RaggedTensor) -> tuple[np.ndarray, np.ndarray]:
    return ids.flat_values.numpy(), ids.row_lengths().numpy()


def _rows(block: tuple[np.ndarray, np.ndarray], kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values, lengths = block
    return values[np.repeat(kept, lengths)], lengths[kept]


def _bytes(texts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    lengths = np.array([len(text) for text in texts], np.int64)
    return np.frombuffer(b"".join(texts), np.uint8), lengths

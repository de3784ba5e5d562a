"""Encoded pairs on disk, for data sets that are larger than the memory.

    FOLDER/shard-00000/source_ids.npy, source_splits.npy, target_ids.npy, target_splits.npy, facts.json

The ids of all rows stand end to end and are mapped into memory, not read: any row is at hand without the
others, so that buckets, order and exact resume are those of pairs in memory.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from keras_transformer.saving.run_files import flush_to_disk, read_json
from training.pipeline.base import digest_of
from training.pipeline.pairs import Block, EncodedPairs, Rows

SIDES = ("source", "target")
PATTERN = "shard-?????"
FACTS_FILE = "facts.json"
# Blocks of `pairs.TOKENIZER_BATCH` pairs.
BLOCKS_OF_SHARD = 256


class JoinedRows:
    """The rows of several `Rows` one after the other.

    Args:
        parts: which rows.
    """

    def __init__(self, parts: Sequence[Rows]):
        self.parts = list(parts)
        self.starts = np.concatenate([[0], np.cumsum([len(part) for part in self.parts])])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __getitem__(self, row: int) -> np.ndarray:
        part = int(np.searchsorted(self.starts, row, side="right")) - 1
        return self.parts[part][row - self.starts[part]]

    def padded(self, rows: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
        """See `Rows`."""
        part_of_row = np.searchsorted(self.starts, rows, side="right") - 1
        found = np.empty((len(rows), width), np.int32)
        lengths = np.empty(len(rows), np.int64)
        for part in np.unique(part_of_row):
            here = part_of_row == part
            found[here], lengths[here] = self.parts[part].padded(rows[here] - self.starts[part], width)
        return found, lengths

    @property
    def lengths(self) -> np.ndarray:
        """(N,) int64."""
        return np.concatenate([part.lengths for part in self.parts])

    @property
    def blocks(self) -> list[np.ndarray]:
        """See `Rows`."""
        return [part.values for part in self.parts]


def write(folder: Path, number: int, corpus: int, blocks: Iterator[Block], filters) -> int:
    """Writes a shard of up to `BLOCKS_OF_SHARD` blocks, beside and renamed into place.

    Args:
        folder: of the shards.
        number: of the shard.
        corpus: place of the corpus that the blocks are of.
        blocks: as many are taken as the shard holds, or as there are.
        filters: what they have left out until now is noted.

    Returns:
        Pairs that were read; 0 if there were no blocks, and then nothing is written.
    """
    taken = [block for _, block in zip(range(BLOCKS_OF_SHARD), blocks, strict=False)]
    if not taken:
        return 0
    beside = folder / f".incomplete-{number:05d}"
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    digests = []
    for index, side in enumerate(SIDES):
        rows = Rows.join([block.sides[index] for block in taken])
        is_small = not len(rows.values) or rows.values.max() <= np.iinfo(np.uint16).max
        np.save(beside / f"{side}_ids.npy", rows.values.astype(np.uint16 if is_small else np.int32))
        np.save(beside / f"{side}_splits.npy", rows.splits)
        digests.append(digest_of([rows.values, rows.splits]))
    num_read = sum(block.num_read for block in taken)
    facts = {"corpus": corpus, "num_blocks": len(taken), "num_read": num_read, "dropped": filters.dropped}
    facts["digest"] = "".join(digests)
    (beside / FACTS_FILE).write_text(json.dumps(facts), encoding="utf-8")
    for path in (*beside.iterdir(), beside):
        flush_to_disk(path)
    beside.rename(folder / f"shard-{number:05d}")
    return num_read


def facts(folder: Path) -> list[dict]:
    """What is known of each shard: corpus, num_blocks, num_read; dropped, until its end."""
    return [read_json(path / FACTS_FILE) for path in _shards(folder)]


def read(folder: Path) -> EncodedPairs:
    """The pairs of all shards, mapped into memory."""
    known = facts(folder)
    sides = []
    for side in SIDES:
        parts = []
        for path in _shards(folder):
            values, splits = (
                # As a plain array: np.memmap costs some microseconds at each access.
                np.asarray(np.load(path / f"{side}_{name}.npy", mmap_mode="r", allow_pickle=False))
                for name in ("ids", "splits")
            )
            parts.append(Rows(values, splits))
        sides.append(JoinedRows(parts))
    sizes = [len(part) for part in sides[0].parts]
    corpus = np.repeat(np.array([fact["corpus"] for fact in known], np.uint8), sizes)
    # Folders that are older have none.
    digests = [fact.get("digest") for fact in known]
    digest = None if None in digests else hashlib.sha256(repr((digests, sizes)).encode()).hexdigest()
    return EncodedPairs(*sides, corpus, known[-1]["dropped"], digest=digest)


def _shards(folder):
    return sorted(folder.glob(PATTERN))

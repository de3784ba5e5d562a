"""Sentence pairs from the user's own files: two files with a sentence per line, or one TSV file.

Everything is checked before anything is trained, in one pass over the files. The pairs are then read as
a stream: a corpus need not fit into memory.
"""

from __future__ import annotations

import gzip
import logging
import zlib
from collections.abc import Iterator, Sequence
from itertools import islice, zip_longest
from pathlib import Path

import tensorflow as tf

SIDES = ("source", "target")
_BYTE_ORDER_MARK = "\ufeff"
_BLOCK = 4096  # pairs handed to TensorFlow at a time; one by one takes twenty times as long


def load(split: str, *, files: Sequence[str | Path], columns: Sequence[str] = SIDES) -> tf.data.Dataset:
    """Checks the files of one split and returns their sentence pairs.

    Args:
        split: "train", "validation" or "test"; for the error messages.
        files: source file and target file, with translations line by line; or one TSV file with lines
            `source<TAB>target`. UTF-8, plain or gzip.
        columns: of a TSV file: "source" and "target" once each, and any other name for one to leave out.

    Returns:
        Dataset of (source, target), scalar tf.string each, in the order of the file, of known cardinality.
        Spaces around a sentence are removed. Pairs with an empty side are left out; a warning counts them.

    Raises:
        FileNotFoundError: a file does not exist.
        ValueError: not one or two files, no pair in them, or the files are damaged: see `read_pairs`.
    """
    if any(list(columns).count(side) != 1 for side in SIDES):
        raise ValueError(
            f"`columns` must hold source and target, once each. Received: columns={list(columns)}."
        )
    if len(files) == 2 and len(columns) != 2:
        raise ValueError(
            f"`columns` are of one TSV file. Received: columns={list(columns)}, for {split}=two files."
        )
    if len(files) not in (1, 2):
        raise ValueError(
            "`parallel_text` needs a source and a target file, or one TSV file, for each split it is asked "
            f"for. Received: {split}={[str(file) for file in files]}."
        )
    kept = total = 0
    for pair in read_pairs(files, columns):
        total += 1
        kept += all(pair)
    names = " and ".join(str(file) for file in files)
    if not kept:
        raise ValueError(f"A split must hold at least one pair with two sides. Received: {names}.")
    if kept < total:
        logging.getLogger(__name__).warning(
            "%d of %d pairs in %s are left out: a side is empty.", total - kept, total, names
        )

    def blocks():
        pairs = filter(all, read_pairs(files, columns))
        while block := list(islice(pairs, _BLOCK)):
            yield tuple(map(list, zip(*block, strict=True)))

    strings = tf.TensorSpec((None,), tf.string)
    dataset = tf.data.Dataset.from_generator(blocks, output_signature=(strings, strings)).unbatch()
    return dataset.apply(tf.data.experimental.assert_cardinality(kept))


def read_pairs(files: Sequence[str | Path], columns: Sequence[str] = SIDES) -> Iterator[tuple[str, str]]:
    """Yields the sentence pairs of two files side by side, or of one TSV file, surrounding spaces removed.

    Raises:
        FileNotFoundError, ValueError: as `read_lines`; a TSV line with another number of columns; after the
            last pair, an empty file or two files of unequal length.
    """
    if len(files) == 1:
        yield from read_table(files[0], columns, SIDES)
        return
    counts = [0, 0]
    for lines in zip_longest(*map(read_lines, files)):
        for side, line in enumerate(lines):
            counts[side] += line is not None
        if None not in lines:
            yield tuple(line.strip() for line in lines)
    for path, count in zip(files, counts, strict=True):
        _check_not_empty(path, count)
    if counts[0] != counts[1]:
        raise ValueError(
            "Source and target file must have equally many lines. "
            f"Received: {files[0]} with {counts[0]} and {files[1]} with {counts[1]} lines."
        )


def read_lines(path: str | Path) -> Iterator[str]:
    """Yields the lines of a UTF-8 text file, plain or gzip, without their line ends.

    A line ends at a line feed and nowhere else. Text from the web holds U+2028 and form feeds, at which
    `str.splitlines` would cut a sentence in two and shift every pair after it.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: a line is not valid UTF-8 (names file and line), or a gzip file is damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"A text file must exist. Received: {path}.")
    number = 0
    try:
        with (gzip.open if _is_gzip(path) else open)(path, "rb") as file:
            for number, line in enumerate(file, start=1):
                text = line.decode("utf-8").rstrip("\r\n")
                yield text.removeprefix(_BYTE_ORDER_MARK) if number == 1 else text
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise ValueError(
            f"A text file must be valid UTF-8. Received: {path}, line {number}, byte {byte:#04x}."
        ) from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"A gzip file must be whole. Received: {path} ({error}).") from None


def _is_gzip(path: Path) -> bool:
    # By content: no UTF-8 text starts with these two bytes, and names can mislead.
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def read_table(path: str | Path, columns: Sequence[str], wanted: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yields the wanted columns of the lines of a TSV file, surrounding spaces removed.

    Args:
        path: the file, UTF-8, plain or gzip.
        columns: the names of all its columns.
        wanted: those that are yielded, in this order.

    Raises:
        FileNotFoundError, ValueError: as `read_lines`; a line with another number of columns; an empty file.
    """
    number = 0
    places = [list(columns).index(name) for name in wanted]
    tabs = len(columns) - 1
    for number, line in enumerate(read_lines(path), start=1):
        found = line.split("\t")
        if len(found) != len(columns):
            more = "; cut -f1,2 keeps the first two, and data.columns can name others to be left out"
            more = more if len(found) > len(columns) else ""
            raise ValueError(
                f"A line of a TSV file must have exactly {'one tab' if tabs == 1 else f'{tabs} tabs'}. "
                f"Received: {path}, line {number}, with {len(found) - 1} tabs{more}."
            )
        yield tuple(found[place].strip() for place in places)
    _check_not_empty(path, number)


def _check_not_empty(path: str | Path, num_lines: int):
    if not num_lines:
        raise ValueError(f"A text file must hold at least one line. Received: {path}, which is empty.")

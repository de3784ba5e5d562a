"""Sentence pairs from the user's own files: two files with one sentence per line, or one TSV file.

Everything is checked before anything is trained, in one pass over the files; the pairs are then read as a stream, so that
a corpus need not fit into memory.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import tensorflow as tf

_BYTE_ORDER_MARK = "\ufeff"


def load(
    split: str, *, source_file: str | Path = "", target_file: str | Path = ""
) -> tf.data.Dataset:
    """Checks the files of one split and returns their sentence pairs.

    Args:
        split: "train", "validation" or "test"; names the options in error messages.
        source_file: text with one sentence per line, UTF-8, plain or gzip (`.gz`); or, with no `target_file`, a `.tsv` or
            `.tsv.gz` file whose lines are `source<TAB>target`.
        target_file: the translations, line by line; empty for a TSV file.
    Returns:
        Dataset of (source, target), scalar tf.string each, in the order of the file, of known cardinality. Spaces around a
        sentence are removed. A pair of which one side is empty is left out; `count_pairs` tells how many were.
    Raises:
        FileNotFoundError: a file does not exist.
        ValueError: an option is missing, or the files hold no clean sentence pairs: see `count_pairs`.
    """
    raise NotImplementedError


def read_lines(path: str | Path) -> Iterator[str]:
    """Yields the lines of a UTF-8 text file, plain or gzip (`.gz`), without line end and surrounding spaces.

    A line ends at a line feed and nowhere else: text of the web holds U+2028 and form feeds, at which `str.splitlines`
    would cut a sentence in two and shift every pair after it.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: a line is not valid UTF-8 (names file and line), or a `.gz` file is not a whole gzip file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"Text file not found: {path}")
    number = 0
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                text = line.decode("utf-8")
                yield (text.removeprefix(_BYTE_ORDER_MARK) if number == 1 else text).strip()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"A text file must be valid UTF-8. Received: {path}, line {number}, byte {error.object[error.start]:#04x}."
        ) from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(
            f"A .gz file must be a whole gzip file. Received: {path} ({error})."
        ) from None


def read_pairs(source_file: str | Path, target_file: str | Path) -> Iterator[tuple[str, str]]:
    """Yields the lines of two files side by side.

    Raises:
        FileNotFoundError, ValueError: as `read_lines`; and, after the last common line, files of unequal length or with no
            line at all.
    """
    count = {"source": 0, "target": 0}
    for source, target in zip_longest(read_lines(source_file), read_lines(target_file)):
        count["source"] += source is not None
        count["target"] += target is not None
        if source is not None and target is not None:
            yield source, target
    for side, path in (("source", source_file), ("target", target_file)):
        if not count[side]:
            raise ValueError(
                f"A text file must hold at least one line. Received: {path}, which is empty."
            )
    if count["source"] != count["target"]:
        raise ValueError(
            "Source and target file must have equally many lines. "
            f"Received: {source_file} with {count['source']} and {target_file} with {count['target']} lines."
        )

"""Sentences whose words have tags, in the columns of CoNLL's tasks (Tjong Kim Sang and De Meulder 2003)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from training.datasets.parallel_text import read_lines

NAME = "conll"
# What stands for a word on the line between two documents.
DOCUMENT = "-DOCSTART-"


@dataclass(frozen=True)
class Sentence:
    """Words with a tag each, and where they were found.

    Attributes:
        words: at least one.
        tags: as many.
        file: that it was read from.
        line: of its first word; the others follow line by line.
    """

    words: list[str]
    tags: list[str]
    file: str
    line: int


def load(
    name: str, split: str, *, files: Sequence[str] = (), word_column: int = 1, tag_column: int = -1
) -> list[Sentence] | None:
    """The sentences of a split, in the order of its files.

    A file has a word on each line, its columns parted by spaces or tabs, and a blank line behind each
    sentence. Lines of documents, -DOCSTART-, are left out. UTF-8, plain or gzip.

    Args:
        name: "conll".
        split: "train", "validation" or "test".
        files: of this split.
        word_column, tag_column: counted from 1, or from the end: -1 is the last.

    Returns:
        At least one; None if the split was not configured.

    Raises:
        ValueError: unknown name, no file to train with, a column 0, a line without a tag or with another
            number of columns than the first of its file, a file without a sentence, or bad UTF-8.
        FileNotFoundError: a file is missing.
    """
    if name != NAME:
        raise ValueError(f"Words with tags must be {NAME}. Received: {name!r}.")
    if not word_column or not tag_column or word_column == tag_column:
        raise ValueError(
            "`word_column` and `tag_column` must be two columns, counted from 1, or from the end with -1. "
            f"Received: word_column={word_column}, tag_column={tag_column}."
        )
    if not files:
        if split == "train":
            raise ValueError("`data.train` must name at least one file. Received: none.")
        return None
    return [sentence for file in files for sentence in _read(file, word_column, tag_column)]


def _read(file, word_column, tag_column):
    found, open_one, num_columns = [], None, None
    for number, line in enumerate(read_lines(file), start=1):
        columns = re.split("[ \t]+", line.strip(" \t"))
        if columns == [""] or columns[0] == DOCUMENT:
            open_one = None
            continue
        num_columns = num_columns or len(columns)
        if len(columns) != num_columns:
            raise ValueError(
                f"All lines of a file must have as many columns as its first, {num_columns}. "
                f"Received: {file}, line {number}, with {len(columns)}."
            )
        word, tag = (_column(columns, column) for column in (word_column, tag_column))
        if word is None or tag is None or len(columns) == 1:
            raise ValueError(
                f"A line must have a word and its tag, columns {word_column} and {tag_column}. "
                f"Received: {file}, line {number}, which has {len(columns)}."
            )
        if open_one is None:
            open_one = Sentence([], [], str(file), number)
            found.append(open_one)
        open_one.words.append(word)
        open_one.tags.append(tag)
    if not found:
        raise ValueError(f"A file must hold at least one sentence. Received: {file}, without.")
    return found


def _column(columns, number):
    """The column of this number, or None."""
    place = number - 1 if number > 0 else len(columns) + number
    return columns[place] if 0 <= place < len(columns) else None

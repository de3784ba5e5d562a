"""Texts with a label each: TSV files, a folder for each label, or a set of tensorflow-datasets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from training.datasets.parallel_text import read_lines, read_table

COLUMNS = ("text", "label")
FILES, TFDS = "labelled_text", "tfds:"


def load(
    name: str,
    split: str,
    *,
    data_dir: str | None = None,
    places: Sequence[str] = (),
    columns: Sequence[str] = COLUMNS,
) -> tuple[list[str], list[str]] | None:
    """The texts of a split and their labels.

    Args:
        name: "labelled_text", or "tfds:NAME" for any set of tensorflow-datasets with a text and a class.
        split: "train", "validation" or "test".
        data_dir: for tfds: where it keeps its data; None for its default.
        places: for labelled_text: TSV files, and folders that hold a folder for each label, with a text in
            each file; for tfds: splits as it writes them, "train[90%:]", the one of this name if empty.
        columns: of a TSV file: "text" and "label" once each, and any other name for one to leave out.

    Returns:
        N texts, without spaces around them, and N labels; None if the split was not configured, or the set
        has none.

    Raises:
        ValueError: unknown name, an option that the data does not take, a text or label that is empty, no
            example, or files that are damaged.
        FileNotFoundError: a file is missing.
    """
    if name.startswith(TFDS):
        if tuple(columns) != COLUMNS:
            raise ValueError(f"`columns` are of TSV files. Received: columns={list(columns)}, for {name}.")
        return _from_tfds(name.removeprefix(TFDS), split, data_dir, places)
    if name != FILES:
        raise ValueError(f"Texts with labels must be {FILES} or {TFDS}NAME. Received: {name!r}.")
    if data_dir:
        raise ValueError(f"`data_dir` is no option of {FILES}. Received: data_dir={data_dir!r}.")
    if any(list(columns).count(column) != 1 for column in COLUMNS):
        raise ValueError(f"`columns` must hold text and label, once each. Received: columns={list(columns)}.")
    if not places:
        if split == "train":
            raise ValueError("`data.train` must name at least one TSV file or folder. Received: none.")
        return None
    found = [
        example
        for place in places
        for example in (_read_folder(place) if Path(place).is_dir() else _read_file(place, columns))
    ]
    return [text for text, _ in found], [label for _, label in found]


def _read_file(path: str, columns: Sequence[str]) -> list[tuple[str, str]]:
    found = list(read_table(path, columns, COLUMNS))
    for number, (text, label) in enumerate(found, start=1):
        if not text or not label:
            raise ValueError(
                f"A line must have a text and a label. Received: {path}, line {number}, "
                f"without a {'label' if text else 'text'}."
            )
    return found


def _read_folder(place: str) -> list[tuple[str, str]]:
    """The texts of the files in each of a folder's folders, whose names are the labels."""
    found = [
        ("\n".join(read_lines(path)).strip(), folder.name)
        for folder in sorted(Path(place).iterdir())
        if folder.is_dir()
        for path in sorted(folder.iterdir())
        if path.is_file() and not path.name.startswith(".")
    ]
    if not found:
        raise ValueError(
            "A folder of texts must hold a folder for each label, with a text in each file. "
            f"Received: {place}."
        )
    return found


def _from_tfds(name: str, split: str, data_dir: str | None, splits: Sequence[str]):
    import tensorflow_datasets as tfds

    from training.datasets import tfds_translation  # here: tensorflow-datasets takes seconds

    builder = tfds_translation.find_builder(name, data_dir)
    text, label = builder.info.supervised_keys or (None, None)
    features = builder.info.features
    kinds = {name: type(feature) for name, feature in features.items()}
    if (kinds.get(text), kinds.get(label)) != (tfds.features.Text, tfds.features.ClassLabel):
        raise ValueError(
            "A tfds data set must hold texts with a class. "
            f"Received: {name}, which holds {', '.join(features)}."
        )
    tfds_translation.prepare(builder)
    if not splits and split not in builder.info.splits:
        if split == "train":
            raise ValueError(f"`data.train` must name splits of {name}. Received: none, and it has no train.")
        return None
    try:
        rows = builder.as_dataset(split="+".join(splits or [split]), shuffle_files=False)
    except ValueError as error:
        raise ValueError(
            f"`data.{split}` must name splits of {name}: {', '.join(builder.info.splits)}. "
            f"Received: {' '.join(splits)}."
        ) from error
    rows = list(rows.as_numpy_iterator())
    names = features[label].names
    return [row[text].decode("utf-8").strip() for row in rows], [names[row[label]] for row in rows]

"""Running text, for language models: files, or Tiny Shakespeare."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from training.datasets.parallel_text import read_lines

SHAKESPEARE_FILES = ("tinyshakespeare.txt", "input.txt")


def load(
    name: str, split: str, *, data_dir: str | None = None, files: Sequence[str] = ()
) -> list[str] | None:
    """The lines of a split, without their line ends.

    Args:
        name: "text" or "tiny_shakespeare".
        split: "train", "validation" or "test". Tiny Shakespeare has no test of its own: its last 10 %
            are both.
        data_dir: for tiny_shakespeare: folder with its file; None downloads it.
        files: for text: this split's files, one after the other.

    Returns:
        List of str; None if the split was not configured.

    Raises:
        ValueError: unknown name or split, an option that the set does not take, no text, or bad UTF-8.
        FileNotFoundError: a file is missing or cannot be downloaded.
    """
    if name not in ("text", "tiny_shakespeare"):
        raise ValueError(f"Data of texts must be text or tiny_shakespeare. Received: {name!r}.")
    if split not in ("train", "validation", "test"):
        raise ValueError(f"A split must be train, validation or test. Received: {split!r}.")
    for option, value, owner in (("data_dir", data_dir, "tiny_shakespeare"), ("files", files, "text")):
        if value and name != owner:
            raise ValueError(f"`{option}` is no option of the data set {name}. Received: {option}={value!r}.")
    if name == "tiny_shakespeare":
        lines = _shakespeare(data_dir)
        length, end = sum(len(line) + 1 for line in lines), 0
        for number, line in enumerate(lines):  # whole lines: no tokenizer cuts a word
            end += len(line) + 1
            if end >= 0.9 * length:
                return lines[: number + 1] if split == "train" else lines[number + 1 :]
    if not files:
        if split == "train":
            raise ValueError("`data.train` must name at least one file. Received: none.")
        return None
    lines = [line for file in files for line in read_lines(file)]
    if not any(lines):
        raise ValueError(f"A text must hold at least one character. Received: {', '.join(files)}.")
    return lines


def _shakespeare(data_dir: str | None) -> list[str]:
    if data_dir is None:
        return _downloaded()
    names = [name + suffix for name in SHAKESPEARE_FILES for suffix in ("", ".gz")]
    for name in names:
        if (Path(data_dir) / name).is_file():
            return list(read_lines(Path(data_dir) / name))
    raise FileNotFoundError(f"Tiny Shakespeare is one of {', '.join(names)}. Received: {data_dir}, without.")


def _downloaded() -> list[str]:
    import tensorflow_datasets as tfds

    try:
        parts = tfds.load("tiny_shakespeare", split=["train", "validation", "test"])
    except Exception as error:  # tfds's downloads fail in many ways
        raise FileNotFoundError(
            f"Tiny Shakespeare could not be downloaded ({type(error).__name__}): give `data_dir`."
        ) from error
    text = "".join(row["text"].decode("utf-8") for part in parts for row in part.as_numpy_iterator())
    return text.split("\n")

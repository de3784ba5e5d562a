"""Small grey pictures of one thing each: handwritten digits and garments."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
GARMENTS = (
    "t-shirt",
    "pair of trousers",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
SPLITS = ("train", "validation", "test")
FASHION_MNIST = "/usr/share/datasets/fashion-mnist"  # where Debian's dataset-fashion-mnist puts the files


class Pictures(NamedTuple):
    """Pictures of one split, in their upstream order.

    Attributes:
        images: uint8, (N, H, W), 0 is the background.
        labels: int64, (N,), what each shows: a place in `names`.
        names: of the ten classes, in the singular.
    """

    images: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]


def load(name: str, split: str, data_dir: str | Path | None = None) -> Pictures:
    """Reads a split.

    Args:
        name: "digits", scikit-learn's 1,797 of 8x8 pixels (Alpaydin & Kaynak 1998): the last tenth is for
            test, the tenth before it for validation. Or "fashion_mnist", 70,000 of 28x28 (Xiao et al. 2017):
            test is the upstream one, validation the last 5,000 of the upstream training split.
        split: "train", "validation" or "test".
        data_dir: for fashion_mnist: folder with the four upstream files, `train-images-idx3-ubyte.gz` and so
            on. None for the place where Debian's package dataset-fashion-mnist puts them.

    Raises:
        ValueError: unknown name or split, a `data_dir` for digits, or a file is damaged.
        FileNotFoundError: a file is missing.
    """
    if name not in ("digits", "fashion_mnist"):
        raise ValueError(f"Pictures must be one of digits, fashion_mnist. Received: {name!r}.")
    if split not in SPLITS:
        raise ValueError(f"`split` must be one of {', '.join(SPLITS)}. Received: {split!r}.")
    if name == "digits":
        if data_dir is not None:
            raise ValueError(f"`data_dir` is no option of digits. Received: data_dir={data_dir}.")
        return _digits(split)
    return _fashion_mnist(split, Path(FASHION_MNIST if data_dir is None else data_dir))


def _digits(split: str) -> Pictures:
    from sklearn.datasets import load_digits  # here: garments do without it

    data = load_digits()
    # Upstream, the digits of one writer stand together: a random split would let the test see each hand.
    count = len(data.target)
    bounds = (0, 8 * count // 10, 9 * count // 10, count)
    place = SPLITS.index(split)
    rows = slice(bounds[place], bounds[place + 1])
    images = np.round(data.images[rows] * (255 / 16)).astype(np.uint8)
    return Pictures(images, data.target[rows].astype(np.int64), DIGITS)


def _fashion_mnist(split: str, data_dir: Path) -> Pictures:
    stem = "t10k" if split == "test" else "train"
    images = _read_idx(data_dir / f"{stem}-images-idx3-ubyte.gz", axes=3)
    labels = _read_idx(data_dir / f"{stem}-labels-idx1-ubyte.gz", axes=1).astype(np.int64)
    if len(images) != len(labels):
        raise ValueError(
            f"There must be one label for each picture. Received: {len(labels)} for {len(images)} "
            f"in {data_dir}."
        )
    rows = {"train": slice(-5_000), "validation": slice(-5_000, None), "test": slice(None)}[split]
    return Pictures(images[rows], labels[rows], GARMENTS)


def _read_idx(path: Path, axes: int) -> np.ndarray:
    """An array of bytes in the IDX format of MNIST: two zeros, type 8, number of axes, sizes, values."""
    if not path.is_file():
        raise FileNotFoundError(
            f"`data_dir` must hold {path.name}: install Debian's package dataset-fashion-mnist, or see "
            f"https://github.com/zalandoresearch/fashion-mnist. Received: data_dir={path.parent}."
        )
    try:
        data = gzip.decompress(path.read_bytes())
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} must be a gzip file ({error}).") from error
    start = 4 + 4 * axes
    sizes = [int(size) for size in np.frombuffer(data[4:start], ">u4")] if len(data) >= start else []
    if data[:4] != bytes([0, 0, 8, axes]) or len(data) - start != math.prod(sizes):
        raise ValueError(f"{path} must be an IDX file of bytes with {axes} axes.")
    return np.frombuffer(data, np.uint8, offset=start).reshape(sizes)

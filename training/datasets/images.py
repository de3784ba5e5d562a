"""Images with a text each, a class or a caption, by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from training.datasets import pictures, scenes
from training.datasets.parallel_text import read_lines

SCENES = {"scenes_of_digits": "digits", "scenes_of_garments": "fashion_mnist"}
PICTURES = ("digits", "fashion_mnist")
FILES = "image_files"


def load_captions(config, split: str) -> tuple[np.ndarray, list[str]] | None:
    """Images, uint8 (N, H, W, C), and their captions; None if the split was not configured.

    Args:
        config: a `CaptionDataConfig`.
        split: "train", "validation" or "test".

    Raises:
        ValueError: unknown name, an option that the set does not take, or bad data.
        FileNotFoundError: a file is missing.
    """
    if config.name in SCENES:
        _check(config, takes_dir=config.name == "scenes_of_garments")
        count = config.num_examples if split == "train" else scenes.NUM_EXAMPLES.get(split, 0)
        distort = config.distort and split == "train"
        found = scenes.generate(split, count, 0, SCENES[config.name], config.data_dir, distort)
        return np.stack([scene.image for scene in found])[..., None], [scene.caption for scene in found]
    if config.name != FILES:
        names = ", ".join([*SCENES, FILES])
        raise ValueError(f"Images with captions must be one of {names}. Received: {config.name!r}.")
    if config.distort:
        raise ValueError(f"`data.distort` is for scenes. Received: data.distort=True, for {config.name}.")
    return _load_files(config, split)


def load_classes(config, split: str) -> tuple[np.ndarray, list[str]] | None:
    """Images, uint8 (N, H, W, C), and the names of their classes; None if the split was not configured.

    Args:
        config: an `ImageDataConfig`.
        split: "train", "validation" or "test".

    Raises:
        ValueError, FileNotFoundError: as for `load_captions`.
    """
    if config.name in PICTURES:
        _check(config, takes_dir=config.name == "fashion_mnist")
        images, labels, names = pictures.load(config.name, split, config.data_dir)
        return images[..., None], [names[label] for label in labels]
    if config.name != FILES:
        names = ", ".join([*PICTURES, FILES])
        raise ValueError(f"Images with classes must be one of {names}. Received: {config.name!r}.")
    return _load_files(config, split)


def _check(config, takes_dir: bool) -> None:
    given = {name: getattr(config, name) for name in ("train", "validation", "test")}
    if not takes_dir:
        given["data_dir"] = config.data_dir
    for option, value in given.items():
        if value:
            raise ValueError(f"`{option}` is no option of the data set {config.name}. Received: {value!r}.")


def _load_files(config, split: str):
    if config.data_dir:
        raise ValueError(f"`data_dir` is no option of {FILES}. Received: data_dir={config.data_dir!r}.")
    files = getattr(config, split)
    if not files:
        if split == "train":
            raise ValueError("`data.train` must name at least one TSV file. Received: none.")
        return None
    rows = [row for file in files for row in read_rows(file)]
    images = read_images([path for path, _ in rows], [*config.image_size, config.channels])
    return images, [text for _, text in rows]


def read_rows(file: str | Path) -> list[tuple[Path, str]]:
    """The rows of a TSV file: an image's path, from the file's folder on, and its text.

    Raises:
        ValueError: a line has not two columns.
    """
    rows = []
    for number, line in enumerate(read_lines(file), start=1):
        columns = line.split("\t")
        if len(columns) != 2 or not all(columns):
            raise ValueError(
                "A line must be an image's path, a tab and a text. "
                f"Received: {file}, line {number}: {line!r}{', cut -f1,2' if len(columns) > 2 else ''}."
            )
        rows.append((Path(file).parent / columns[0], columns[1]))
    return rows


def read_images(paths: Sequence[Path], image_shape: Sequence[int]) -> np.ndarray:
    """Decoded and resized images, uint8 (N, H, W, C).

    Args:
        paths: of files, JPEG, PNG, GIF or BMP.
        image_shape: (H, W, C), C 1 or 3.

    Raises:
        ValueError: a size is not positive, or a file is no image.
        FileNotFoundError: a file is missing.
    """
    import tensorflow as tf

    from keras_transformer.pipelines.encoded_images import decode_images

    *size, channels = image_shape
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"`image_size` must be a height and a width. Received: image_size={size}.")
    if channels not in (1, 3):
        raise ValueError(f"`channels` must be 1 or 3. Received: channels={channels}.")
    images = np.empty((len(paths), *image_shape), np.uint8)
    for row, path in enumerate(paths):
        if not path.is_file():
            raise FileNotFoundError(f"An image must exist. Received: {path}.")
        try:
            images[row] = decode_images(tf.constant([path.read_bytes()]), image_shape)[0]
        except tf.errors.InvalidArgumentError:
            raise ValueError(f"An image must be JPEG, PNG, GIF or BMP. Received: {path}.") from None
    return images

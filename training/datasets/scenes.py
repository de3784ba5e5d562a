"""Scenes to be described: one to four small pictures on a canvas, and a sentence that says what lies where.

`a seven at the top left and an eight at the bottom right`. Generated from real pictures, digits or
garments, in a second. It shows that a captioner learns to look; where each thing lies is known, so that
attention can be checked too. It says nothing about captions of photographs.

A canvas has four quarters, half as wide again as a picture. Each holds one thing or none, at a place drawn at
random, and the sentence names them in reading order: there is one right sentence for each scene.
"""

import math
import random
from typing import NamedTuple

import numpy as np

from training.datasets import pictures

NUM_EXAMPLES = {"validation": 1_000, "test": 1_000}  # scenes; of training as many as are asked for
PLACES = ("top left", "top right", "bottom left", "bottom right")


class Thing(NamedTuple):
    """One thing of a scene.

    Attributes:
        name: "seven".
        span: (start, end): `caption[start:end]` is the name.
        box: (top, left, bottom, right) in pixels: `image[top:bottom, left:right]` is its picture.
    """

    name: str
    span: tuple[int, int]
    box: tuple[int, int, int, int]


class Scene(NamedTuple):
    """A scene.

    Attributes:
        image: uint8, (H, W), 0 is the background.
        caption: the sentence.
        things: in the order in which the sentence names them.
    """

    image: np.ndarray
    caption: str
    things: tuple[Thing, ...]


def generate(
    split: str,
    num_examples: int,
    seed: int,
    kind: str = "digits",
    data_dir: str | None = None,
    distort: bool = False,
) -> list[Scene]:
    """Draws scenes of a split; their numbers of things, 1 to 4, are equally frequent.

    A picture belongs to one split: no digit of validation or test was seen in training, though the same
    sentence may have been read.

    Args:
        split: "train", "validation" or "test".
        num_examples: number of scenes, >= 1.
        seed: the same seed gives the same scenes on every platform.
        kind: "digits" or "fashion_mnist".
        data_dir: of fashion_mnist, see `pictures.load`.
        distort: whether each picture is turned, stretched and slanted a little before it is placed, in its
            box: there are not many pictures, and none then comes twice.

    Raises:
        ValueError: unknown split or kind, or `num_examples` out of range.
        FileNotFoundError: a file of pictures is missing.
    """
    data = pictures.load(kind, split, data_dir)
    if num_examples < 1:
        raise ValueError(f"`num_examples` must be at least 1. Received: num_examples={num_examples}.")
    rng = random.Random(f"{seed}/{kind}/{split}")  # hashed by SHA-512, the same everywhere
    return [_draw(data, rng, distort) for _ in range(num_examples)]


def _draw(data: pictures.Pictures, rng: random.Random, distort: bool) -> Scene:
    size = data.images.shape[1]
    quarter = 3 * size // 2
    image = np.zeros((2 * quarter, 2 * quarter), np.uint8)
    caption, things = "", []
    places = sorted(rng.sample(range(len(PLACES)), rng.randint(1, len(PLACES))))
    for place in places:
        number = rng.randrange(len(data.images))
        top = quarter * (place // 2) + rng.randint(0, quarter - size)
        left = quarter * (place % 2) + rng.randint(0, quarter - size)
        picture = data.images[number]
        image[top : top + size, left : left + size] = _distorted(picture, rng) if distort else picture

        name = data.names[data.labels[number]]
        if caption:
            caption += " and " if place == places[-1] else ", "
        caption += "an " if name[0] in "ae" else "a "  # a one: it is said with a w
        span = (len(caption), len(caption) + len(name))
        things.append(Thing(name, span, (top, left, top + size, left + size)))
        caption += f"{name} at the {PLACES[place]}"
    return Scene(image, caption, tuple(things))


def _distorted(picture: np.ndarray, rng: random.Random) -> np.ndarray:
    """The picture turned by up to 10 degrees, stretched and slanted by up to a tenth, about its middle."""
    from scipy import ndimage

    angle = math.radians(rng.uniform(-10, 10))
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    change = np.eye(2) + np.array([[rng.uniform(-1, 1) for _ in range(2)] for _ in range(2)]) / 10
    matrix = turn @ change
    middle = (np.array(picture.shape) - 1) / 2
    moved = ndimage.affine_transform(picture.astype(np.float32), matrix, middle - matrix @ middle, order=1)
    return moved.round().astype(np.uint8)

import hashlib
from collections import Counter

import numpy as np
import pytest

from training.datasets import pictures, scenes


def test_the_sentence_says_what_lies_where():
    """Read from the sentence alone, by splitting it, against the boxes."""
    for scene in scenes.generate("validation", 101, seed=1):
        parts = scene.caption.replace(" and ", ", ").split(", ")
        assert len(parts) == len(scene.things)
        middle = len(scene.image) // 2
        for part, thing in zip(parts, scene.things, strict=True):
            article, name, place = part.replace(" at the", "").split(" ", 2)
            top, left, bottom, right = thing.box
            vertical = "top" if bottom <= middle else "bottom" if top >= middle else None
            horizontal = "left" if right <= middle else "right" if left >= middle else None
            assert (name, place) == (thing.name, f"{vertical} {horizontal}")
            assert article == ("an" if name == "eight" else "a")


def test_sentences_are_joined_as_people_do():
    captions = {len(s.things): s.caption for s in scenes.generate("validation", 50, seed=0)}
    assert sorted(captions) == [1, 2, 3, 4]
    for count, caption in captions.items():
        assert caption.count(" and ") == (count > 1) and caption.count(", ") == max(0, count - 2)


def test_box_and_span_of_each_thing_are_its_own():
    data = pictures.load("digits", "test")
    known = {
        image.tobytes(): data.names[label] for image, label in zip(data.images, data.labels, strict=True)
    }
    for scene in scenes.generate("test", 101, seed=2):
        rest = scene.image.copy()
        assert scene.things == tuple(sorted(scene.things, key=lambda thing: thing.span))
        for name, (start, end), (top, left, bottom, right) in scene.things:
            assert scene.caption[start:end] == name
            assert known[scene.image[top:bottom, left:right].tobytes()] == name
            rest[top:bottom, left:right] = 0
        assert not rest.any()


def test_numbers_of_things_and_places_in_a_quarter_are_equally_frequent():
    drawn = scenes.generate("train", 4_000, seed=0)
    counts = Counter(len(scene.things) for scene in drawn)
    assert all(counts[count] == pytest.approx(1_000, rel=0.15) for count in (1, 2, 3, 4))
    offsets = Counter(thing.box[axis] % 12 for scene in drawn for thing in scene.things for axis in (0, 1))
    assert sorted(offsets) == [0, 1, 2, 3, 4]
    assert max(offsets.values()) < 1.15 * min(offsets.values())


def test_scenes_are_the_same_for_a_seed_and_others_for_another():
    first, again = (scenes.generate("test", 53, seed=7) for _ in range(2))
    assert [s.caption for s in first] == [s.caption for s in again]
    np.testing.assert_array_equal([s.image for s in first], [s.image for s in again])
    other = scenes.generate("test", 53, seed=8)
    assert [s.caption for s in first] != [s.caption for s in other]
    # More of them begin with the same ones, and they do not depend on platform and Python.
    assert [s.caption for s in scenes.generate("test", 59, seed=7)[:53]] == [s.caption for s in first]
    digest = hashlib.sha256("\n".join(f"{s.caption} {s.things}" for s in first).encode()).hexdigest()
    assert digest[:16] == "76600441a1c1404d"


def test_pictures_of_a_split_come_from_it(monkeypatch):
    asked = []

    def load(kind, split, data_dir):
        asked.append((kind, split, data_dir))
        images = np.full((3, 4, 4), 200, np.uint8)
        return pictures.Pictures(images, np.array([1, 9, 9]), pictures.GARMENTS)

    monkeypatch.setattr(pictures, "load", load)
    drawn = scenes.generate("validation", 20, seed=0, kind="fashion_mnist", data_dir="somewhere")
    assert asked == [("fashion_mnist", "validation", "somewhere")]
    assert drawn[0].image.shape == (12, 12)
    captions = " ".join(scene.caption for scene in drawn)
    assert "a pair of trousers at the" in captions and "an ankle boot at the" in captions


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="at least 1. Received: num_examples=0"):
        scenes.generate("train", 0, seed=0)
    with pytest.raises(ValueError, match="one of train, validation, test. Received: 'dev'"):
        scenes.generate("dev", 5, seed=0)
    with pytest.raises(ValueError, match="one of digits, fashion_mnist. Received: 'faces'"):
        scenes.generate("test", 5, seed=0, kind="faces")

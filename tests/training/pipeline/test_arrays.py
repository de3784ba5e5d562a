"""Batches of examples of one size, and what is done to images."""

import numpy as np
import pytest

from training import pipeline

IMAGES = np.arange(7, dtype=np.uint8)[:, None, None, None] * np.ones((7, 2, 3, 1), np.uint8)
LABELS = np.arange(7, dtype=np.int32)


def batches(shuffle=True, **options):
    return pipeline.ArrayBatches(
        {"image": IMAGES}, LABELS, **{"batch_size": 3, "shuffle": shuffle, "seed": 5, **options}
    )


def labels_of(found, number=0):
    return [labels.tolist() for _, labels in found.batches_of_pass(number)]


def test_examples_and_labels_stay_together():
    for inputs, labels in batches().dataset():
        assert inputs["image"].shape == (3, 2, 3, 1)
        np.testing.assert_array_equal(inputs["image"][:, 0, 0, 0], labels)


def test_validation_has_every_example_in_its_place():
    found = batches(shuffle=False)
    assert labels_of(found) == [[0, 1, 2], [3, 4, 5], [6]] and len(found) == 3


def test_training_has_whole_batches_and_leaves_others_out_in_each_pass():
    found = batches()
    passes = [sum(labels_of(found, number), []) for number in range(60)]
    assert all(len(set(order)) == 6 for order in passes)
    assert {(set(range(7)) - set(order)).pop() for order in passes} == set(range(7))


def test_the_stream_can_be_entered_anywhere_with_the_same_changes():
    def change(inputs, labels, generator):
        return inputs, labels + 10 * generator.integers(100)

    stream = [labels.numpy().tolist() for _, labels in batches(change=change).stream().take(5)]
    assert stream[0] != stream[2]
    for start in (1, 2, 3):
        again = batches(change=change).stream(start).take(5 - start)
        assert [labels.numpy().tolist() for _, labels in again] == stream[start:]


def test_rows_are_a_multiple_of_the_micro_batches_in_training_only():
    assert batches(row_multiple=2).shapes == [pipeline.Shape((4, 2, 3, 1), 1, 4)]
    assert batches(shuffle=False, row_multiple=2).batch_size == 3


@pytest.mark.parametrize(
    ("options", "message"), [({"batch_size": 0}, "batch_size=0"), ({"row_multiple": 8}, "Received: 7")]
)
def test_what_gives_no_batch_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        batches(**options)


def test_images_are_mirrored_or_not_and_nothing_else():
    images = np.arange(24, dtype=np.uint8).reshape(4, 2, 3, 1)
    seen = set()
    for seed in range(20):
        changed = pipeline.flipped_and_shifted(images, True, 0, np.random.default_rng(seed))
        for image, was in zip(changed, images, strict=True):
            is_flipped = (image == was[:, ::-1]).all()
            assert is_flipped or (image == was).all()
            seen.add(bool(is_flipped))
    assert seen == {True, False}


def test_images_move_by_at_most_the_shift_and_zeros_come_in():
    image = np.zeros((1, 5, 5, 1), np.uint8)
    image[0, 2, 2] = 9
    places = set()
    for seed in range(100):
        changed = pipeline.flipped_and_shifted(image, False, 1, np.random.default_rng(seed))
        assert changed.shape == image.shape and changed.sum() == 9
        places.add(tuple(np.argwhere(changed[0, ..., 0])[0].tolist()))
    assert places == {(row, column) for row in (1, 2, 3) for column in (1, 2, 3)}

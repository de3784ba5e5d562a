"""Batches of texts: few shapes, every text in each pass, an order that can be entered anywhere."""

import numpy as np
import pytest
import tensorflow as tf

from training.pipeline import Rows, TextBatches, TokenBatches, labelled_rows

LENGTHS = [1, 2, 3, 5, 8, 4, 7, 2, 2, 6, 8]
N = len(LENGTHS)
# Text number n is n + 4 again and again, of class n.
IDS = Rows.join([(np.repeat(np.arange(4, N + 4), LENGTHS).astype("int32"), np.array(LENGTHS))])


def make(shuffle=True, batch_size=3, **kwargs):
    given = {"boundaries": [2, 5, 8], "seed": 1, "shuffle": shuffle, "batch_size": batch_size}
    return TextBatches(IDS, np.arange(N), **given | kwargs)


def test_every_text_comes_with_its_label_in_every_pass():
    batches = make()
    for number in (0, 1):
        found = list(batches.batches_of_pass(number))
        assert len(found) == len(batches) == 4
        labels = np.concatenate([labels for _, labels in found])
        assert set(labels) == set(range(N)) and len(labels) == 12
        for inputs, labels in found:
            ids = inputs["token_ids"]
            for row, label in zip(ids, labels, strict=True):
                assert row.tolist() == [label + 4] * LENGTHS[label] + [0] * (ids.shape[1] - LENGTHS[label])


def test_there_is_a_shape_for_each_boundary_and_only_training_has_whole_batches():
    shapes = [shape.shape for shape in make().shapes]
    assert shapes == [(3, 2), (3, 5), (3, 8)] and sum(shape.num_batches for shape in make().shapes) == 4
    found = list(make(shuffle=False).batches_of_pass(0))
    assert [inputs["token_ids"].shape for inputs, _ in found] == [(3, 2), (3, 5), (3, 8), (2, 8)]
    assert np.concatenate([labels for _, labels in found]).tolist() == [0, 1, 7, 8, 2, 3, 5, 4, 6, 9, 10]


def test_a_pass_can_be_entered_anywhere_and_no_two_are_alike():
    batches = make()
    whole, rest = list(batches.batches_of_pass(3)), list(batches.batches_of_pass(3, start=2))
    np.testing.assert_array_equal(rest[0][1], whole[2][1])
    others = [labels for _, labels in batches.batches_of_pass(4)]
    assert any((a != b).any() for a, b in zip(others, (labels for _, labels in whole), strict=True))


def test_rows_are_a_multiple_and_few_texts_make_one_batch():
    assert [len(labels) for _, labels in make(batch_size=64, row_multiple=4).batches_of_pass(0)] == [12]
    assert "11 texts, 4 batches of 3 shapes, 48 tokens, " in make().summary()
    assert (
        make().digest()
        == make(shuffle=False).digest()
        != make().__class__(IDS, np.zeros(N), batch_size=3, boundaries=[8], shuffle=True, seed=1).digest()
    )
    with pytest.raises(ValueError, match="at least one text"):
        TextBatches(
            Rows.join([(IDS.values[:0], IDS.lengths[:0])]),
            [],
            batch_size=3,
            boundaries=[8],
            shuffle=True,
            seed=1,
        )


def test_labels_of_words_stand_at_their_first_ids():
    def tokenize(texts):
        # Two words of two ids each behind the start; of the second text only one is read.
        ids = tf.ragged.constant([[2, 5, 6, 7, 8], [2, 9, 10]], dtype=tf.int32)[: len(texts)]
        return ids, tf.ragged.constant([[1, 3], [1]], dtype=tf.int64)[: len(texts)]

    ids, labels = labelled_rows(["a b", "c d"], [[1, 2], [3, 4]], tokenize)
    assert labels.tolist() == [0, 1, 0, 2, 0, 0, 3, 0]
    batches = TokenBatches(ids, labels, batch_size=2, boundaries=[6], shuffle=False, seed=0)
    ((inputs, found),) = batches.batches_of_pass(0)
    assert inputs["token_ids"].tolist() == [[2, 5, 6, 7, 8, 0], [2, 9, 10, 0, 0, 0]]
    assert found.tolist() == [[0, 1, 0, 2, 0, 0], [0, 3, 0, 0, 0, 0]] and found.dtype == "int32"
    ((_, again),) = batches.dataset()
    np.testing.assert_array_equal(again, found)
    others = TokenBatches(ids, labels + 1, batch_size=2, boundaries=[6], shuffle=False, seed=0)
    assert others.digest() != batches.digest()

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_transformer.special_ids import END_ID, PAD_ID, START_ID
from keras_transformer.tokenizers import CharacterTokenizer
from tests.training.pipeline.small_pairs import (
    BOUNDARIES,
    BYTES,
    PAIRS,
    buckets_of,
    dataset_of,
    encode,
    one_pass,
    passes_of,
    texts_in,
    texts_of,
)
from training import pipeline


def batches_of(pairs=PAIRS, **change):
    return buckets_of(pairs, **change).dataset()


def shapes_of(batch):
    inputs, labels = batch
    assert inputs["target_ids"].shape == labels.shape
    return (*inputs["source_ids"].shape, *labels.shape)


def test_a_batch_written_out():
    dataset = batches_of([("ab", "x"), ("", "yz")], bucket_boundaries=[4], batch_tokens=12, shuffle=False)
    inputs, labels = next(iter(dataset))
    a, b, x, y, z = (4 + ord(c) for c in "abxyz")
    assert inputs["source_ids"].numpy().tolist() == [[a, b, END_ID, 0], [END_ID, 0, 0, 0]]
    assert inputs["target_ids"].numpy().tolist() == [[START_ID, x, 0, 0], [START_ID, y, z, 0]]
    assert labels.numpy().tolist() == [[x, END_ID, 0, 0], [y, z, END_ID, 0]]
    assert {t.dtype for t in (*inputs.values(), labels)} == {tf.int32}


def test_labels_are_target_ids_shifted_by_one():
    for inputs, labels in batches_of():
        target_ids, labels = inputs["target_ids"].numpy(), labels.numpy()
        is_pair = labels[:, 0] != PAD_ID
        assert (target_ids[is_pair, 0] == START_ID).all()
        np.testing.assert_array_equal(target_ids != PAD_ID, labels != PAD_ID)
        shifted = np.where(labels == END_ID, PAD_ID, labels)[:, :-1]
        np.testing.assert_array_equal(target_ids[:, 1:], shifted)


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("batch_tokens", [1, 37, 60, 10_007])
def test_every_pair_appears_exactly_once_in_each_pass(shuffle, batch_tokens):
    buckets = buckets_of(shuffle=shuffle, batch_tokens=batch_tokens)
    for pairs in (one_pass(buckets.dataset()), *passes_of(buckets, 3)):
        assert sorted(pairs) == sorted(PAIRS)


def test_each_bucket_has_one_shape_and_its_batches_hold_batch_tokens():
    dataset = batches_of(PAIRS * 3)
    shapes = [shapes_of(batch) for _ in range(2) for batch in dataset]
    assert set(shapes) == {(60 // b, b, 60 // b, b) for b in BOUNDARIES}


def test_a_pair_lies_in_the_first_bucket_that_holds_it():
    for batch in batches_of():
        boundary = shapes_of(batch)[1]
        shorter = max((b for b in BOUNDARIES if b < boundary), default=0)
        for source, target in texts_of(batch):
            assert shorter < max(len(source), len(target)) + 1 <= boundary


def test_a_side_that_is_short_throughout_is_padded_less():
    pairs = [("s" * n, "t") for n in range(6, 11)]
    assert {shapes_of(batch) for batch in batches_of(pairs)} == {(5, 11, 5, 5)}


def test_the_last_batch_of_a_bucket_is_filled_up_with_rows_of_pads():
    dataset = batches_of([("s", "t")] * 7, bucket_boundaries=[5], batch_tokens=15, max_length=5)
    batches = list(dataset)
    assert [shapes_of(batch) for batch in batches] == [(3, 5, 3, 5)] * 3
    for ids in (b[0]["source_ids"] for b in batches), (b[0]["target_ids"] for b in batches):
        assert sum(not np.any(row) for rows in ids for row in rows) == 2
    assert sum(len(texts_of(batch)) for batch in batches) == 7


def test_a_bucket_with_few_pairs_has_small_batches():
    dataset = batches_of(PAIRS[:2], bucket_boundaries=[17], batch_tokens=10_007)
    assert [shapes_of(batch) for batch in dataset] == [(2, 17, 2, 17)]


def test_rows_are_a_multiple_where_batches_are_split():
    pairs = PAIRS * 3
    buckets = buckets_of(pairs, row_multiple=4)
    assert {shapes_of(batch)[0] for batch in buckets.dataset()} == {
        -(-(60 // b) // 4) * 4 for b in BOUNDARIES
    }
    assert sorted(one_pass(buckets.dataset())) == sorted(pairs)


def test_the_number_of_batches_is_known():
    buckets = buckets_of()
    assert len(buckets) == len(buckets.dataset()) == len(list(buckets.dataset()))


def test_the_same_seed_gives_the_same_passes_and_each_pass_another_order():
    passes = passes_of(buckets_of(), 3)
    assert passes_of(buckets_of(), 3) == passes
    assert passes[0] != passes[1] and passes[1] != passes[2] and passes[0] != passes[2]
    assert one_pass(buckets_of().dataset()) == passes[0]
    assert passes_of(buckets_of(seed=4), 1) != passes[:1]


@pytest.mark.parametrize("shuffle", [True, False])
def test_a_stream_can_begin_anywhere(shuffle):
    buckets = buckets_of(shuffle=shuffle)
    stream = [texts_of(batch) for batch in itertools.islice(buckets.stream(), 3 * len(buckets))]
    for start in (1, len(buckets) - 1, len(buckets), 2 * len(buckets) + 3):
        batches = itertools.islice(buckets.stream(start), 3 * len(buckets) - start)
        assert [texts_of(batch) for batch in batches] == stream[start:]


def test_batches_come_shuffled_and_not_by_length():
    lengths = [shapes_of(batch)[1] for batch in batches_of()]
    assert lengths != sorted(lengths)


def test_without_shuffling_each_pass_goes_from_short_to_long_in_the_order_given():
    dataset = batches_of(shuffle=False)

    def bucket(pair):
        return np.searchsorted(BOUNDARIES, max(map(len, pair)) + 1)

    expected = sorted(PAIRS, key=bucket)  # `sorted` keeps the order of equals.
    assert one_pass(dataset) == expected
    assert one_pass(dataset) == expected


def test_pairs_longer_than_max_length_are_dropped_and_counted():
    fits = [("s" * 6, "t" * 6), ("s", "t" * 6), ("", "")]
    too_long = [("s" * 7, "t"), ("s", "t" * 7), ("s" * 99, "t" * 99)]
    encoded = encode([*too_long, *fits, *too_long], max_length=7)
    assert len(encoded) == 3
    assert encoded.dropped == {"too long": 6}
    assert texts_in(encoded.source) == ["s" * 6, "s", ""]
    assert texts_in(encoded.target) == ["t" * 6, "t" * 6, ""]


def test_encoding_keeps_the_order_over_many_tokenizer_batches(monkeypatch):
    monkeypatch.setattr("training.pipeline.pairs.TOKENIZER_BATCH", 7)
    encoded = encode(keep_texts=True)
    assert list(zip(texts_in(encoded.source), texts_in(encoded.target), strict=True)) == PAIRS
    texts = [encoded.source_texts, encoded.target_texts]
    assert [tuple(side[row].tobytes().decode() for side in texts) for row in range(len(PAIRS))] == PAIRS


def test_each_side_has_its_own_tokenizer():
    letters = CharacterTokenizer("code_points", "xyz")
    encoded = pipeline.encode([dataset_of([("a", "zx")])], BYTES, letters, pipeline.Filters(5))
    buckets = pipeline.BucketBatches(encoded, batch_tokens=5, bucket_boundaries=[5], shuffle=False, seed=3)
    inputs, labels = next(iter(buckets.dataset()))
    assert inputs["source_ids"][0, 0] == 4 + ord("a")
    assert labels[0, :3].numpy().tolist() == [6, 4, END_ID]


def test_clearing_the_session_leaves_the_batches_alone():
    dataset = batches_of(shuffle=False)
    keras.backend.clear_session()
    assert sorted(one_pass(dataset)) == sorted(PAIRS)


@pytest.mark.parametrize(
    "pairs, change, message",
    [
        ([], {}, "`pairs` must hold at least one pair. Received: none."),
        ([("s" * 17, "t")] * 3, {}, "max_length=17, .*Received: 3 pairs, of them 3 too long"),
        (PAIRS, {"max_length": 1}, "`max_length` must be at least 2. Received: max_length=1."),
        (PAIRS, {"batch_tokens": 0}, "`batch_tokens` must be at least 1. Received: batch_tokens=0."),
        (PAIRS, {"bucket_boundaries": []}, r"Received: bucket_boundaries=\[\]"),
        (PAIRS, {"bucket_boundaries": [5, 5, 17]}, r"must be positive, rise.*=\[5, 5, 17\]"),
        (PAIRS, {"bucket_boundaries": [0, 17]}, r"must be positive, rise.*=\[0, 17\]"),
        (PAIRS, {"bucket_boundaries": [5, 16]}, r"no less than the longest pair, 17 tokens.*16\]"),
    ],
)
def test_bad_data_and_options_are_refused(pairs, change, message):
    with pytest.raises(ValueError, match=message):
        batches_of(pairs, **change)


@pytest.mark.parametrize("max_length", [1, 2, 7, 8, 9, 13, 32, 64, 97, 256, 1024])
def test_default_boundaries_rise_to_max_length(max_length):
    boundaries = pipeline.default_boundaries(max_length)
    assert boundaries[-1] == max_length
    assert len(boundaries) <= 8
    assert list(boundaries) == sorted(set(boundaries))
    assert boundaries[0] == min(8, max_length)


def test_default_boundaries_for_64():
    assert pipeline.default_boundaries(64) == (8, 12, 16, 20, 28, 36, 48, 64)

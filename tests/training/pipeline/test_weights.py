"""Several corpora: how often a pair is seen."""

import collections
import functools
import itertools

import numpy as np
import pytest

from tests.training.pipeline.small_pairs import BOUNDARIES, encode_corpora, one_pass, passes_of, texts_of
from training import pipeline

# Three corpora of 23, 31 and 11 pairs, told apart by their letters.
CORPORA = [
    [(f"{letter}{n}" + letter * (n % 11), f"{letter}{n}") for n in range(count)]
    for letter, count in (("a", 23), ("b", 31), ("c", 11))
]


@functools.cache
def encoded():
    return encode_corpora(CORPORA)


def buckets_of(weights, **change):
    options = {"batch_tokens": 60, "bucket_boundaries": BOUNDARIES, "shuffle": True, "seed": 3}
    return pipeline.BucketBatches(encoded(), weights=weights, **options | change)


def counts_of(pairs):
    return collections.Counter(pairs)


def test_whole_weights_say_how_often_each_pair_is_in_a_pass():
    for pairs in passes_of(buckets_of([1, 2, 3]), 3):
        counts = counts_of(pairs)
        for times, corpus in enumerate(CORPORA, start=1):
            assert {counts[pair] for pair in corpus} == {times}


@pytest.mark.parametrize(
    "weight", [0.1, 0.7, 2.9, *(pytest.param(weight, marks=pytest.mark.slow) for weight in (0.25, 0.5, 1.5))]
)
def test_fractions_cover_all_pairs_evenly_over_the_passes(weight):
    buckets = buckets_of([1, weight, 1])
    bucket_of = {
        pair: index
        for index, bucket in enumerate(buckets.buckets)
        for row in bucket.rows[1]
        for pair in [CORPORA[1][row - len(CORPORA[0])]]
    }
    seen = collections.Counter()
    for passes, pairs in enumerate(passes_of(buckets, 11), start=1):
        seen.update(counts_of(pairs))
        assert {seen[pair] for pair in CORPORA[0]} == {passes}
        for index in set(bucket_of.values()):
            times = [seen[pair] for pair in CORPORA[1] if bucket_of[pair] == index]
            assert max(times) - min(times) <= 1
            # Rounding a bucket's share gives or takes half a pair a pass, but at least one is seen.
            expected, tolerance = passes * weight * len(times), passes * max(0.5, 1 - weight * len(times) % 1)
            assert abs(sum(times) - expected) <= tolerance + 1e-9


def test_half_of_an_even_bucket_is_every_second_pass():
    corpora = [[("a", "b")], [(f"{n:02}", "t") for n in range(10)]]
    buckets = pipeline.BucketBatches(
        encode_corpora(corpora),
        batch_tokens=20,
        bucket_boundaries=[5],
        shuffle=True,
        seed=3,
        weights=[1, 0.5],
    )
    passes = passes_of(buckets, 4)
    assert {len(pairs) for pairs in passes} == {6}
    for first, second in (passes[:2], passes[2:]):
        assert sorted(set(first + second)) == sorted(set(corpora[0] + corpora[1]))
    assert set(passes[0]) != set(passes[2])


def test_each_bucket_has_the_same_number_of_batches_and_rows_in_each_pass():
    buckets = buckets_of([0.3, 1.7, 2])
    for number in range(5):
        plan = buckets.plan(number)
        assert len(plan) == len(buckets)
        sizes = collections.Counter()
        for index, rows in plan:
            sizes[index] += len(rows)
        assert [sizes[index] for index in range(len(buckets.buckets))] == [b.size for b in buckets.buckets]


def test_the_draws_depend_on_seed_and_pass_alone():
    weights = [0.5, 1.5, 0.1]
    stream = [texts_of(batch) for batch in itertools.islice(buckets_of(weights).stream(), 30)]
    length = len(buckets_of(weights))
    for start in (1, length, 2 * length + 1):
        batches = itertools.islice(buckets_of(weights).stream(start), 30 - start)
        assert [texts_of(batch) for batch in batches] == stream[start:]
    others = itertools.islice(buckets_of(weights, seed=4).stream(), 30)
    assert [texts_of(batch) for batch in others] != stream


def test_weights_of_1_change_nothing():
    assert one_pass(buckets_of([1, 1.0, 1]).dataset()) == one_pass(buckets_of(None).dataset())


def test_what_a_pass_holds_is_summed_up():
    buckets = buckets_of([1, 2, 0.5])
    source_places, target_places = (
        sum(batch[0][side].shape.num_elements() for batch in buckets.dataset())
        for side in ("source_ids", "target_ids")
    )
    real = [0, 0]
    for inputs, labels in buckets.dataset():
        real[0] += np.count_nonzero(inputs["source_ids"])
        real[1] += np.count_nonzero(labels)
    assert buckets.num_tokens == tuple(real)
    assert buckets.padding_ratio == pytest.approx((1 - real[0] / source_places, 1 - real[1] / target_places))
    shapes = {(*inputs["source_ids"].shape, *labels.shape) for inputs, labels in buckets.dataset()}
    assert buckets.num_shapes == len(shapes)
    assert buckets.summary() == (
        f"23 + 31 x 2 + 11 x 0.5 pairs, {len(buckets)} batches of {len(shapes)} shapes, {real[0]} source and "
        f"{real[1]} target tokens, {buckets.padding_ratio[0]:.0%} and {buckets.padding_ratio[1]:.0%} padding"
    )

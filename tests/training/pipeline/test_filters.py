"""Which pairs are left out, and how they are counted."""

import pytest

from tests.training.pipeline.small_pairs import encode, encode_corpora, texts_in


def kept(encoded):
    return list(zip(texts_in(encoded.source), texts_in(encoded.target), strict=True))


def test_without_rules_only_length_counts():
    pairs = [("same", "same"), ("s", "t" * 16), ("same", "same")]
    encoded = encode(pairs)
    assert kept(encoded) == pairs
    assert encoded.dropped == {}


@pytest.mark.parametrize("turned", [False, True])
def test_the_ratio_counts_end_tokens_and_its_bound_passes(turned):
    pairs = [("ss", "t" * 5), ("ss", "t" * 6), ("", "t"), ("", "tt"), ("abc", "abc")]
    if turned:
        pairs = [(target, source) for source, target in pairs]
    encoded = encode(pairs, max_length_ratio=2)
    assert kept(encoded) == [pairs[0], pairs[2], pairs[4]]
    assert encoded.dropped == {"too unequal in length": 2}


def test_of_duplicates_the_first_is_kept_also_from_corpus_to_corpus():
    corpora = [[("a", "b"), ("ab", ""), ("", "ab"), ("a", "b")], [("c", "d"), ("a", "b"), ("a", "c")]]
    encoded = encode_corpora(corpora, remove_duplicates=True)
    assert kept(encoded) == [*corpora[0][:3], corpora[1][0], corpora[1][2]]
    assert encoded.corpus.tolist() == [0, 0, 0, 1, 1]
    assert encoded.dropped == {"duplicates": 2}


def test_copies_are_left_out():
    encoded = encode([("a", "a"), ("a", "b"), ("a", "A")], remove_copies=True)
    assert kept(encoded) == [("a", "b"), ("a", "A")]
    assert encoded.dropped == {"copies": 1}


def test_a_pair_is_counted_by_the_first_rule_it_breaks():
    pairs = [("s" * 17, "s" * 17)] * 2 + [("s" * 17, "t")] * 2 + [("s", "t" * 9)] * 2 + [("s", "t")]
    rules = {"max_length_ratio": 3, "remove_duplicates": True, "remove_copies": True}
    encoded = encode(pairs, **rules)
    assert kept(encoded) == [("s", "t")]
    assert encoded.dropped == {
        "copies": 2,
        "duplicates": 2,
        "too long": 1,
        "too unequal in length": 1,
    }


@pytest.mark.parametrize("ratio", [0.9, float("nan")])
def test_a_ratio_below_1_is_refused(ratio):
    with pytest.raises(ValueError, match=f"`max_length_ratio` must be at least 1. Received: .*={ratio}"):
        encode(max_length_ratio=ratio)

"""Results that begin as told."""

import numpy as np
import pytest
from keras import ops

from keras_transformer import decoding
from tests import checks
from tests.decoding.scripted import (
    ALPHABET,
    EACH_SEARCH,
    PAD,
    bigrams,
    constant,
    greedy_words,
    ids_of,
    letters,
    speller,
    words_of,
)


def test_result_begins_as_told_and_goes_on_freely():
    words = greedy_words(speller("hello$z", "abcd$zz"), 2, prefixes=["xy_", "___"])
    assert words == ["xyllo$_", "abcd$__"]


@EACH_SEARCH
def test_padding_never_follows_a_prefix(make):
    row = np.full(len(ALPHABET), 1.0)
    row[PAD] = 99.0
    prefix_ids = ops.convert_to_tensor(np.array([ids_of("xy_"), ids_of("x__")], "int32"))
    ids = checks.as_array(make(5, min_length=5)(*constant(row), 2, prefix_ids=prefix_ids).ids)
    assert (ids != PAD).all()


def test_prefix_counts_in_the_score_and_the_model_sees_it():
    step, state = bigrams({"^": {"a": 0.9, "b": 0.1}, "b": {"c": 0.6, "$": 0.4}, "c": {"$": 0.7, "d": 0.3}})
    prefix_ids = ops.convert_to_tensor([[ALPHABET.index("b")]])
    ids, scores, _ = decoding.Greedy(7)(step, state, 1, prefix_ids=prefix_ids)
    assert words_of(ids) == ["bc$____"]
    assert np.exp(float(scores[0, 0])) == pytest.approx(0.1 * 0.6 * 0.7, rel=1e-4)


def test_prefix_that_ends_is_the_result():
    assert greedy_words(letters(a=1.0), prefixes=["bc$"]) == ["bc$____"]


def test_prefix_is_forced_against_other_rules():
    rules = {"no_repeat_ngram_size": 1, "min_length": 5, "repetition_penalty": 3.0}
    assert greedy_words(letters(a=1.0), prefixes=["bbb"], **rules)[0][:4] == "bbba"
    assert greedy_words(letters(a=1.0), prefixes=["b$_"], **rules) == ["b$_____"]
    # The source allows two tokens; the prefix and one more are always there.
    assert greedy_words(letters(a=1.0), prefixes=["bbb"], source_lengths=[2], max_ratio=1.0) == ["bbba___"]


def test_rules_count_the_prefix():
    assert greedy_words(letters(a=2.0, b=1.0, end=0.0), prefixes=["a"], no_repeat_ngram_size=1) == ["ab$____"]


@pytest.mark.parametrize("length", [7, 11])
def test_prefix_must_leave_room(length):
    with pytest.raises(ValueError, match=f"shorter than `max_length`.*{length} tokens, max_length=7"):
        greedy_words(letters(a=1.0), prefixes=["a" * length])

"""The rules on what a text may go on with, on words that can be read."""

import numpy as np
import pytest
from keras import ops

from keras_transformer import decoding
from keras_transformer.decoding.constraints import Rules
from tests import checks
from tests.decoding import numpy_search
from tests.decoding.scripted import (
    ALPHABET,
    EACH_SEARCH,
    END,
    PAD,
    START,
    TableModel,
    bigrams,
    constant,
    counted,
    greedy_words,
    letters,
    log_softmax,
    loops_in_python,
    speller,
)

# Padding and start


@EACH_SEARCH
def test_padding_and_start_are_never_chosen(make):
    row = np.full(len(ALPHABET), 1.0)
    row[[PAD, START]] = 99.0
    ids = checks.as_array(make(5)(*constant(row), 1).ids).reshape(-1, 5)
    for text in ids:
        length = text.tolist().index(END) + 1 if END in text else 5
        assert not np.isin(text[:length], [PAD, START]).any()
        assert (text[length:] == PAD).all()


# Lengths


def test_result_is_at_least_as_long_as_told():
    step_and_state = letters(end=2.0, a=1.0)
    assert greedy_words(step_and_state) == ["$______"]
    assert greedy_words(step_and_state, min_length=1) == ["$______"]
    assert greedy_words(step_and_state, min_length=2) == ["a$_____"]
    assert greedy_words(step_and_state, min_length=7) == ["aaaaaa$"]


def test_smallest_length_of_a_result_that_is_long_anyway_changes_nothing():
    assert greedy_words(speller("abcd$zz"), min_length=5) == ["abcd$__"]


def test_longest_result_follows_from_the_source():
    step_and_state, lengths = letters(a=1.0), [1, 2, 4, 11]
    assert greedy_words(step_and_state, 4, source_lengths=lengths, max_ratio=1) == [
        "a______",
        "aa_____",
        "aaaa___",
        "aaaaaaa",
    ]
    # 0.3 * 4 = 1.2, rounded up; 0.3 * 1 is still one token.
    words = greedy_words(step_and_state, 4, source_lengths=lengths, max_ratio=0.3)
    assert words == ["a______", "a______", "aa_____", "aaaa___"]


def test_shortest_result_follows_from_the_source():
    step_and_state = letters(end=2.0, a=1.0)
    words = greedy_words(step_and_state, 4, source_lengths=[1, 2, 4, 11], min_ratio=1.2)
    assert words == ["a$_____", "aa$____", "aaaa$__", "aaaaaa$"]
    assert greedy_words(step_and_state, source_lengths=[4], min_ratio=0.5, min_length=3) == ["aa$____"]
    assert greedy_words(step_and_state, source_lengths=[4], min_ratio=0.5, max_ratio=0.5) == ["a$_____"]


def test_product_of_ratio_and_length_that_is_whole_is_not_rounded_up():
    mask = np.ones((1, 25), bool)
    ids = decoding.Greedy(40, max_ratio=1.2)(*letters(a=1.0), 1, source_mask=mask).ids
    assert (checks.as_array(ids) != PAD).sum() == 30


@EACH_SEARCH
def test_largest_length_wins_over_the_smallest(make):
    mask = ops.convert_to_tensor(np.arange(5) < np.array([[1], [4]]))
    search = make(7, min_length=3, max_ratio=1.0)
    ids = checks.as_array(search(*letters(end=2.0, a=1.0, b=0.5), 2, source_mask=mask).ids)
    assert ((ids[0] != PAD).sum(axis=-1) == 1).all()
    assert np.isin((ids[1] != PAD).sum(axis=-1), [3, 4]).all()


@pytest.mark.parametrize("rules", [{"min_length": 3}, {"min_ratio": 0.5}])
def test_end_is_allowed_at_the_largest_length(rules):
    words = greedy_words(letters(end=2.0, a=1.0), source_lengths=[4], max_ratio=0.5, **rules)
    assert words == ["a$_____"]


@pytest.mark.parametrize("rules", [{"max_ratio": 2.0}, {"min_ratio": 0.5}], ids=str)
def test_ratios_need_the_source_mask(rules):
    with pytest.raises(
        ValueError, match="`m.._ratio` needs `source_mask`: give.*Received: source_mask=None, m"
    ):
        greedy_words(letters(a=1.0), **rules)


# Repetition


@pytest.mark.parametrize("n, expected", [(0, "aaaaaaa"), (1, "abcd$__"), (2, "aabacad"), (3, "aaabaac")])
def test_no_ngram_occurs_twice(n, expected):
    assert greedy_words(letters(a=5.0, b=4.0, c=3.0, d=2.0, end=1.0), no_repeat_ngram_size=n) == [expected]


def test_ngrams_are_counted_in_each_row_on_its_own():
    words = greedy_words(speller("ababab$", "abcabd$"), 2, no_repeat_ngram_size=2, min_length=3)
    assert words[0][:3] == "aba" and words[0][3] != "b"
    assert words[1][:4] == "abca" and words[1][4] != "b"
    assert greedy_words(speller("abcabd$"), no_repeat_ngram_size=3) == ["abcabd$"]


@EACH_SEARCH
@pytest.mark.parametrize("n", [1, 2, 3])
def test_no_search_repeats_an_ngram(make, n):
    model = TableModel(6, range(0, 600, 19), end=-2.0, spread=0.5)
    search = make(11, no_repeat_ngram_size=n)
    for row_ids in model.search(search)[0]:
        for text in row_ids:
            text = [int(token) for token in text if token != PAD]
            ngrams = [tuple(text[i : i + n]) for i in range(len(text) - n + 1)]
            assert len(set(ngrams)) == len(ngrams)


def test_an_ngram_longer_than_the_result_bans_nothing():
    assert greedy_words(letters(a=1.0), no_repeat_ngram_size=11) == ["aaaaaaa"]


@pytest.mark.parametrize("penalty, expected", [(1.0, "aa"), (1.9, "aa"), (2.1, "ab")])
def test_repetition_penalty_divides_positive_logits(penalty, expected):
    # 4 / penalty against 2: with 2.1 b is likelier than a second a.
    assert greedy_words(letters(a=4.0, b=2.0), max_length=2, repetition_penalty=penalty) == [expected]


@pytest.mark.parametrize("penalty, expected", [(1.9, "aa"), (2.1, "ab")])
def test_repetition_penalty_multiplies_negative_logits(penalty, expected):
    assert greedy_words(letters(a=-2.0, b=-4.0), max_length=2, repetition_penalty=penalty) == [expected]


def test_repetition_penalty_below_one_rewards_repetition():
    step_and_state = bigrams({"^": {"a": 1.0}, "a": {"b": 0.6, "a": 0.4}, "b": {"$": 1.0}})
    assert greedy_words(step_and_state, max_length=3) == ["ab$"]
    assert greedy_words(step_and_state, max_length=3, repetition_penalty=0.5) == ["aaa"]


def test_repetition_penalty_counts_a_token_once():
    # 4 / 1.5 > 2 > 4 / 1.5 ** 2.
    assert greedy_words(letters(a=4.0, b=2.0), max_length=5, repetition_penalty=1.5) == ["aaaaa"]


def test_score_under_a_penalty_is_the_models_own():
    row = np.full(7, -60.0)
    row[[4, 5]] = [4.0, 2.0]
    ids, scores, _ = decoding.Greedy(2, repetition_penalty=2.1)(*constant(row), 1)
    assert checks.as_array(ids).tolist() == [[[4, 5]]]
    assert float(scores[0, 0]) == pytest.approx(log_softmax(row)[[4, 5]].sum(), abs=1e-5)


@pytest.mark.parametrize(
    "rules",
    [
        {"min_length": 5, "no_repeat_ngram_size": 1},
        {"repetition_penalty": 1.7, "max_ratio": 1.4},
        {"no_repeat_ngram_size": 2, "repetition_penalty": 0.7, "min_ratio": 1.3},
    ],
    ids=str,
)
def test_greedy_search_under_rules_is_that_of_numpy(rules):
    model = TableModel(11, range(0, 900, 9), np.arange(100) % 5 + 1)
    search = decoding.Greedy(7, **rules)
    ids, scores, _ = model.search(search)
    for row in range(model.batch_size):
        numpy_search.assert_same((ids[row], scores[row]), numpy_search.greedy(search, model, row))


# Contradictions


@EACH_SEARCH
def test_search_ends_without_padding_inside_when_nothing_is_allowed(make):
    # Only ? and a are there, no token may come twice, and the end is too early.
    search = make(7, min_length=5, no_repeat_ngram_size=1)
    step, state = constant(np.zeros(5))
    step, calls = counted(step)
    with loops_in_python():
        ids, scores, _ = search(step, state, 1)
    ids = checks.as_array(ids)[0]
    assert len(calls) <= 7
    for text in ids:
        length = (text != PAD).sum()
        assert not np.isin(text[:length], [PAD, START]).any()
    assert not np.isnan(checks.as_array(scores)).any()


@pytest.mark.parametrize(
    "arguments, match",
    [
        ({"min_length": 0}, "`min_length` must be a positive integer and at most 7.*min_length=0"),
        ({"min_length": 8}, "`min_length` must be .* at most 7.*min_length=8"),
        ({"no_repeat_ngram_size": -1}, "`no_repeat_ngram_size` must be an integer >= 0.*size=-1"),
        ({"repetition_penalty": 0}, "`repetition_penalty` must be a finite number > 0.*penalty=0"),
        ({"repetition_penalty": float("nan")}, "`repetition_penalty` must be a finite number.*nan"),
        ({"max_ratio": 0.0}, "`max_ratio` must be a finite number > 0.*max_ratio=0.0"),
        ({"min_ratio": -1}, "`min_ratio` must be a finite number >= 0.*min_ratio=-1"),
        ({"min_ratio": 2, "max_ratio": 1}, "`max_ratio` must not be smaller.*max_ratio=1, min_ratio=2"),
    ],
)
def test_arguments_are_checked(arguments, match):
    with pytest.raises(ValueError, match=match):
        decoding.Greedy(7, **arguments)


def test_a_ratio_beyond_all_lengths_leaves_the_lengths_as_they_are():
    mask = np.ones((2, 3), bool)
    for ratio in (1e10, 1e30, 3e38):  # 3e10 is no int32
        rules = Rules(decoding.Greedy(7, max_ratio=ratio), 2, mask, None)
        assert ops.convert_to_numpy(rules.longest).tolist() == [7, 7]
        rules = Rules(decoding.Greedy(7, min_ratio=ratio), 2, mask, None)
        assert ops.convert_to_numpy(rules.shortest).tolist() == [7, 7]

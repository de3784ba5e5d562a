"""Sampling: what may be drawn, how often, and from which seed."""

import numpy as np
import pytest
from keras import ops

from keras_transformer import decoding
from keras_transformer.decoding import draws, sampling
from tests import checks
from tests.decoding.scripted import PAD, START, TableModel, constant, without_padding

# Of the ids 4 to 9, in no order; nothing else is ever drawn.
PROBABILITIES = {4: 0.1, 5: 0.25, 6: 0.4, 7: 0.05, 8: 0.17, 9: 0.03}
IMPOSSIBLE = -60.0


def logits_of(probabilities, size=11):
    logits = np.full(size, IMPOSSIBLE)
    for token, probability in probabilities.items():
        logits[token] = np.log(probability) + 5.0  # a soft-max does not see it
    return logits


def drawn(probabilities=PROBABILITIES, max_length=3, num_samples=701, seed=1, **options):
    """(N, L) ids of one source whose distribution is the same at every position."""
    search = decoding.Sampling(max_length, num_samples=num_samples, seed=seed, **options)
    return checks.as_array(search(*constant(logits_of(probabilities)), 1).ids)[0]


def assert_frequencies(ids, probabilities):
    """Chi-square: four standard deviations above its mean happens to one seed in 2,000."""
    tokens, counts = np.unique(ids, return_counts=True)
    assert set(tokens.tolist()) <= set(probabilities)
    counts = {int(token): count for token, count in zip(tokens, counts, strict=True)}
    total = sum(probabilities.values())
    expected = {token: ids.size * p / total for token, p in probabilities.items()}
    chi_square = sum((counts.get(token, 0) - e) ** 2 / e for token, e in expected.items())
    freedom = len(probabilities) - 1
    assert chi_square < freedom + 4 * np.sqrt(2 * freedom)


# The distribution


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_frequencies_are_the_models_probabilities(seed):
    ids = drawn(seed=seed)
    assert_frequencies(ids, PROBABILITIES)
    for position in range(3):
        assert_frequencies(ids[:, position], PROBABILITIES)


def test_frequencies_over_many_positions_of_one_sample():
    assert_frequencies(drawn(max_length=307, num_samples=1), PROBABILITIES)


def test_positions_and_samples_are_independent():
    ids = drawn(num_samples=2003)
    pairs = {(a, b): p * q for a, p in PROBABILITIES.items() for b, q in PROBABILITIES.items()}
    pairs = {10 * a + b: p for (a, b), p in pairs.items()}
    assert_frequencies(10 * ids[:, 0] + ids[:, 1], pairs)
    assert_frequencies(10 * ids[:-1, 2] + ids[1:, 2], pairs)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_temperature_divides_the_logits(temperature):
    powers = {token: p ** (1 / temperature) for token, p in PROBABILITIES.items()}
    assert_frequencies(drawn(temperature=temperature), powers)


def test_low_temperature_is_greedy():
    assert (drawn(temperature=0.01) == 6).all()


# Filters


def likeliest(count):
    order = sorted(PROBABILITIES, key=PROBABILITIES.get, reverse=True)
    return {token: PROBABILITIES[token] for token in order[:count]}


@pytest.mark.parametrize("k", [1, 2, 5])
def test_top_k_never_leaves_the_k_likeliest(k):
    ids = drawn(top_k=k)
    assert set(np.unique(ids).tolist()) == set(likeliest(k))
    if k > 1:
        assert_frequencies(ids, likeliest(k))


@pytest.mark.parametrize("k", [11, 100])
def test_top_k_of_the_whole_vocabulary_or_more_is_no_filter(k):
    assert_frequencies(drawn(top_k=k), PROBABILITIES)


# Likeliest first the sums are 0.4, 0.65, 0.82, 0.92, 0.97, 1.
@pytest.mark.parametrize("p, count", [(0.25, 1), (0.5, 2), (0.75, 3), (1.0, 4)])
def test_a_set_that_reaches_p_exactly_is_enough(p, count):
    # Holtzman et al. 2020, section 3.1: the smallest set whose probabilities sum to p or more. Quarters are
    # exact in float32, and so are their sums.
    ids = drawn(dict.fromkeys(range(4, 8), 0.25), top_p=p)
    assert len(np.unique(ids)) == count


@pytest.mark.parametrize("p, count", [(0.01, 1), (0.39, 1), (0.41, 2), (0.64, 2), (0.66, 3), (0.93, 5)])
def test_top_p_keeps_the_smallest_set_that_reaches_p(p, count):
    ids = drawn(top_p=p)
    assert set(np.unique(ids).tolist()) == set(likeliest(count))
    if count > 1:
        assert_frequencies(ids, likeliest(count))


# Relative to the likeliest: 1, 0.625, 0.425, 0.25, 0.125, 0.075.
@pytest.mark.parametrize("p, count", [(0.0, 6), (0.07, 6), (0.08, 5), (0.3, 3), (0.6, 2), (0.7, 1), (1.0, 1)])
def test_min_p_keeps_what_is_likely_next_to_the_likeliest(p, count):
    ids = drawn(min_p=p, num_samples=1009)
    assert set(np.unique(ids).tolist()) == set(likeliest(count))
    if count > 1:
        assert_frequencies(ids, likeliest(count))


def test_what_is_as_likely_as_min_p_asks_is_kept():
    # Four equal logits: their ratios are exact.
    ids = drawn(dict.fromkeys(range(4, 8), 0.25), min_p=1.0)
    assert set(np.unique(ids).tolist()) == {4, 5, 6, 7}


@pytest.mark.parametrize(
    "options, count",
    [
        # Squared and normalised: 0.6, 0.23, ...; after top-p there would be two.
        ({"temperature": 0.5, "top_p": 0.5}, 1),
        ({"temperature": 0.5, "min_p": 0.6}, 1),
        # Of the two likeliest the first has 0.615; before top-k two would be kept.
        ({"top_k": 2, "top_p": 0.6}, 1),
        # 0.4 of 0.65 would reach 0.6 after min-p; before it takes two.
        ({"top_p": 0.6, "min_p": 0.5}, 2),
        ({"top_k": 4, "top_p": 0.85, "min_p": 0.5}, 2),
    ],
    ids=str,
)
def test_filters_apply_in_the_documented_order(options, count):
    assert set(np.unique(drawn(**options)).tolist()) == set(likeliest(count))


def test_filters_see_only_what_the_rules_allow():
    # The end token has half of all; while it is too early it does not count towards p.
    with_end = {3: 1.0, **PROBABILITIES}
    ids = drawn(with_end, min_length=3, top_p=0.41)
    assert set(np.unique(ids[:, :2]).tolist()) == set(likeliest(2))
    assert set(np.unique(ids[:, 2]).tolist()) == {3}
    assert_frequencies(drawn(with_end, min_length=3, top_k=2)[:, :2], likeliest(2))


def test_padding_and_start_are_never_drawn():
    likely = {PAD: 0.5, START: 0.4, 4: 0.06, 5: 0.04}
    for options in ({}, {"top_k": 2}, {"top_p": 0.99}, {"temperature": 3.0}):
        assert set(np.unique(drawn(likely, **options)).tolist()) == {4, 5}


@pytest.mark.parametrize("options", [{"top_k": 1}, {"top_p": 1e-6}, {"min_p": 1.0}], ids=str)
def test_only_the_likeliest_is_greedy_search(options):
    model = TableModel(11, range(0, 3000, 29))
    ids, scores, _ = model.search(decoding.Sampling(7, seed=3, **options))
    greedy_ids, greedy_scores, _ = model.search(decoding.Greedy(7))
    np.testing.assert_array_equal(ids, greedy_ids)
    np.testing.assert_allclose(scores, greedy_scores, atol=1e-5)


# Seeds, rows and samples

KEYS = [5, 11, 500, 5, 1500]
SEARCH = decoding.Sampling(7, temperature=0.9, top_k=9, top_p=0.95, num_samples=3, seed=4)


@pytest.mark.parametrize("xla", [False, True])
@pytest.mark.parametrize("search", [SEARCH, decoding.Sampling(5, seed=5)], ids=["filters", "plain"])
def test_same_seed_gives_the_same_text_in_a_graph(search, xla):
    model = TableModel(11, KEYS)
    expected = model.search(search)
    np.testing.assert_array_equal(model.search(search)[0], expected[0])

    def run(state):
        return search(model.step, state, len(KEYS))[:2]

    ids, scores = checks.compiled(run, xla)(model.state(search.max_length))
    np.testing.assert_array_equal(checks.as_array(ids), expected[0])
    np.testing.assert_allclose(checks.as_array(scores), expected[1], atol=1e-4)


def test_different_seeds_give_different_texts():
    model = TableModel(29, [7], end=-9.0)
    texts = {tuple(model.search(decoding.Sampling(11, seed=seed))[0].ravel()) for seed in range(5)}
    assert len(texts) == 5


def row_words(*rows):
    """Names of rows, which their content decides."""
    return draws.row_streams(ops.convert_to_tensor(np.array(rows, "int32")))


def test_draws_of_a_row_do_not_depend_on_its_neighbours_or_its_place():
    model, names = TableModel(11, KEYS), np.array(KEYS)[:, None]
    ids, scores, _ = model.search(SEARCH, streams=row_words(*names))
    assert (ids[0] != ids[3]).any()  # the same source twice
    for rows in ([4, 2, 0, 1, 3], [2, 1], [4]):
        some_ids, some_scores, _ = model.part(np.array(rows)).search(SEARCH, streams=row_words(*names[rows]))
        np.testing.assert_array_equal(some_ids, ids[rows])
        np.testing.assert_allclose(some_scores, scores[rows], atol=1e-5)


def test_four_equal_rows_give_four_texts_and_the_first_is_that_of_one_alone():
    model = TableModel(29, [7] * 4, end=-9.0)
    ids, _, _ = model.search(decoding.Sampling(7), streams=row_words(*[[7]] * 4))
    assert len({tuple(row.ravel()) for row in ids}) == 4
    alone, _, _ = model.part(np.array([0])).search(decoding.Sampling(7), streams=row_words([7]))
    np.testing.assert_array_equal(alone, ids[:1])


def test_rows_are_named_by_what_they_hold_and_padding_counts_for_nothing():
    names = checks.as_array(row_words([5, 6, 0], [5, 6, 0], [6, 5, 0], [5, 0, 6], [5, 0, 0], [0, 0, 0]))
    assert len(set(names.tolist())) == 6
    np.testing.assert_array_equal(checks.as_array(row_words([5, 6], [5, 6])), names[:2])
    images = checks.numbers(2, 3, 5, 1)
    named = checks.as_array(draws.row_streams(ops.convert_to_tensor(images)))
    assert named[0] != named[1]
    flipped = checks.as_array(draws.row_streams(ops.convert_to_tensor(images[::-1].copy())))
    np.testing.assert_array_equal(flipped, named[::-1])


def test_draws_of_rows_samples_and_positions_are_independent():
    seeds = [draws.seed_word(seed) for seed in (0, 5, 2**32 + 1, 2**70)]
    assert len(set(seeds)) == 4
    names = row_words(*np.arange(4, 30)[:, None])
    found = checks.as_array(draws.uniform(ops.convert_to_tensor(seeds[1]), names, 19, 23))
    assert 0 <= found.min() < 1e-3 and 1 - 1e-3 < found.max() < 1
    assert abs(found.mean() - 0.5) < 4 * (1 / 12 / found.size) ** 0.5
    for axis in range(3):  # neighbours along each axis
        one, other = (np.take(found, range(*ends), axis).ravel() for ends in ((0, 18), (1, 19)))
        assert abs(np.corrcoef(one, other)[0, 1]) < 4 / len(one) ** 0.5
    counts = np.histogram(found, 16, (0, 1))[0]
    assert ((counts - found.size / 16) ** 2 / (found.size / 16)).sum() < 15 + 4 * 30**0.5
    fewer = checks.as_array(draws.uniform(ops.convert_to_tensor(seeds[1]), names[:2], 3, 7))
    np.testing.assert_array_equal(fewer, found[:2, :3, :7])


@pytest.mark.parametrize(
    "key, counter, expected",
    [  # of the authors' known-answer tests
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_generator_gives_the_published_words(key, counter, expected):
    key, counter = (
        [ops.convert_to_tensor(np.array([word], "uint32").view("int32")) for word in words]
        for words in (key, counter)
    )
    found = [int(checks.as_array(word)[0]) % 2**32 for word in draws.threefry(key, counter)]
    assert found == list(expected)


def test_samples_of_a_source_differ_and_come_as_drawn():
    model = TableModel(29, KEYS, end=-9.0)
    ids, scores, _ = model.search(decoding.Sampling(7, num_samples=5))
    assert ids.shape == (5, 5, 7)
    assert scores.shape == (5, 5)
    for row in ids:
        assert len({tuple(text) for text in row}) == 5
    assert not (np.diff(scores, axis=1) <= 0).all(axis=1).any()  # not the best first


@pytest.mark.parametrize(
    "options",
    [{}, {"temperature": 3.0}, {"top_k": 3}, {"top_p": 0.5}, {"min_p": 0.3, "repetition_penalty": 2.0}],
    ids=str,
)
def test_scores_are_the_models_own_log_probabilities(options):
    model = TableModel(11, KEYS)
    ids, scores, _ = model.search(decoding.Sampling(7, num_samples=3, min_length=2, **options))
    expected = [[model.log_probability(b, without_padding(x)) for x in row] for b, row in enumerate(ids)]
    np.testing.assert_allclose(scores, expected, atol=1e-4)


def test_attention_of_a_sample_is_that_of_its_own_path():
    model = TableModel(11, KEYS, [5, 2, 3, 1, 4])
    ids, _, attention = model.search(SEARCH, keep_attention=True)
    for row, row_ids in enumerate(ids):
        for text, kept in zip(row_ids, attention[row], strict=True):
            text = without_padding(text)
            expected = [model.attention(row, text[:t]) for t in range(len(text))]
            np.testing.assert_allclose(kept[: len(text)], expected, atol=1e-6)
            assert (kept[len(text) :] == 0).all()


def test_growing_changes_nothing():
    model = TableModel(11, KEYS, end=-3.0)
    search = decoding.Sampling(37, num_samples=2, min_length=11)
    ids, scores, _ = model.search(search)
    assert (ids[..., 33] != PAD).any()
    grown_ids, grown_scores, _ = model.search(search, growing=True)
    np.testing.assert_array_equal(grown_ids, ids)
    np.testing.assert_allclose(grown_scores, scores, atol=1e-4)


def test_a_draw_of_zero_is_no_impossible_token(monkeypatch):
    monkeypatch.setattr(sampling, "uniform", lambda seed, rows, *sizes: ops.zeros((rows.shape[0], *sizes)))
    logits = np.where(np.arange(11) < 5, -1e5, 0.0)
    for options in ({}, {"top_p": 0.9}):
        ids = checks.as_array(decoding.Sampling(2, **options)(*constant(logits), 1).ids)
        assert ids.min() >= 5


def test_large_vocabulary_in_float32_draws_only_what_is_possible():
    # Sums of 30,000 float32 numbers: the last draws must not fall off the end.
    rng = np.random.default_rng(6)
    logits = np.where(np.arange(30011) % 3 == 0, rng.normal(0, 1, 30011), -1e5)
    search = decoding.Sampling(2, num_samples=701, seed=7)
    ids = checks.as_array(search(*constant(logits), 1).ids)
    ids = ids[ids != PAD]
    assert (ids % 3 == 0).all()
    assert len(np.unique(ids // 3003)) == 10


@pytest.mark.parametrize(
    "arguments, match",
    [
        ({"temperature": 0}, "`temperature` must be a finite number > 0.*temperature=0"),
        ({"temperature": float("nan")}, "`temperature` must be a finite number.*temperature=nan"),
        ({"temperature": float("inf")}, "`temperature` must be a finite number.*temperature=inf"),
        ({"temperature": "1"}, "`temperature` must be a finite number.*temperature='1'"),
        ({"top_k": 0}, "`top_k` must be a positive integer.*top_k=0"),
        ({"top_k": 2.5}, "`top_k` must be a positive integer.*top_k=2.5"),
        ({"top_p": 0}, "`top_p` must be a finite number > 0.*top_p=0"),
        ({"top_p": 1.1}, "`top_p` must be a finite number > 0 and <= 1.*top_p=1.1"),
        ({"top_p": float("nan")}, "`top_p` must be a finite number.*top_p=nan"),
        ({"min_p": -0.1}, "`min_p` must be a finite number >= 0.*min_p=-0.1"),
        ({"min_p": 1.1}, "`min_p` must be a finite number >= 0 and <= 1.*min_p=1.1"),
        ({"num_samples": 0}, "`num_samples` must be a positive integer.*num_samples=0"),
        ({"seed": -1}, "`seed` must be an integer >= 0.*seed=-1"),
        ({"seed": 0.5}, "`seed` must be an integer >= 0.*seed=0.5"),
    ],
)
def test_arguments_are_checked(arguments, match):
    with pytest.raises(ValueError, match=match):
        decoding.Sampling(7, **arguments)

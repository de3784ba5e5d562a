"""Log-probabilities of given texts, and ensembles: what a search adds up is what `score` finds."""

from types import SimpleNamespace

import numpy as np
import pytest
from keras import ops

from keras_transformer import decoding
from tests import checks
from tests.decoding.scripted import PAD, START, log_softmax
from tests.models.small_transformers import (
    INPUTS,
    LABELS,
    SOURCE_IDS,
    SOURCE_VOCABULARY,
    VOCABULARY,
    B,
    inputs_of,
    small,
)

SOURCE = {"source_ids": SOURCE_IDS}
SEARCHES = {
    "greedy": decoding.Greedy(7),
    "sampling": decoding.Sampling(7, num_samples=3, temperature=1.5, seed=1),
    "beam": decoding.BeamSearch(7, width=5, n_best=5),
    "beam under rules": decoding.BeamSearch(
        7,
        width=3,
        n_best=3,
        coverage_penalty=0.2,
        repetition_penalty=1.4,
        no_repeat_ngram_size=1,
        min_length=3,
    ),
    "beam that grows": decoding.BeamSearch(19, width=2, n_best=2, min_length=17),
}


def other():
    """Another architecture with the same vocabularies."""
    return small(num_layers=2, hidden_dim=10, norm_first=True, num_heads=5)


@pytest.fixture(scope="module")
def model():
    # With this seed some results end, and some are cut.
    return checks.randomized(checks.built(small, (INPUTS,)), seed=52)


@pytest.fixture(scope="module")
def ensemble(model):
    return decoding.Ensemble([model, checks.built(other, (INPUTS,))])


class Uniform:
    """A model that knows nothing."""

    def __call__(self, inputs, training=None):
        return ops.ones((*ops.shape(inputs["target_ids"]), VOCABULARY)) * 3.0


def n_best_scores(model, search):
    """Scores (B, N) of a search, and what `score` says of each of its texts."""
    ids, scores = map(checks.as_array, decoding.generate_n_best(model, SOURCE, search))
    again = [checks.as_array(decoding.score(model, SOURCE, ids[:, n])[1]) for n in range(ids.shape[1])]
    return scores, np.stack(again, axis=1)


# One model


@pytest.mark.parametrize("name", SEARCHES)
def test_score_is_what_a_search_adds_up(model, name):
    scores, again = n_best_scores(model, SEARCHES[name])
    np.testing.assert_allclose(again, scores, atol=1e-4)


def test_score_by_token_is_the_log_probability_of_each(model):
    by_token, sums = map(checks.as_array, decoding.score(model, SOURCE, LABELS))
    logits = checks.as_array(model(INPUTS)).astype("float64")
    for b, row in enumerate(LABELS):
        expected = [log_softmax(logits[b, t])[token] if token != PAD else 0.0 for t, token in enumerate(row)]
        np.testing.assert_allclose(by_token[b], expected, atol=1e-5)
    np.testing.assert_allclose(sums, by_token.sum(axis=1), rtol=1e-6)


def test_attention_to_the_source_is_what_a_search_keeps(ensemble, model):
    found = decoding.generate_with_attention(model, SOURCE, decoding.Greedy(7))
    expected = checks.as_array(found.attention)[:, 0]
    for asked in (model, ensemble):  # of an ensemble the first model's
        again = checks.as_array(decoding.attention_to_source(asked, SOURCE, found.ids[:, 0]))
        np.testing.assert_allclose(again, expected, atol=1e-5)
    nothing = decoding.attention_to_source(SimpleNamespace(attention_name="none"), SOURCE, found.ids[:, 0])
    assert nothing.shape == (*expected.shape[:2], 1, 1, expected.shape[-1])
    assert not checks.as_array(nothing).any()


def test_padding_of_the_text_changes_nothing_and_scores_zero(model):
    by_token, sums = map(checks.as_array, decoding.score(model, SOURCE, LABELS))
    longer = np.pad(LABELS, [(0, 0), (0, 2)])
    longer_by_token, longer_sums = map(checks.as_array, decoding.score(model, SOURCE, longer))
    assert (by_token[LABELS == PAD] == 0).all() and (longer_by_token[longer == PAD] == 0).all()
    np.testing.assert_allclose(longer_by_token[:, : LABELS.shape[1]], by_token, atol=1e-5)
    np.testing.assert_allclose(longer_sums, sums, atol=1e-5)


def test_text_without_an_end_counts_what_is_there(model):
    by_token, _ = map(checks.as_array, decoding.score(model, SOURCE, LABELS))
    cut_by_token, cut_sums = map(checks.as_array, decoding.score(model, SOURCE, LABELS[:, :2]))
    np.testing.assert_allclose(cut_by_token, by_token[:, :2], atol=1e-5)
    np.testing.assert_allclose(cut_sums, by_token[:, :2].sum(axis=1), atol=1e-5)


def test_special_ids_of_a_score(model):
    # A start of 5 is another text; id 16 as padding does not count.
    other_start = checks.as_array(decoding.score(model, SOURCE, LABELS, start_id=5)[0])
    seen = np.where(inputs_of(SOURCE_IDS)["target_ids"] == START, 5, INPUTS["target_ids"])
    logits = checks.as_array(model(inputs_of(SOURCE_IDS, seen))).astype("float64")
    assert other_start[0, 0] == pytest.approx(log_softmax(logits[0, 0])[LABELS[0, 0]], abs=1e-5)
    by_token = checks.as_array(decoding.score(model, SOURCE, LABELS, pad_id=16)[0])
    assert by_token[0, 0] == 0 and (by_token[0, 1:] != 0).all() and (by_token[1:] != 0).all()


def test_perplexity_of_a_uniform_model_is_the_size_of_the_vocabulary():
    batches = [(SOURCE, LABELS), (SOURCE, LABELS[:, :2])]
    assert decoding.perplexity(Uniform(), batches) == pytest.approx(VOCABULARY, rel=1e-6)


def test_perplexity_is_that_of_all_tokens_together(model):
    batches = [(SOURCE, LABELS), ({"source_ids": SOURCE_IDS[:1]}, ops.convert_to_tensor(LABELS[:1, :3]))]
    total = sum(float(checks.as_array(decoding.score(model, *batch)[1]).sum()) for batch in batches)
    count = (LABELS != PAD).sum() + 3
    assert decoding.perplexity(model, iter(batches)) == pytest.approx(np.exp(-total / count), rel=1e-5)


@pytest.mark.parametrize("batches", [[], [(SOURCE, np.zeros((B, 5), "int32"))]], ids=["empty", "padding"])
def test_perplexity_of_nothing_is_an_error(batches):
    with pytest.raises(ValueError, match="at least one token. Received: none"):
        decoding.perplexity(Uniform(), batches)


# Ensembles


@pytest.mark.parametrize("copies", [1, 3])
def test_ensemble_of_one_model_or_its_copies_is_the_model(model, copies):
    search = decoding.BeamSearch(7, width=3, n_best=3, coverage_penalty=0.2)
    results = [
        decoding.generate_with_attention(m, SOURCE, search)
        for m in (model, decoding.Ensemble([model] * copies))
    ]
    (ids, scores, attention), (same_ids, *same) = [[checks.as_array(x) for x in result] for result in results]
    np.testing.assert_array_equal(same_ids, ids)
    np.testing.assert_allclose(same[0], scores, atol=1e-4)
    np.testing.assert_allclose(same[1], attention, atol=1e-5)


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)


def test_ensemble_averages_probabilities_in_a_pass_and_in_a_step(ensemble):
    expected = np.mean([softmax(checks.as_array(model(INPUTS))) for model in ensemble.models], axis=0)
    np.testing.assert_allclose(np.exp(checks.as_array(ensemble(INPUTS))), expected, atol=1e-6)
    state = ensemble.initial_state({"source_ids": ops.convert_to_tensor(SOURCE_IDS)}, 3)
    state["target"] = ensemble.grow(state["target"], 5)
    ids = INPUTS["target_ids"]
    for t in range(5):
        log_probs, state = ensemble.decode_step(ops.convert_to_tensor(ids[:, t]), state, t)
        np.testing.assert_allclose(np.exp(checks.as_array(log_probs)), expected[:, t], atol=1e-6)


def test_score_of_an_ensemble_is_what_a_search_adds_up(ensemble):
    scores, again = n_best_scores(ensemble, SEARCHES["beam under rules"])
    np.testing.assert_allclose(again, scores, atol=1e-4)


def test_ensemble_shows_the_attention_of_its_first_model_along_its_own_path(model, ensemble):
    ids, _, attention = decoding.generate_with_attention(ensemble, SOURCE, SEARCHES["greedy"])
    ids, attention = checks.as_array(ids)[:, 0], checks.as_array(attention)[:, 0]
    state = model.initial_state({"source_ids": ops.convert_to_tensor(SOURCE_IDS)}, 7)
    seen = np.pad(ids[:, :-1], [(0, 0), (1, 0)], constant_values=START)
    for t in range(7):
        _, state = model.decode_step(ops.convert_to_tensor(seen[:, t]), state, t)
        expected = checks.as_array(model.attention(state)) * (ids[:, t] != PAD)[:, None, None, None]
        np.testing.assert_allclose(attention[:, t], expected, atol=1e-5)


def test_ensemble_has_the_variables_and_vocabularies_of_its_models(ensemble):
    assert len(ensemble.variables) == sum(len(model.variables) for model in ensemble.models)
    assert ensemble.source_vocabulary_size == SOURCE_VOCABULARY
    assert ensemble.target_vocabulary_size == VOCABULARY


def test_ensemble_needs_models_with_one_vocabulary():
    with pytest.raises(ValueError, match="at least one model"):
        decoding.Ensemble([])

    class Sizes:
        def __init__(self, source, target):
            self.source_vocabulary_size, self.target_vocabulary_size = source, target

    with pytest.raises(ValueError, match=r"one `target_vocabulary_size`.*\[17, 19\]"):
        decoding.Ensemble([Sizes(13, 17), Sizes(13, 19)])
    with pytest.raises(ValueError, match=r"one `source_vocabulary_size`.*\[13, 11\]"):
        decoding.Ensemble([Sizes(13, 17), Sizes(11, 17)])

"""The language model: the whole formula, prompts in place of a source, and what it has not."""

import numpy as np
import pytest
from keras import ops

from keras_transformer import decoding, models
from tests import checks, reference
from tests.models import zoo_checks
from tests.models.small_transformers import LABELS, SIZES, TARGET_IDS, VOCABULARY, B, D, T

INPUTS = {"target_ids": TARGET_IDS}
PROMPTS = np.array([[5, 6, 7], [9, 0, 0], [0, 0, 0]], "int32")


def small(**kwargs):
    return models.CausalLM(VOCABULARY, **{**SIZES, "dropout": 0.0, "attention_dropout": 0.0, **kwargs})


def small_other(**kwargs):
    """The other choice wherever there is one."""
    options = {"norm_first": False, "tie_embeddings": False, "max_length": 7, "activation": "relu"}
    return small(**{**options, **kwargs})


both = pytest.mark.parametrize("make", [small, small_other])


@zoo_checks.each(checks.STANDARD, small_other, small)
def test_standard_checks(check, make, tmp_path):
    check(make, (INPUTS,), tmp_path)


@zoo_checks.each(zoo_checks.ALL, small_other, small)
def test_zoo_checks(check, make):
    check(make, INPUTS)


def test_model_equals_the_reference():
    model = checks.built(lambda: small(num_layers=2, norm_first=False, activation="relu"), (INPUTS,))
    (vectors,) = (w.numpy() for w in model.weights if w.shape[0] == VOCABULARY)
    hidden = vectors[TARGET_IDS].astype("float64") * D**0.5 + reference.sinusoid(range(T), D)
    causal = np.tril(np.ones((T, T), bool))
    for layer in model.decoder.layers:
        hidden = reference.encoder_layer(reference.sublayer_weights(layer), hidden, causal)
    np.testing.assert_allclose(checks.as_array(model(INPUTS)), hidden @ vectors.T, atol=1e-4)


@pytest.mark.parametrize("tie_embeddings", [True, False])
@pytest.mark.parametrize("max_length", [None, 7])
def test_number_of_parameters(tie_embeddings, max_length):
    model = small(num_layers=3, tie_embeddings=tie_embeddings, max_length=max_length)
    model.build()
    inner = SIZES["intermediate_dim"]
    layer = 4 * (D * D + D) + 2 * D * inner + inner + D + 2 * 2 * D
    matrices = VOCABULARY * (1 if tie_embeddings else 2) + (max_length or 0)
    assert model.count_params() == 3 * layer + 2 * D + matrices * D


def test_the_smallest_size_of_gpt_2_is_the_default():
    model = models.CausalLM(50_257, max_length=1024)
    sizes = (model.num_layers, model.hidden_dim, model.num_heads, model.intermediate_dim)
    assert sizes == (12, 768, 12, 3072) and model.norm_first and model.tie_embeddings


@pytest.mark.slow
def test_it_learns_to_count():
    ids = np.array([[2, 4, 5, 6, 7], [2, 9, 10, 11, 12], [2, 6, 7, 8, 0]], "int32")
    labels = np.array([[4, 5, 6, 7, 3], [9, 10, 11, 12, 3], [6, 7, 8, 3, 0]], "int32")
    zoo_checks.learns(small(hidden_dim=16), {"target_ids": ids}, labels, epochs=40, below=0.5)


# Prompts


@pytest.mark.parametrize(
    "search",
    [
        decoding.Greedy(7),
        decoding.Sampling(7, num_samples=2, seed=4),
        decoding.BeamSearch(7, width=3, n_best=2),
    ],
    ids=lambda search: type(search).__name__,
)
def test_results_begin_with_their_prompts(search):
    model = checks.shared(small, (INPUTS,))
    ids, scores = map(checks.as_array, decoding.generate_n_best(model, {"prompt_ids": PROMPTS}, search))
    is_given = np.broadcast_to(PROMPTS[:, None] != 0, ids[..., :3].shape)
    np.testing.assert_array_equal(
        ids[..., :3][is_given], np.broadcast_to(PROMPTS[:, None], is_given.shape)[is_given]
    )
    assert (ids[..., 3] != 0).any()
    _, expected = decoding.score(model, {}, ids.reshape(-1, 7))
    np.testing.assert_allclose(scores.reshape(-1), checks.as_array(expected), atol=1e-4)


def test_a_continuation_is_that_of_full_passes_over_the_prompt():
    model = checks.shared(small, (INPUTS,))
    ids, _ = decoding.generate(model, {"prompt_ids": PROMPTS[:1]}, decoding.Greedy(5, min_length=5))
    text = [2, *PROMPTS[0]]
    for _ in range(2):
        logits = checks.as_array(model({"target_ids": np.array([text])}))[0, -1]
        logits[[0, 2, *([3] if len(text) < 5 else [])]] = -np.inf
        text.append(int(logits.argmax()))
    np.testing.assert_array_equal(checks.as_array(ids)[0], text[1:])


def test_a_prompt_may_be_empty():
    model = checks.shared(small, (INPUTS,))
    for empty in (np.zeros((B, 0), "int32"), np.zeros((B, 2), "int32")):
        ids, _ = decoding.generate(model, {"prompt_ids": empty}, decoding.Greedy(4))
        expected, _ = decoding.generate(model, {"prompt_ids": PROMPTS[2:]}, decoding.Greedy(4))
        np.testing.assert_array_equal(checks.as_array(ids), np.repeat(checks.as_array(expected), B, axis=0))


def test_a_prompt_and_a_prefix_are_one_too_many():
    model = checks.shared(small, (INPUTS,))
    with pytest.raises(ValueError, match="`prefix_ids` must be None"):
        decoding.generate(model, {"prompt_ids": PROMPTS}, decoding.Greedy(7), prefix_ids=PROMPTS)


def test_perplexity_counts_every_token_once():
    model = checks.shared(small, (INPUTS,))
    values, mean = reference.smoothed_cross_entropy(LABELS, checks.as_array(model(INPUTS)))
    found = decoding.perplexity(model, [({}, LABELS[:1]), ({}, LABELS[1:])])
    assert found == pytest.approx(np.exp(mean), rel=1e-4)


def test_models_predict_together():
    first, second = checks.built(small, (INPUTS,)), checks.randomized(checks.built(small_other, (INPUTS,)), 2)
    ids, scores = decoding.generate(
        decoding.Ensemble([first, second]), {"prompt_ids": PROMPTS}, decoding.Greedy(6)
    )
    _, expected = decoding.score(decoding.Ensemble([first, second]), {}, ids)
    np.testing.assert_allclose(checks.as_array(scores), checks.as_array(expected), atol=1e-4)
    with pytest.raises(ValueError, match="one `target_vocabulary_size`"):
        decoding.Ensemble([first, models.CausalLM(VOCABULARY + 1, **SIZES)])


# What it has not


def test_there_is_no_attention_to_a_source():
    model = checks.shared(small, (INPUTS,))
    with pytest.raises(ValueError, match="no source, and no attention .*: use `decoding.generate`"):
        decoding.generate_with_attention(model, {"prompt_ids": PROMPTS}, decoding.Greedy(7))


@pytest.mark.parametrize("rule", [{"max_ratio": 2.0}, {"min_ratio": 0.5}, {"coverage_penalty": 0.2}])
def test_rules_about_a_source_are_refused(rule):
    model = checks.shared(small, (INPUTS,))
    (name, value), *_ = rule.items()
    said = (
        rf"`{name}` needs .*`source_ids`.* leave it out.* Received: {name}={value}, inputs=\['prompt_ids'\]"
    )
    with pytest.raises(ValueError, match=said):
        decoding.generate(model, {"prompt_ids": PROMPTS}, decoding.BeamSearch(7, **rule))


def test_a_source_is_refused():
    model = checks.shared(small, (INPUTS,))
    with pytest.raises(ValueError, match=r"prompt_ids.*Received: \['source_ids'\]"):
        decoding.generate(model, {"source_ids": PROMPTS}, decoding.Greedy(7))


def test_more_tokens_than_learned_positions_are_refused():
    model = checks.shared(small_other, (INPUTS,))
    with pytest.raises(ValueError, match="7 positions.*8"):
        model({"target_ids": np.ones((1, 8), "int32")})
    with pytest.raises(ValueError, match="7 positions.*8"):
        model.initial_state({"prompt_ids": PROMPTS}, max_length=8)
    with pytest.raises(ValueError, match="7 positions.*8"):
        model.grow(model.initial_state({"prompt_ids": PROMPTS}, 5)["target"], 8)


@pytest.mark.parametrize("name", ["vocabulary_size", *SIZES])
def test_sizes_are_positive(name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        models.CausalLM(**{"vocabulary_size": 13, **SIZES, name: 0}).build()


def test_dropout_acts_in_training_only():
    model = checks.built(lambda: small(dropout=0.5), (INPUTS,))
    plain = checks.as_array(checks.built(small, (INPUTS,))(INPUTS))
    np.testing.assert_allclose(checks.as_array(model(INPUTS)), plain, atol=1e-6)
    assert np.abs(checks.as_array(model(INPUTS, training=True)) - plain).max() > 1e-2


def test_the_model_is_built_without_data():
    model = small()
    logits, _ = model.decode_step(
        ops.convert_to_tensor([2, 2, 2]), model.initial_state({"prompt_ids": PROMPTS}, 3), 0
    )
    assert tuple(logits.shape) == (B, VOCABULARY)

"""The recurrent models: the whole formula, attention that can be read, the bottleneck, and bad input."""

import numpy as np
import pytest
from keras import ops

from keras_transformer import decoding, models
from tests import checks, recurrent_reference
from tests.models import zoo_checks
from tests.models.small_transformers import (
    INPUTS,
    LABELS,
    SOURCE_IDS,
    SOURCE_VOCABULARY,
    TARGET_IDS,
    VOCABULARY,
    B,
    D,
    S,
    T,
)

ATTENTIONS = ("additive", "dot", "general", "concat", "scaled_dot", "scaled_general", "none")


def small(**kwargs):
    return models.RNNSeq2Seq(SOURCE_VOCABULARY, VOCABULARY, **{"hidden_dim": D, "dropout": 0.0, **kwargs})


def small_other(**kwargs):
    """The other choice wherever there is one."""
    options = {"num_layers": 2, "hidden_dim": D, "embedding_dim": 5, "cell": "lstm", "dropout": 0.0}
    options |= {"attention": "general", "window": 2, "share_embeddings": True}
    return models.RNNSeq2Seq(VOCABULARY, VOCABULARY, **{**options, **kwargs})


def bottleneck(**kwargs):
    return small(**{"attention": "none", "reverse_source": True, "num_layers": 2, **kwargs})


every_kind = pytest.mark.parametrize("make", [small, small_other, bottleneck])


@zoo_checks.each(checks.STANDARD, small_other, small, bottleneck)
def test_standard_checks(check, make, tmp_path):
    check(make, (INPUTS,), tmp_path)


@zoo_checks.each(zoo_checks.ALL, small_other, small, bottleneck)
def test_zoo_checks(check, make):
    check(make, INPUTS)


# The formula


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_model_equals_the_reference(attention, cell):
    model = checks.built(lambda: small(attention=attention, cell=cell, num_layers=2), (INPUTS,))
    mask, vectors = SOURCE_IDS != 0, model.target_embedding.embeddings.numpy().astype("float64")
    embedded = model.source_embedding.embeddings.numpy()[SOURCE_IDS] * D**0.5
    # The encoder has its own test, against Keras.
    memory, states = model.encoder.encode(ops.convert_to_tensor(embedded), ops.convert_to_tensor(mask))
    memory, actual = checks.as_array(memory).astype("float64"), checks.as_array(model(INPUTS))
    for row in range(B):
        begin = [[checks.as_array(x)[row].astype("float64") for x in state] for state in states]
        inputs = vectors[TARGET_IDS[row]] * D**0.5
        found, _ = recurrent_reference.decode(model.decoder, inputs, memory[row], mask[row], begin)
        np.testing.assert_allclose(actual[row], found @ vectors.T, atol=1e-5)


def test_state_holds_the_attention_of_the_last_step():
    model = checks.shared(small, (INPUTS,))
    state = model.initial_state({"source_ids": ops.convert_to_tensor(SOURCE_IDS)}, 3)
    assert not checks.as_array(model.attention(state)).any()
    _, state = model.decode_step(ops.convert_to_tensor([2, 2, 2]), state, 0)
    weights = checks.as_array(model.attention(state))
    assert weights.shape == (B, 1, 1, S)
    np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-5)
    assert not weights[:, 0, 0][SOURCE_IDS == 0].any()


@every_kind
def test_attention_of_a_search_can_be_kept(make):
    model = checks.shared(make, (INPUTS,))
    search = decoding.BeamSearch(T, width=3, coverage_penalty=0.2)
    inputs = {"source_ids": SOURCE_IDS}
    ids, scores, attention = decoding.generate_with_attention(model, inputs, search)
    assert tuple(attention.shape) == (B, 1, T, 1, 1, S)
    assert np.isfinite(checks.as_array(scores)).all()
    found = checks.as_array(attention)[:, 0, :, 0, 0]
    is_real = checks.as_array(ids)[:, 0] != 0
    assert not found[~is_real].any()
    assert found[is_real].any() == (make is not bottleneck)


# The bottleneck


def test_without_attention_the_source_is_read_in_one_direction():
    model = checks.shared(bottleneck, (INPUTS,))
    assert [len(layer) for layer in model.encoder.cells] == [1, 1]
    assert model.encode(ops.convert_to_tensor(SOURCE_IDS))["source"]["value"].shape == (B, D)


def test_reversed_source_is_the_source_reversed_by_hand():
    by_hand = SOURCE_IDS.copy()
    for row in by_hand:
        length = (row != 0).sum()
        row[:length] = row[:length][::-1]
    model = checks.shared(bottleneck, (INPUTS,))
    plain = checks.built(lambda: bottleneck(reverse_source=False), (INPUTS,))
    expected = checks.as_array(plain({**INPUTS, "source_ids": by_hand}))
    np.testing.assert_allclose(checks.as_array(model(INPUTS)), expected, atol=1e-6)
    assert np.abs(checks.as_array(plain(INPUTS)) - expected).max() > 1e-3


# Weights and training


@pytest.mark.parametrize("share_embeddings", [True, False])
@pytest.mark.parametrize("embedding_dim", [None, 5])
def test_number_of_parameters(share_embeddings, embedding_dim):
    model = small_other(
        cell="gru", attention="concat", share_embeddings=share_embeddings, embedding_dim=embedding_dim
    )
    model.build()
    E, half = embedding_dim or D, D // 2
    encoder = sum(2 * 3 * half * (width + half + 2) for width in (E, D))
    decoder = 3 * D * (E + D + 2) + 3 * D * (D + D + 2) + 3 * D * E
    attention = 2 * D * D + D + D * D + D  # W_a, v_a, W_p, v_p
    embeddings = (1 if share_embeddings else 2) * VOCABULARY * E
    assert model.count_params() == encoder + decoder + attention + 2 * D * E + embeddings


@pytest.mark.slow
@pytest.mark.parametrize("make", [small, bottleneck])
def test_model_learns_three_sentences_by_heart(make):
    zoo_checks.learns(make(hidden_dim=16), INPUTS, LABELS, epochs=40, below=0.3, rate=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("make", [small_other, small, bottleneck])
def test_gradient_can_be_compiled_by_xla(make):
    model, probe = checks.shared(make, (INPUTS,)), checks.numbers(B, T, VOCABULARY)
    expected = checks.weight_gradients(model, (INPUTS,), probe)
    found = checks.compiled(lambda inputs: checks.weight_gradients(model, (inputs,), probe))(INPUTS)
    for weight, mine, other in zip(model.trainable_weights, found, expected, strict=True):
        np.testing.assert_allclose(
            checks.as_array(mine), checks.as_array(other), atol=1e-4, err_msg=weight.path
        )


def test_dropout_acts_in_training_only():
    model = checks.built(lambda: small_other(dropout=0.5), (INPUTS,))
    plain = checks.as_array(checks.built(small_other, (INPUTS,))(INPUTS))
    np.testing.assert_allclose(checks.as_array(model(INPUTS)), plain, atol=1e-6)
    first, second = (checks.as_array(model(INPUTS, training=True)) for _ in range(2))
    assert np.abs(first - plain).max() > 1e-2
    assert np.abs(first - second).max() > 1e-2


# Bad input


@pytest.mark.parametrize(
    "options, match",
    [
        ({"attention": "multiplicative"}, "`attention` must be one of.*'multiplicative'"),
        ({"window": 3, "attention": "none"}, "`window` must be None where attention='none'.*window=3"),
        ({"window": 0}, "`window` must be a positive integer.*window=0"),
        ({"reverse_source": True}, "`reverse_source` needs attention='none'.*'additive'"),
        ({"cell": "elman"}, "`cell` must be one of.*'elman'"),
        ({"hidden_dim": 7}, "`hidden_dim` must be even.*hidden_dim=7"),
        ({"num_layers": 0}, "`num_layers` must be a positive integer.*num_layers=0"),
        ({"embedding_dim": 0}, "`embedding_dim` must be a positive integer"),
        ({"share_embeddings": True}, "one joint vocabulary.*13.*17"),
    ],
)
def test_options_are_checked(options, match):
    with pytest.raises(ValueError, match=match):
        small(**options)


def test_without_attention_the_width_may_be_odd():
    small(attention="none", hidden_dim=7).build()

"""ConvS2S: the whole formula, gradients of the encoder, positions, and bad input."""

import numpy as np
import pytest
from keras import ops

from keras_transformer import decoding, models
from tests import checks, reference
from tests.models import zoo_checks
from tests.models.small_transformers import (
    INPUTS,
    SOURCE_IDS,
    SOURCE_VOCABULARY,
    TARGET_IDS,
    VOCABULARY,
    B,
    S,
    T,
    inputs_of,
)

D, F = 6, 4
SIZES = {"num_layers": 2, "hidden_dim": D}


def small(**kwargs):
    options = {"embedding_dim": F, "dropout": 0.0, "max_length": 11}
    return models.ConvSeq2Seq(SOURCE_VOCABULARY, VOCABULARY, **{**SIZES, **options, **kwargs})


def small_other(**kwargs):
    """The other choice wherever there is one."""
    options = {"kernel_size": 4, "share_embeddings": True, "dropout": 0.0, "max_length": 11}
    return models.ConvSeq2Seq(VOCABULARY, VOCABULARY, **{**SIZES, **options, **kwargs})


both = pytest.mark.parametrize("make", [small, small_other])


@zoo_checks.each(checks.STANDARD, small_other, small)
def test_standard_checks(check, make, tmp_path):
    check(make, (INPUTS,), tmp_path)


@zoo_checks.each(zoo_checks.ALL, small_other, small)
def test_zoo_checks(check, make):
    check(make, INPUTS)


def arrays(layer):
    return [w.numpy().astype("float64") for w in layer.weights]


def test_model_equals_the_reference():
    model = checks.shared(small, (INPUTS,))
    e, g = (
        arrays(embedding)[0][ids] + arrays(positions)[0][: ids.shape[1]]
        for embedding, positions, ids in (
            (model.source_embedding, model.source_positions, SOURCE_IDS),
            (model.target_embedding, model.target_positions, TARGET_IDS),
        )
    )
    mask = SOURCE_IDS != 0
    encoder, decoder = model.encoder, model.decoder
    z = reference.conv_encoder(
        arrays(encoder.input_dense), map(arrays, encoder.layers), arrays(encoder.output_dense), e, mask
    )
    first, last, logits = map(arrays, (decoder.input_dense, decoder.output_dense, model.logits_dense))
    x = g @ first[0] + first[1]
    for layer in decoder.layers:
        x, _ = reference.conv_decoder_layer(arrays(layer), x, g, z, e, mask)
    expected = (x @ last[0] + last[1]) @ logits[0] + logits[1]
    np.testing.assert_allclose(checks.as_array(model(INPUTS)), expected, atol=1e-4)


@pytest.mark.parametrize("share_embeddings", [True, False])
@pytest.mark.parametrize("embedding_dim", [None, F])
def test_number_of_parameters(embedding_dim, share_embeddings):
    n, k, length = 3, 5, 11
    model = small_other(
        num_layers=n, kernel_size=k, embedding_dim=embedding_dim, share_embeddings=share_embeddings
    )
    model.build()
    f, v = embedding_dim or D, VOCABULARY
    ends = f * D + D + D * f + f
    convolution = k * D * 2 * D + 2 * D
    vocabulary = v * f if share_embeddings else 3 * v * f + v
    expected = 2 * length * f + vocabulary + 2 * (ends + n * convolution) + n * ends
    assert model.count_params() == expected


@pytest.mark.slow
def test_it_learns_to_copy():
    rng = np.random.default_rng(1)
    words = rng.integers(4, SOURCE_VOCABULARY, (24, 4)).astype("int32")
    source = np.concatenate([words, np.full((24, 1), 3)], axis=1)
    inputs = {"source_ids": source, "target_ids": np.concatenate([np.full((24, 1), 2), words], axis=1)}
    model = small(hidden_dim=24, embedding_dim=16)
    zoo_checks.learns(model, inputs, source, epochs=50, below=0.6, rate=0.005)


# The encoder's gradients


def test_gradients_of_the_encoder_are_scaled_in_training_only():
    model, probe = checks.shared(small, (INPUTS,)), checks.numbers(B, T, VOCABULARY)
    plain = checks.weight_gradients(model, (INPUTS,), probe)
    scaled = checks.weight_gradients(as_fit_calls(model), (INPUTS,), probe)
    source = {id(w) for layer in (model.source_embedding, model.source_positions) for w in layer.weights}
    encoder = {id(w) for w in model.encoder.weights}
    for weight, before, after in zip(model.trainable_weights, plain, scaled, strict=True):
        before, after = checks.as_array(before), checks.as_array(after)
        if id(weight) in source:  # by two paths, of which one is scaled
            assert np.abs(after - before).max() > 1e-3 and np.abs(after - before / 4).max() > 1e-3
        else:
            factor = 1 / (2 * model.num_layers) if id(weight) in encoder else 1.0
            np.testing.assert_allclose(after, before * factor, rtol=1e-3, atol=1e-5, err_msg=weight.path)


def as_fit_calls(model):
    """The model with dropout and gradients as in training, for `checks.weight_gradients`."""

    class Training:
        trainable_weights = model.trainable_weights
        non_trainable_variables = model.non_trainable_variables

        def __call__(self, inputs):
            return model(inputs, training=True)

        def stateless_call(self, *args):
            return model.stateless_call(*args, training=True)

    return Training()


def test_scaling_gradients_changes_no_logits():
    model = checks.built(small, (INPUTS,))
    np.testing.assert_array_equal(
        checks.as_array(model(INPUTS, training=True)), checks.as_array(model(INPUTS))
    )


# Attention


def test_attention_has_one_head_in_every_layer_and_sees_real_tokens():
    model = checks.shared(small, (INPUTS,))
    inputs = {"source_ids": SOURCE_IDS}
    search = decoding.BeamSearch(4, width=3, n_best=2, coverage_penalty=0.1)
    ids, _, attention = map(checks.as_array, decoding.generate_with_attention(model, inputs, search))
    assert attention.shape == (B, 2, 4, 2, 1, S)
    np.testing.assert_allclose(
        attention.sum(axis=-1), np.broadcast_to((ids != 0)[..., None, None], (B, 2, 4, 2, 1)), atol=1e-5
    )
    assert not attention[np.broadcast_to((SOURCE_IDS == 0)[:, None, None, None, None], attention.shape)].any()


def test_every_real_source_token_matters_and_its_place():
    model = checks.shared(small, (INPUTS,))
    logits = checks.as_array(model(INPUTS))
    for s in range(S):
        other = SOURCE_IDS.copy()
        other[:, s] = np.where(other[:, s] == 0, 0, 10)
        changed = np.any(checks.as_array(model(inputs_of(other))) != logits, axis=-1)
        np.testing.assert_array_equal(changed, np.tile(SOURCE_IDS[:, s : s + 1] != 0, (1, T)))
    swapped = SOURCE_IDS[:, [1, 0, *range(2, S)]]
    assert np.abs(checks.as_array(model(inputs_of(swapped))) - logits)[0].max() > 1e-3


# Options and bad input


def test_dropout_acts_in_training_only():
    model = checks.built(lambda: small(dropout=0.5), (INPUTS,))
    plain = checks.as_array(checks.built(small, (INPUTS,))(INPUTS))
    np.testing.assert_allclose(checks.as_array(model(INPUTS)), plain, atol=1e-6)
    assert np.abs(checks.as_array(model(INPUTS, training=True)) - plain).max() > 1e-2


def test_shared_embeddings_are_one_matrix():
    model = checks.shared(small_other, (INPUTS,))
    assert len([w for w in model.weights if tuple(w.shape) == (VOCABULARY, D)]) == 1
    with pytest.raises(ValueError, match="source_vocabulary_size=13, target_vocabulary_size=17"):
        small(share_embeddings=True)


def test_first_embeddings_have_the_deviation_of_section_3_5():
    model = models.ConvSeq2Seq(500, 500, num_layers=1, hidden_dim=8, embedding_dim=64, max_length=300)
    model.build()
    for layer in (model.source_embedding, model.target_embedding, model.source_positions):
        assert np.std(layer.embeddings.numpy()) == pytest.approx(0.1, rel=0.05)
    plain = checks.as_array(model.source_embedding(np.arange(500)[None]))[0]
    np.testing.assert_array_equal(plain, model.source_embedding.embeddings.numpy())


def test_more_tokens_than_learned_positions_are_refused():
    model = checks.shared(small, (INPUTS,))
    for name in INPUTS:
        with pytest.raises(ValueError, match="11 positions.*12"):
            model({**INPUTS, name: np.ones((B, 12), "int32")})
    inputs = {"source_ids": ops.convert_to_tensor(SOURCE_IDS)}
    with pytest.raises(ValueError, match="11 positions.*12"):
        decoding.generate(model, inputs, decoding.Greedy(12))
    with pytest.raises(ValueError, match="11 positions.*12"):
        model.grow(model.initial_state(inputs, 11)["target"], 12)
    decoding.generate(model, inputs, decoding.Greedy(11))


@pytest.mark.parametrize(
    "name",
    [
        "source_vocabulary_size",
        "target_vocabulary_size",
        "embedding_dim",
        "kernel_size",
        "max_length",
        *SIZES,
    ],
)
def test_sizes_are_positive(name):
    sizes = {"source_vocabulary_size": 13, "target_vocabulary_size": 17, **SIZES, name: 0}
    with pytest.raises(ValueError, match=f"`{name}`"):
        models.ConvSeq2Seq(**sizes)


def test_the_model_is_built_without_data():
    model = small()
    logits, _ = model.decode_step(
        ops.convert_to_tensor([2, 2, 2]), model.initial_state({"source_ids": SOURCE_IDS}, 3), 0
    )
    assert tuple(logits.shape) == (B, VOCABULARY)

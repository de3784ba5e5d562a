"""The Transformer: the whole formula, who sees whom, and bad input."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_transformer import models
from keras_transformer.saving.layer_paths import weight_paths
from tests import checks, reference
from tests.models import zoo_checks
from tests.models.small_transformers import (
    INPUTS,
    SIZES,
    SOURCE_IDS,
    SOURCE_VOCABULARY,
    TARGET_IDS,
    VOCABULARY,
    B,
    D,
    S,
    T,
    both,
    inputs_of,
    small,
    small_other,
)


@zoo_checks.each(checks.STANDARD, small_other, small)
def test_standard_checks(check, make, tmp_path):
    check(make, (INPUTS,), tmp_path)


def test_the_decoder_may_have_fewer_layers_or_more():
    model = checks.built(lambda: small(num_layers=3, num_decoder_layers=2), (INPUTS,))
    assert [len(stack.layers) for stack in (model.encoder, model.decoder)] == [3, 2]
    assert model.get_config()["num_decoder_layers"] == 2
    _, state = model.decode_step(TARGET_IDS[:, 0], model.initial_state(INPUTS, T), 0)
    assert model.attention(state).shape[1] == 2
    assert small(num_layers=3).num_decoder_layers == 3


def test_a_model_may_leave_the_sources_end_unread():
    model = checks.built(lambda: small(reads_source_end=False), (INPUTS,))
    without = inputs_of(np.where(SOURCE_IDS == 3, 0, SOURCE_IDS))
    np.testing.assert_allclose(model(INPUTS), model(without), atol=1e-6)
    steps = [model.decode_step(TARGET_IDS[:, 0], model.initial_state(x, T), 0)[0] for x in (INPUTS, without)]
    np.testing.assert_allclose(*steps, atol=1e-6)
    assert not model.get_config()["reads_source_end"] and small().reads_source_end


# The formula


def embedded(model, ids, vectors):
    positions = reference.sinusoid(range(ids.shape[1]), D)
    return vectors[ids].astype("float64") * D**0.5 + positions


def test_model_equals_the_reference():
    model = checks.built(lambda: small(num_layers=2), (INPUTS,))
    source_vectors, target_vectors = (
        next(w.numpy() for w in model.weights if w.shape[0] == size and len(w.shape) == 2)
        for size in (SOURCE_VOCABULARY, VOCABULARY)
    )
    source_mask = (SOURCE_IDS != 0)[:, None, None, :]
    memory = embedded(model, SOURCE_IDS, source_vectors)
    for layer in model.encoder.layers:
        memory = reference.encoder_layer(reference.sublayer_weights(layer), memory, source_mask)
    hidden = embedded(model, TARGET_IDS, target_vectors)
    for layer in model.decoder.layers:
        hidden = reference.decoder_layer(
            reference.sublayer_weights(layer), hidden, memory, memory_mask=source_mask
        )
    expected = hidden @ target_vectors.T
    actual = checks.as_array(model(INPUTS))
    real = TARGET_IDS != 0
    np.testing.assert_allclose(actual[real], expected[real], atol=1e-4)


@both
def test_call_is_decode_of_encode(make):
    model = checks.shared(make, (INPUTS,))
    memory = model.encode(SOURCE_IDS)
    assert tuple(memory.shape) == (B, S, D)
    logits = model.decode(TARGET_IDS, memory, SOURCE_IDS != 0)
    assert tuple(logits.shape) == (B, T, VOCABULARY)
    np.testing.assert_allclose(checks.as_array(logits), checks.as_array(model(INPUTS)), atol=1e-5)


def test_shared_embeddings_are_one_matrix():
    model = checks.shared(small_other, (INPUTS,))
    matrices = [w for w in model.weights if tuple(w.shape) == (VOCABULARY, D)]
    assert len(matrices) == 1
    separate = checks.built(lambda: small_other(share_embeddings=False), (INPUTS,))
    assert len([w for w in separate.weights if tuple(w.shape) == (VOCABULARY, D)]) == 2


@both
def test_a_bias_of_the_logits_is_added_and_a_scale_is_that_of_both_embeddings(make):
    plain = checks.built(make, (INPUTS,))
    model = checks.built(lambda: make(use_logits_bias=True, embedding_scale=2 * D**0.5), (INPUTS,))
    weights = weight_paths(plain)
    bias = np.linspace(-2, 2, VOCABULARY, dtype="float32")
    for path, weight in weight_paths(model).items():
        value = bias if path.endswith("logits_bias") else ops.convert_to_numpy(weights[path])
        # Twice the scale of half the vectors; the logits are then half as large.
        weight.assign(value / 2 if path.endswith("embedding/embeddings") else value)
    expected = checks.as_array(plain(INPUTS)) / 2 + bias
    np.testing.assert_allclose(checks.as_array(model(INPUTS)), expected, atol=1e-5)


@both
def test_logits_may_be_scaled_and_have_a_matrix_of_their_own(make):
    plain = checks.shared(make, (INPUTS,))
    model = checks.built(lambda: make(tie_logits=False, logits_scale=0.5), (INPUTS,))
    weights = weight_paths(plain)
    vectors = ops.convert_to_numpy(weights["target_embedding/embeddings"])
    paths = weight_paths(model)
    assert paths.keys() - weights.keys() == {"target_embedding/reverse_embeddings"}
    for path, weight in paths.items():
        weight.assign(4 * vectors.T if path.endswith("reverse_embeddings") else weights[path])
    np.testing.assert_allclose(checks.as_array(model(INPUTS)), 2 * checks.as_array(plain(INPUTS)), atol=1e-4)
    first = {"source_ids": SOURCE_IDS}
    state = model.initial_state(first, T)
    step, _ = model.decode_step(TARGET_IDS[:, 0], state, 0)
    np.testing.assert_allclose(checks.as_array(step), checks.as_array(model(INPUTS))[:, 0], atol=1e-4)


def test_dropout_acts_in_training_only():
    model = checks.built(lambda: small(dropout=0.5), (INPUTS,))
    plain = checks.as_array(checks.built(lambda: small(dropout=0.0), (INPUTS,))(INPUTS))
    np.testing.assert_allclose(checks.as_array(model(INPUTS)), plain, atol=1e-6)
    first, second = (checks.as_array(model(INPUTS, training=True)) for _ in range(2))
    assert np.abs(first - plain).max() > 1e-2
    assert np.abs(first - second).max() > 1e-2


def test_global_policy_reaches_every_layer():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = small()
        logits = model(INPUTS)
    finally:
        keras.config.set_dtype_policy("float32")
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"
    with_weights = [layer for layer in model._flatten_layers() if layer.weights]
    assert {layer.compute_dtype for layer in with_weights} == {"bfloat16"}
    assert {weight.dtype for weight in model.weights} == {"float32"}


# Who sees whom


@both
def test_future_tokens_do_not_change_the_past(make):
    # The logit of an unused id depends on the vectors of the other ids through the inputs alone: its
    # gradient shows which target positions it saw.
    model = checks.shared(make, (INPUTS,))
    ids, unused = np.array([[2, 16, 4, 9, 5]], "int32"), 14
    inputs = inputs_of(np.array([[10, 11]], "int32"), ids)
    (place,) = [i for i, w in enumerate(model.trainable_weights) if tuple(w.shape) == (VOCABULARY, D)]
    for t in (0, 2):
        probe = np.zeros((1, T, VOCABULARY), "float32")
        probe[0, t, unused] = 1.0
        gradient = checks.as_array(checks.weight_gradients(model, (inputs,), probe)[place])
        seen = np.any(gradient[ids[0]] != 0, axis=-1)
        np.testing.assert_array_equal(seen, np.arange(T) <= t)


@both
def test_changed_future_leaves_the_logits_of_the_past(make):
    model = checks.shared(make, (INPUTS,))
    logits = checks.as_array(model(INPUTS))
    for t in range(T):
        other = TARGET_IDS.copy()
        other[:, t] = 13
        changed = checks.as_array(model(inputs_of(SOURCE_IDS, other))) != logits
        assert not changed[:, :t].any()
        assert changed[:, t:].any(axis=-1).all()


@both
def test_padding_of_the_source_does_not_matter(make):
    model = checks.shared(make, (INPUTS,))
    longer = np.pad(SOURCE_IDS, [(0, 0), (0, 3)])
    expected = checks.as_array(model(INPUTS))
    np.testing.assert_allclose(checks.as_array(model(inputs_of(longer))), expected, atol=1e-5)


@both
def test_padding_of_the_target_does_not_matter(make):
    model = checks.shared(make, (INPUTS,))
    longer = np.pad(TARGET_IDS, [(0, 0), (0, 3)])
    actual = checks.as_array(model(inputs_of(SOURCE_IDS, longer)))[:, :T]
    real = TARGET_IDS != 0
    np.testing.assert_allclose(actual[real], checks.as_array(model(INPUTS))[real], atol=1e-5)


@both
def test_every_real_source_token_matters(make):
    model = checks.shared(make, (INPUTS,))
    logits = checks.as_array(model(INPUTS))
    for s in range(S):
        other = SOURCE_IDS.copy()
        other[:, s] = np.where(other[:, s] == 0, 0, 10)
        changed = np.any(checks.as_array(model(inputs_of(other))) != logits, axis=-1)
        np.testing.assert_array_equal(changed, np.tile(SOURCE_IDS[:, s : s + 1] != 0, (1, T)))


@both
def test_rows_of_a_batch_do_not_meet(make):
    model = checks.shared(make, (INPUTS,))
    checks.batch_invariance(lambda source, target: model(inputs_of(source, target)), SOURCE_IDS, TARGET_IDS)


@both
def test_order_of_the_source_matters(make):
    model = checks.shared(make, (INPUTS,))
    swapped = SOURCE_IDS[:, [1, 0, *range(2, S)]]
    difference = checks.as_array(model(inputs_of(swapped))) - checks.as_array(model(INPUTS))
    assert np.abs(difference[0]).max() > 1e-3


def test_source_and_target_are_not_swapped():
    model = checks.shared(small, (INPUTS,))
    state = model.initial_state({"source_ids": ops.convert_to_tensor(SOURCE_IDS)}, max_length=3)
    logits, _ = model.decode_step(ops.convert_to_tensor([2, 2, 2]), state, 0)
    assert tuple(logits.shape) == (B, VOCABULARY)
    top_source_id = np.full((1, S), SOURCE_VOCABULARY - 1, "int32")
    top_target_id = np.full((1, T), VOCABULARY - 1, "int32")
    assert tuple(model(inputs_of(top_source_id, top_target_id)).shape) == (1, T, VOCABULARY)


# Bad input


def test_hidden_dim_is_a_multiple_of_the_heads():
    with pytest.raises(ValueError, match="multiple of `num_heads`.*hidden_dim=6, num_heads=4"):
        small(num_heads=4)
    small(num_heads=4, key_dim=3)


def test_shared_embeddings_need_one_vocabulary():
    match = "source_vocabulary_size=13, target_vocabulary_size=17"
    with pytest.raises(ValueError, match=match):
        small(share_embeddings=True)
    with pytest.raises(ValueError, match=match):
        models.Transformer.from_preset("transformer_tiny", 13, 17)


@pytest.mark.parametrize(
    "name", ["source_vocabulary_size", "target_vocabulary_size", "num_decoder_layers", *SIZES]
)
def test_sizes_are_positive(name):
    sizes = {"source_vocabulary_size": 13, "target_vocabulary_size": 17, **SIZES, name: 0}
    with pytest.raises(ValueError, match=f"`{name}`"):
        models.Transformer(**sizes).build()


def test_unknown_preset_names_the_known_ones():
    with pytest.raises(ValueError, match="transformer_base.*'transformer_bsae'"):
        models.Transformer.from_preset("transformer_bsae", 13, 13)


@pytest.mark.parametrize("name, wrong", [("source_ids", 13), ("target_ids", 17), ("source_ids", -1)])
def test_ids_outside_the_vocabulary_are_refused(name, wrong):
    model = checks.shared(small, (INPUTS,))
    ids = INPUTS[name].copy()
    ids[0, 1] = wrong
    with pytest.raises(ValueError, match=f"{wrong}"):
        model({**INPUTS, name: ids})


def test_more_tokens_than_learned_positions_are_refused():
    model = checks.built(lambda: small(max_length=7), (INPUTS,))
    with pytest.raises(ValueError, match="7 positions.*8"):
        model(inputs_of(np.ones((1, 8), "int32"), TARGET_IDS[:1]))
    with pytest.raises(ValueError, match="7 positions.*8"):
        model(inputs_of(SOURCE_IDS[:1], np.ones((1, 8), "int32")))
    with pytest.raises(ValueError, match="7 positions.*8"):
        model.initial_state({"source_ids": SOURCE_IDS}, max_length=8)


@both
def test_model_is_built_without_data(make):
    model = make()
    model.build()
    checks.randomized(model)
    expected = checks.as_array(checks.built(make, (INPUTS,))(INPUTS))
    np.testing.assert_allclose(checks.as_array(model(INPUTS)), expected, atol=1e-6)

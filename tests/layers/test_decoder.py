"""Decoder layer and decoder: the formula, causality, memory masks, and one position at a time."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_transformer import layers
from tests import checks, reference

B, T, S, H, D, F = 3, 5, 7, 2, 6, 11
X, MEMORY = checks.numbers(B, T, D, seed=1), checks.numbers(B, S, D, seed=2)
MASK = np.arange(T) < np.array([[5], [2], [4]])
MEMORY_MASK = np.arange(S) < np.array([[7], [1], [4]])
NO_MEMORY = MEMORY_MASK & np.array([[True], [False], [True]])
LOWER = np.tril(np.ones((T, T), bool))


def layer(**kwargs):
    return layers.DecoderLayer(H, F, **kwargs)


def layer_norm_first(**kwargs):
    return layers.DecoderLayer(H, F, norm_first=True, **kwargs)


def decoder(**kwargs):
    return layers.Decoder(2, H, F, **kwargs)


def decoder_norm_first(**kwargs):
    return layers.Decoder(2, H, F, norm_first=True, **kwargs)


# One layer that normalises after, and a stack that normalises first.
both = pytest.mark.parametrize("make", [layer, decoder_norm_first])


@both
@pytest.mark.parametrize("check", checks.STANDARD)
def test_standard_checks(check, make, tmp_path):
    # One row of the batch has no memory at all.
    check(make, (X, MEMORY, MASK, NO_MEMORY), tmp_path)


@pytest.mark.parametrize("make", [layer, decoder])
def test_every_option_survives_saving(make, tmp_path):
    def make_unusual(**kwargs):
        options = {"key_dim": 5, "attention_dropout": 0.1, "activation": "gelu"}
        return make(dropout=0.2, norm_first=True, norm_epsilon=1e-3, **options, **kwargs)

    for check in (checks.config_round_trip, checks.file_round_trip):
        check(make_unusual, (X, MEMORY), tmp_path)


@pytest.mark.parametrize("make", [layer, layer_norm_first])
@pytest.mark.parametrize("masked", [False, True])
def test_layer_equals_the_reference(make, masked):
    built = checks.shared(make, (X, MEMORY))
    expected = reference.decoder_layer(
        reference.sublayer_weights(built),
        X,
        MEMORY,
        mask=MASK[:, None, None, :] if masked else None,
        memory_mask=NO_MEMORY[:, None, None, :] if masked else None,
        norm_first=make is layer_norm_first,
    )
    masks = {"hidden_mask": MASK, "memory_mask": NO_MEMORY} if masked else {}
    actual = checks.as_array(built(X, MEMORY, **masks))
    rows = MASK if masked else MASK | True
    np.testing.assert_allclose(actual[rows], expected[rows], atol=2e-5)


@pytest.mark.parametrize("make", [decoder, decoder_norm_first])
def test_decoder_is_its_layers_one_after_the_other(make):
    built, norm_first = checks.shared(make, (X, MEMORY)), make is decoder_norm_first
    in_a_layer = 26  # two attentions 8 each, feed-forward 4, three norms 2 each
    assert len(built.weights) == 2 * in_a_layer + 2 * norm_first
    expected = X
    for one in built.layers:
        expected = reference.decoder_layer(
            reference.sublayer_weights(one),
            expected,
            MEMORY,
            memory_mask=MEMORY_MASK[:, None, None, :],
            norm_first=norm_first,
        )
    if norm_first:
        final = [w for w in built.weights if "final_norm" in w.path]
        expected = reference.layer_norm([w.numpy() for w in final], expected)
    actual = checks.as_array(built(X, MEMORY, memory_mask=MEMORY_MASK))
    np.testing.assert_allclose(actual, expected, atol=5e-5)


@pytest.mark.parametrize("norm_first", [False, True])
def test_number_of_parameters(norm_first):
    built = checks.built(lambda: layers.Decoder(3, H, F, norm_first=norm_first), (X, MEMORY))
    attention, network, norm = 4 * (D * D + D), 2 * D * F + F + D, 2 * D
    final = norm if norm_first else 0
    assert built.count_params() == 3 * (2 * attention + network + 3 * norm) + final


# Who sees whom


def influence(built, **masks):
    """(T, T): which inputs each output depends on."""
    return checks.influence(lambda x: built(x, np.tile(MEMORY, (T, 1, 1)), **masks), X)


@both
def test_future_tokens_do_not_change_the_past(make):
    np.testing.assert_array_equal(influence(checks.shared(make, (X, MEMORY))), LOWER)


@both
def test_no_attention_mask_opens_the_future(make):
    built = checks.shared(make, (X, MEMORY))
    found = influence(built, attention_mask=np.ones((1, T, T), bool))
    np.testing.assert_array_equal(found, LOWER)


@both
@pytest.mark.parametrize("shape", [(T, T), (B * T, T, T), (1, H, T, T)])
def test_attention_mask_restricts_further(make, shape):
    allowed = np.eye(T, dtype=bool) | (np.arange(T) == 2)
    mask = np.broadcast_to(allowed, shape)
    found = influence(checks.shared(make, (X, MEMORY)), attention_mask=mask)
    np.testing.assert_array_equal(found, allowed & LOWER)


@both
def test_masked_position_is_seen_by_no_other(make):
    real = np.arange(T) != 1
    mask = np.tile(real, (B * T, 1))
    found = influence(checks.shared(make, (X, MEMORY)), hidden_mask=mask)
    expected = LOWER & real | np.eye(T, dtype=bool)
    np.testing.assert_array_equal(found[real], expected[real])


@both
def test_every_position_sees_the_real_memory_only(make):
    built = checks.shared(make, (X, MEMORY))
    real = np.array([True, False, True, True, False, True, False])
    mask = np.tile(real, (B, 1))
    # The same of any target, so the sum over all of them tells.
    probe = ops.convert_to_tensor(checks.numbers(B, T, D))
    gradient = checks.input_gradient(
        lambda memory: ops.sum(built(X, memory, memory_mask=mask) * probe), MEMORY
    )
    seen = np.any(checks.as_array(gradient) != 0, axis=-1)
    np.testing.assert_array_equal(seen, mask)


@both
def test_padding_of_the_target_does_not_matter(make):
    built = checks.shared(make, (X, MEMORY))
    checks.pad_invariance(lambda x, mask: built(x, MEMORY, hidden_mask=mask), X, MASK)


@both
def test_padding_of_the_memory_does_not_matter(make):
    built = checks.shared(make, (X, MEMORY))
    expected = checks.as_array(built(X, MEMORY, memory_mask=MEMORY_MASK))
    loud = np.where(MEMORY_MASK[..., None], MEMORY, 1e3 * checks.numbers(B, S, D, seed=5))
    longer = np.concatenate([loud, 1e3 * MEMORY[:, :2]], axis=1)
    longer_mask = np.concatenate([MEMORY_MASK, np.zeros((B, 2), bool)], axis=1)
    actual = checks.as_array(built(X, longer, memory_mask=longer_mask))
    np.testing.assert_allclose(actual, expected, atol=1e-5)


@both
def test_permuted_memory_with_its_mask_changes_nothing(make):
    built, order = checks.shared(make, (X, MEMORY)), np.array([3, 0, 6, 1, 5, 2, 4])
    expected = checks.as_array(built(X, MEMORY, memory_mask=MEMORY_MASK))
    actual = checks.as_array(built(X, MEMORY[:, order], memory_mask=MEMORY_MASK[:, order]))
    np.testing.assert_allclose(actual, expected, atol=1e-5)


@both
def test_rows_of_a_batch_do_not_meet(make):
    built = checks.shared(make, (X, MEMORY))
    checks.batch_invariance(lambda x, memory, mask: built(x, memory, memory_mask=mask), X, MEMORY, NO_MEMORY)


# One position at a time


@both
@pytest.mark.parametrize("memory_mask", [None, MEMORY_MASK, NO_MEMORY], ids=["all", "some", "no"])
def test_step_by_step_equals_one_pass(make, memory_mask):
    built = checks.shared(make, (X, MEMORY))
    memory = ops.convert_to_tensor(MEMORY)
    mask = None if memory_mask is None else ops.convert_to_tensor(memory_mask)
    checks.cached_equals_uncached(
        built(X, MEMORY, memory_mask=memory_mask),
        built.step,
        built.initial_state(memory, memory_mask=mask, max_length=T + 2),
        [X[:, t : t + 1] for t in range(T)],
    )


def test_step_by_step_does_not_need_memory_again():
    built = checks.shared(decoder, (X, MEMORY))
    state = built.initial_state(ops.convert_to_tensor(MEMORY), max_length=T)
    reverse = ops.convert_to_tensor(np.array([2, 1, 0]))
    # A state is only tensors with the batch first: rows can be taken, as a beam search does.
    state = keras.tree.map_structure(lambda leaf: ops.take(leaf, reverse, axis=0), state)
    checks.cached_equals_uncached(
        checks.as_array(built(X, MEMORY))[::-1],
        built.step,
        state,
        [X[::-1, t : t + 1] for t in range(T)],
    )


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_step_works_in_half_precision(policy):
    built = checks.shared(decoder, (X, MEMORY), dtype=policy)
    x, memory = (ops.cast(value, built.compute_dtype) for value in (X, MEMORY))
    state = built.initial_state(memory, max_length=T)
    before = [leaf.dtype for leaf in keras.tree.flatten(state)]
    output, state = built.step(x[:, :1], state, ops.convert_to_tensor(0, "int32"))
    assert keras.backend.standardize_dtype(output.dtype) == built.compute_dtype
    # A loop needs the same types before and after.
    assert [leaf.dtype for leaf in keras.tree.flatten(state)] == before
    expected = checks.as_array(built(X, MEMORY))[:, 0]
    np.testing.assert_allclose(checks.as_array(output)[:, 0], expected, atol=3e-2)


# Dropout, errors, Keras models


def test_each_sublayer_drops_its_own_values():
    # Three sub-layers add ones, dropped or doubled: 0, 2, 4 and 6 as often as in three coin tosses.
    width = 101 * H
    zeros = np.zeros((B, T, width), "float32")
    built = checks.built(layer_norm_first, (zeros, zeros), dropout=0.5)
    for weight in built.weights:
        is_output = weight.path.endswith(("attention_output/bias", "output/bias"))
        weight.assign(np.full(weight.shape, float(is_output)))
    sums = checks.as_array(built(zeros, zeros, training=True))
    values, counts = np.unique(sums, return_counts=True)
    assert list(values) == [0, 2, 4, 6]
    np.testing.assert_allclose(counts / counts.sum(), [1 / 8, 3 / 8, 3 / 8, 1 / 8], atol=0.05)
    assert set(np.unique(checks.as_array(built(zeros, zeros)))) == {3.0}


@pytest.mark.parametrize("cls", [layers.DecoderLayer, layers.Decoder])
def test_width_is_a_multiple_of_the_heads(cls):
    sizes = {"num_heads": 4, "intermediate_dim": F}
    sizes |= {"num_layers": 1} if cls is layers.Decoder else {}
    with pytest.raises(ValueError, match="multiple of `num_heads`.*hidden_dim=6, num_heads=4"):
        cls(**sizes)(X, MEMORY)
    assert tuple(cls(**sizes, key_dim=5)(X, MEMORY).shape) == (B, T, D)


@both
def test_memory_may_have_another_width(make):
    built = checks.shared(make, (X, checks.numbers(B, S, 13)))
    assert tuple(built(X, checks.numbers(B, S, 13)).shape) == (B, T, D)


@both
def test_functional_model_honours_both_implicit_masks(make):
    ids = np.array([[3, 0, 2, 7, 1], [4, 6, 0, 0, 0], [9, 8, 7, 1, 0]], "int32")
    memory_ids = np.where(MEMORY_MASK, 5, 0).astype("int32")
    embed, decode = keras.layers.Embedding(11, D, mask_zero=True), checks.shared(make, (X, MEMORY))
    symbolic, symbolic_memory = (keras.Input((None,), dtype="int32") for _ in range(2))
    output = decode(embed(symbolic), embed(symbolic_memory))
    model = keras.Model([symbolic, symbolic_memory], output)
    vectors = embed.get_weights()[0]
    expected = checks.as_array(
        decode(vectors[ids], vectors[memory_ids], hidden_mask=ids != 0, memory_mask=memory_ids != 0)
    )
    for actual in (model([ids, memory_ids]), model.predict([ids, memory_ids], verbose=0)):
        np.testing.assert_allclose(checks.as_array(actual), expected, atol=1e-5)


def test_works_in_a_subclassed_model():
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.embed, self.decode = keras.layers.Embedding(11, D, mask_zero=True), decoder()

        def call(self, inputs):
            ids, memory_ids = inputs
            return self.decode(self.embed(ids), self.embed(memory_ids))

    model = Subclassed()
    ids, memory_ids = np.array([[3, 5, 1]], "int32"), np.array([[7, 2, 0, 0]], "int32")
    expected = checks.as_array(model([ids, memory_ids]))
    short = checks.as_array(model([ids, memory_ids[:, :2]]))
    np.testing.assert_allclose(short, expected, atol=1e-5)

"""Encoder layer and encoder: the formula, masks, symmetry, and use in Keras models."""

import keras
import numpy as np
import pytest

from keras_transformer import layers
from tests import checks, reference

B, T, H, D, F = 3, 5, 2, 6, 11
X = checks.numbers(B, T, D)
MASK = np.arange(T) < np.array([[5], [2], [4]])
NO_ROW = MASK & np.array([[True], [True], [False]])
IDS = np.array([[3, 5, 2, 7, 1], [4, 6, 0, 0, 0], [9, 8, 7, 1, 0]], "int32")


def layer(**kwargs):
    return layers.EncoderLayer(H, F, **kwargs)


def layer_norm_first(**kwargs):
    return layers.EncoderLayer(H, F, norm_first=True, **kwargs)


def encoder(**kwargs):
    return layers.Encoder(2, H, F, **kwargs)


def encoder_norm_first(**kwargs):
    return layers.Encoder(2, H, F, norm_first=True, **kwargs)


# One layer that normalises after, and a stack that normalises first.
both = pytest.mark.parametrize("make", [layer, encoder_norm_first])


def test_a_stack_ends_with_a_norm_where_that_is_said():
    for norm_first in (False, True):
        stacks = [encoder(norm_first=norm_first, final_norm=is_there) for is_there in (True, False)]
        for stack in stacks:
            stack.build(X.shape)
        with_norm, without = stacks
        assert len(with_norm.weights) == len(without.weights) + 2
        for own, other in zip(without.weights, with_norm.weights, strict=False):
            own.assign(other)
        scale, shift = checks.numbers(D), checks.numbers(D)
        with_norm.final_norm.gamma.assign(scale)
        with_norm.final_norm.beta.assign(shift)
        expected = reference.layer_norm((scale, shift), np.array(without(X), "float64"))
        np.testing.assert_allclose(with_norm(X), expected, atol=1e-5)
        assert encoder(norm_first=norm_first).config.has_final_norm == norm_first


@both
@pytest.mark.parametrize("check", checks.STANDARD)
def test_standard_checks(check, make, tmp_path):
    # The last row of the batch is padding throughout.
    check(make, (X, NO_ROW), tmp_path)


@pytest.mark.parametrize("make", [layer, encoder])
def test_every_option_survives_saving(make, tmp_path):
    def make_unusual(**kwargs):
        options = {"key_dim": 5, "attention_dropout": 0.1, "activation": "gelu"}
        return make(dropout=0.2, norm_first=True, norm_epsilon=1e-3, **options, **kwargs)

    for check in (checks.config_round_trip, checks.file_round_trip):
        check(make_unusual, (X,), tmp_path)


@pytest.mark.parametrize("make", [layer, layer_norm_first])
@pytest.mark.parametrize("mask", [MASK | True, MASK, NO_ROW], ids=["all", "some", "no_row"])
def test_layer_equals_the_reference(make, mask):
    built = checks.shared(make, (X,))
    expected = reference.encoder_layer(
        reference.sublayer_weights(built),
        X,
        mask=mask[:, None, None, :],
        norm_first=make is layer_norm_first,
    )
    actual = checks.as_array(built(X, hidden_mask=mask))
    np.testing.assert_allclose(actual[mask], expected[mask], atol=2e-5)
    assert np.isfinite(actual).all()
    if mask.all():
        np.testing.assert_allclose(checks.as_array(built(X)), expected, atol=2e-5)


@pytest.mark.parametrize("make", [encoder, encoder_norm_first])
def test_encoder_is_its_layers_one_after_the_other(make):
    built = checks.shared(make, (X,))
    weights = [w.numpy().astype("float64") for w in built.weights]
    in_a_layer = 16  # attention 8, feed-forward 4, two norms 2 each
    norm_first = make is encoder_norm_first
    assert len(weights) == 2 * in_a_layer + 2 * norm_first
    expected = X
    for one in built.layers:
        expected = reference.encoder_layer(
            reference.sublayer_weights(one), expected, MASK[:, None, None, :], norm_first
        )
    if norm_first:
        final = [w for w in built.weights if "final_norm" in w.path]
        expected = reference.layer_norm([w.numpy() for w in final], expected)
    actual = checks.as_array(built(X, hidden_mask=MASK))
    np.testing.assert_allclose(actual[MASK], expected[MASK], atol=5e-5)


def test_all_layers_tell_what_they_attended_to():
    built = checks.built(encoder_norm_first, (X,))
    hidden, weights = map(checks.as_array, built.attend(X, hidden_mask=NO_ROW, use_causal_mask=True))
    np.testing.assert_allclose(
        hidden, checks.as_array(built(X, hidden_mask=NO_ROW, use_causal_mask=True)), atol=1e-6
    )
    assert weights.shape == (B, 2, H, T, T)
    first = built.layers[0]
    np.testing.assert_allclose(
        weights[:, 0], checks.as_array(first.attend(X, NO_ROW, None, True)[1]), atol=1e-6
    )
    seen = NO_ROW[:, None, None, :] & NO_ROW[:, None, :, None] & np.tri(T, dtype=bool)
    np.testing.assert_allclose(
        weights.sum(axis=-1), seen.any(axis=-1)[:, None] * np.ones((B, 2, H, T)), atol=1e-5
    )
    assert not weights[~np.broadcast_to(seen[:, None], weights.shape)].any()


@pytest.mark.parametrize("norm_first", [False, True])
def test_number_of_parameters(norm_first):
    built = checks.built(lambda: layers.Encoder(3, H, F, norm_first=norm_first), (X,))
    attention, network, norm = 4 * (D * D + D), 2 * D * F + F + D, 2 * D
    final = norm if norm_first else 0
    assert built.count_params() == 3 * (attention + network + 2 * norm) + final


@both
def test_padding_does_not_matter(make):
    built = checks.shared(make, (X,))
    checks.pad_invariance(lambda x, mask: built(x, hidden_mask=mask), X, MASK)


@both
def test_rows_of_a_batch_do_not_meet(make):
    built = checks.shared(make, (X,))
    checks.batch_invariance(lambda x, mask: built(x, hidden_mask=mask), X, NO_ROW)


@both
def test_permuted_input_permutes_the_output(make):
    checks.permutation_equivariance(checks.shared(make, (X,)), X)


@both
def test_every_position_sees_every_real_one(make):
    built = checks.shared(make, (X,))
    assert checks.influence(built, X).all()
    real = np.array([True, False, True, True, False])
    found = checks.influence(lambda x: built(x, hidden_mask=np.tile(real, (len(x), 1))), X)
    assert found[real][:, real].all()
    # A masked position meets itself alone, through the residual connection.
    np.testing.assert_array_equal(found[:, ~real], np.eye(T, dtype=bool)[:, ~real])


@both
@pytest.mark.parametrize("shape", [(T, T), (B * T, T, T), (1, H, T, T)])
def test_attention_mask_of_any_rank_is_obeyed(make, shape):
    built = checks.shared(make, (X,))
    allowed = np.eye(T, dtype=bool) | (np.arange(T) == 2)  # itself, and position 2
    mask = np.broadcast_to(allowed, shape)
    found = checks.influence(lambda x: built(x, attention_mask=mask), X)
    np.testing.assert_array_equal(found, allowed)


@both
def test_attention_mask_and_padding_mask_combine(make):
    built = checks.shared(make, (X,))
    causal, real = np.tril(np.ones((T, T), bool)), np.arange(T) != 1
    found = checks.influence(
        lambda x: built(x, hidden_mask=np.tile(real, (len(x), 1)), attention_mask=causal), X
    )
    expected = causal & real | np.eye(T, dtype=bool)
    np.testing.assert_array_equal(found[real], expected[real])


# Causal, as in a language model


@both
def test_with_a_causal_mask_the_future_does_not_change_the_past(make):
    built = checks.shared(make, (X,))
    checks.causality(lambda x: built(x, use_causal_mask=True), X)


@both
def test_causal_layer_is_one_with_the_mask_written_out(make):
    built = checks.shared(make, (X,))
    lower = np.tril(np.ones((T, T), bool))
    causal = built(X, hidden_mask=MASK, use_causal_mask=True)
    expected = built(X, hidden_mask=MASK, attention_mask=lower)
    np.testing.assert_allclose(checks.as_array(causal), checks.as_array(expected), atol=1e-6)


@both
def test_step_by_step_equals_one_causal_pass(make):
    built = checks.shared(make, (X,))
    steps = [X[:, t : t + 1] for t in range(T)]
    expected = built(X, use_causal_mask=True)
    checks.cached_equals_uncached(expected, built.step, built.initial_state(B, T + 2), steps)


@both
def test_room_of_the_state_grows(make):
    built = checks.shared(make, (X,))
    state, expected = built.initial_state(B, 2), checks.as_array(built(X, use_causal_mask=True))
    for t in range(T):
        if t == 2:
            state = built.grow(state, T)
        output, state = built.step(X[:, t : t + 1], state, t)
        np.testing.assert_allclose(checks.as_array(output)[:, 0], expected[:, t], atol=1e-5)


# Dropout


def test_each_sublayer_drops_its_own_values():
    # Each of the two sub-layers adds ones, dropped or doubled: sums are 0, 2 and 4. If they shared
    # one pattern, there would be no 2.
    built = checks.built(layer_norm_first, (checks.numbers(B, T, 101 * H),), dropout=0.5)
    ones_from_outputs(built)
    zeros = np.zeros((B, T, 101 * H), "float32")
    sums = checks.as_array(built(zeros, training=True))
    values, counts = np.unique(sums, return_counts=True)
    assert list(values) == [0, 2, 4]
    np.testing.assert_allclose(counts / counts.sum(), [0.25, 0.5, 0.25], atol=0.05)
    assert (checks.as_array(built(zeros, training=True)) != sums).any()
    assert set(np.unique(checks.as_array(built(zeros)))) == {2.0}


def ones_from_outputs(built):
    """Makes every sub-layer's function return ones."""
    for weight in built.weights:
        is_output = weight.path.endswith(("attention_output/bias", "output/bias"))
        weight.assign(np.full(weight.shape, float(is_output)))


def test_attention_weights_drop_in_training_only():
    built = checks.built(layer, (X,), attention_dropout=0.5)
    plain = checks.as_array(built(X))
    np.testing.assert_allclose(plain, checks.as_array(checks.built(layer, (X,))(X)), atol=1e-6)
    assert np.abs(checks.as_array(built(X, training=True)) - plain).max() > 1e-3


@pytest.mark.parametrize("cls", [layers.EncoderLayer, layers.Encoder])
def test_width_is_a_multiple_of_the_heads(cls):
    sizes = {"num_heads": 4, "intermediate_dim": F}
    sizes |= {"num_layers": 1} if cls is layers.Encoder else {}
    with pytest.raises(ValueError, match="multiple of `num_heads`.*hidden_dim=6, num_heads=4"):
        cls(**sizes)(X)
    assert tuple(cls(**sizes, key_dim=5)(X).shape) == (B, T, D)


@pytest.mark.parametrize("name", ["num_layers", "num_heads", "intermediate_dim"])
@pytest.mark.parametrize("size", [0, -1])
def test_sizes_are_positive(name, size):
    sizes = {"num_layers": 2, "num_heads": H, "intermediate_dim": F, name: size}
    with pytest.raises(ValueError, match=f"`{name}` must be a positive integer.*{name}={size}"):
        layers.Encoder(**sizes)(X)


# In Keras models: implicit masks


@both
def test_functional_model_honours_the_implicit_mask(make):
    embed, encode = keras.layers.Embedding(11, D, mask_zero=True), checks.shared(make, (X,))
    ids = keras.Input((None,), dtype="int32")
    model = keras.Model(ids, encode(embed(ids)))
    expected = checks.as_array(encode(embed.get_weights()[0][IDS], hidden_mask=IDS != 0))
    for actual in (model(IDS), model.predict(IDS, verbose=0)):
        np.testing.assert_allclose(checks.as_array(actual), expected, atol=1e-5)


def test_implicit_mask_goes_on_through_two_layers():
    ids = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(11, D, mask_zero=True)(ids)
    x = checks.shared(encoder, (X,))(checks.shared(layer, (X,))(x))
    model = keras.Model(ids, keras.layers.GlobalAveragePooling1D()(x))
    alone = checks.as_array(model(IDS[1:2, :2]))
    np.testing.assert_allclose(checks.as_array(model(IDS))[1:2], alone, atol=1e-5)


def test_works_in_sequential_and_subclassed_models():
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.embed, self.encode = keras.layers.Embedding(11, D, mask_zero=True), encoder()

        def call(self, ids):
            return self.encode(self.embed(ids))

    subclassed = Subclassed()
    sequential = keras.Sequential([keras.layers.Embedding(11, D, mask_zero=True), encoder()])
    subclassed(IDS), sequential(IDS)
    sequential.set_weights(checks.randomized(subclassed).get_weights())
    expected = checks.as_array(subclassed(IDS))
    np.testing.assert_allclose(checks.as_array(sequential(IDS)), expected, atol=1e-5)
    alone = checks.as_array(subclassed(IDS[1:2, :2]))
    np.testing.assert_allclose(expected[1:2, :2], alone, atol=1e-5)


def test_a_mask_of_another_length_is_named():
    x = np.zeros((2, 5, 6), "float32")
    for layer in (layers.EncoderLayer(2, 7), layers.Encoder(1, 2, 7)):
        with pytest.raises(ValueError, match=r"`hidden_mask` must have .*\(2, 5\). Received: shape=\(2, 4\)"):
            layer(x, hidden_mask=np.ones((2, 4), bool))
    for layer in (layers.DecoderLayer(2, 7), layers.Decoder(1, 2, 7)):
        with pytest.raises(ValueError, match=r"`memory_mask` must have .*\(2, 3\). Received: shape=\(2, 5\)"):
            layer(x, x[:, :3], memory_mask=np.ones((2, 5), bool))
        with pytest.raises(ValueError, match=r"`memory` must hold floats and have the shape \(2, None, 6\)"):
            layer(x, x[:1])

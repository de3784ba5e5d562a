"""What positions add to scores: ALiBi, T5's buckets, Shaw's keys and values, each against its formula."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_transformer import layers
from tests import checks, positions_reference, reference

B, T, S, H, D, K, V = 2, 5, 7, 3, 11, 4, 6
QUERY_POSITIONS = np.array([[0, 1, 2, 3, 4], [9, 8, 30, 200, 1]], "int32")
KEY_POSITIONS = np.array([[0, 1, 2, 3, 4, 5, 6], [10, 8, 0, 3, 500, 7, 1]], "int32")
POSITIONS = (QUERY_POSITIONS, KEY_POSITIONS)
QUERY = checks.numbers(B, H, T, K)


def alibi(**kwargs):
    return layers.AlibiBias(H, **kwargs)


def buckets(**kwargs):
    return layers.RelativePositionBias(H, num_buckets=8, max_distance=20, **kwargs)


def shaw(**kwargs):
    return layers.RelativeKeysAndValues(max_distance=2, **kwargs)


def inputs(make):
    return (*POSITIONS, QUERY) if make is shaw else POSITIONS


every = pytest.mark.parametrize("make", [alibi, buckets, shaw])


def split_weights(layer):
    """An attention's own weights, and those of its bias."""
    own = {id(weight) for weight in layer.position_bias.weights}
    found = [weight.numpy() for weight in layer.weights if id(weight) not in own]
    return found, [weight.numpy() for weight in layer.position_bias.weights]


@every
@pytest.mark.parametrize("check", [c for c in checks.STANDARD if c is not checks.gradients])
def test_standard_checks(check, make, tmp_path):
    check(make, inputs(make), tmp_path)


def test_every_bucket_of_a_distance_is_trained():
    checks.gradients(buckets, POSITIONS, None)


@every
def test_a_block_of_the_bias_is_that_of_its_queries_and_keys(make):
    layer = checks.shared(make, inputs(make))
    queries, keys = np.arange(T), np.arange(S)
    whole = checks.as_array(layer.bias(*map(ops.convert_to_tensor, (queries, keys, QUERY))))
    assert whole.shape == ((B if make is shaw else 1), H, T, S)
    for t, s in ((slice(0, 2), slice(3, 7)), (slice(4, 5), slice(0, 7))):
        block = layer.bias(*map(ops.convert_to_tensor, (queries[t], keys[s], QUERY[:, :, t])))
        np.testing.assert_allclose(checks.as_array(block), whole[:, :, t, s], atol=1e-6)


@every
def test_rows_may_have_positions_of_their_own(make):
    layer = checks.shared(make, inputs(make))
    together = checks.as_array(layer(*inputs(make)))
    for row in range(B):
        alone = checks.as_array(layer(*(x[row : row + 1] for x in inputs(make))))
        np.testing.assert_allclose(together[row : row + 1], alone, atol=1e-6)


@every
def test_the_bias_depends_on_the_distance_only(make):
    layer = checks.shared(make, inputs(make))
    expected = checks.as_array(layer(*inputs(make)))
    shifted = (QUERY_POSITIONS + 1_000, KEY_POSITIONS + 1_000, *inputs(make)[2:])
    np.testing.assert_allclose(checks.as_array(layer(*shifted)), expected, atol=1e-6)


# ALiBi


def test_slopes_of_the_paper():
    # Section 3: of 8 heads 1/2, 1/4, ... 1/256; of 12 those, and every other one of 16 heads.
    eight = 0.5 ** np.arange(1, 9)
    for num_heads, slopes in ((8, eight), (12, [*eight, *(0.5 ** (np.arange(1, 8, 2) / 2))]), (1, [1 / 256])):
        found = layers.AlibiBias(num_heads)(np.array([1], "int32"), np.array([0], "int32"))
        np.testing.assert_allclose(-checks.as_array(found).ravel(), slopes, rtol=1e-6)


def test_alibi_equals_the_formula():
    found = checks.as_array(alibi()(*POSITIONS))
    slopes = [2**-4, 2**-8, 2**-2]  # two heads, and the first of four
    for row in range(B):
        expected = positions_reference.alibi(slopes, QUERY_POSITIONS[row], KEY_POSITIONS[row])
        np.testing.assert_allclose(found[row], expected, rtol=1e-6)


# Buckets


def test_buckets_of_t5():
    identity = layers.RelativePositionBias(32, initializer="identity")
    causal = layers.RelativePositionBias(32, bidirectional=False, initializer="identity")
    both = {-200: 15, -64: 14, -8: 8, 0: 0, 1: 17, 8: 24, 64: 30, 200: 31}
    past = {-200: 31, -100: 30, -64: 26, -16: 16, 0: 0, 5: 0}
    for layer, expected in ((identity, both), (causal, past)):
        distances = np.array([*expected], "int32")
        found = checks.as_array(layer(np.array([300], "int32"), distances + 300))
        np.testing.assert_array_equal(found[0, :, 0].argmax(axis=0), [*expected.values()])


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("sizes", [(32, 128), (8, 20)])
def test_every_distance_has_its_bucket(bidirectional, sizes):
    positions = np.array([500], "int32"), np.arange(1_000, dtype="int32")
    layer = checks.built(
        lambda: layers.RelativePositionBias(H, *sizes, bidirectional=bidirectional), positions
    )
    expected = positions_reference.relative_bias(
        layer.get_weights()[0], *positions, bidirectional=bidirectional, max_distance=sizes[1]
    )
    np.testing.assert_allclose(checks.as_array(layer(*positions))[0], expected, atol=1e-6)


@pytest.mark.parametrize("wrong", [0, -4, 6, 2.0])
def test_a_number_of_buckets_that_cannot_be(wrong):
    with pytest.raises(ValueError, match=f"`num_buckets` must be a (positive|multiple).*num_buckets={wrong}"):
        layers.RelativePositionBias(H, num_buckets=wrong)


def test_a_largest_distance_below_the_single_ones():
    with pytest.raises(ValueError, match="`max_distance` must be above 8.*max_distance=8"):
        layers.RelativePositionBias(H, max_distance=8)


# Shaw's keys and values


@pytest.mark.parametrize("value_dim", [None, V])
@pytest.mark.parametrize("causal", [False, True])
def test_relative_keys_and_values_equal_the_formula(value_dim, causal):
    bias = layers.RelativeKeysAndValues(max_distance=2, value_dim=value_dim)
    x, memory = checks.numbers(B, S, D), checks.numbers(B, S, D, seed=2)
    layer = checks.built(lambda: layers.MultiHeadAttention(H, K, value_dim, position_bias=bias), (x, memory))
    (wq, bq, wk, bk, wv, bv, wo, bo), (keys, values) = split_weights(layer)
    query = np.einsum("btd,dhk->bhtk", x, wq) + bq[:, None]
    key = np.einsum("btd,dhk->bhtk", memory, wk) + bk[:, None]
    value = np.einsum("btd,dhk->bhtk", memory, wv) + bv[:, None]
    mask = np.tril(np.ones((S, S), bool)) if causal else None
    heads = positions_reference.shaw(query, key, value, keys, values, mask)
    expected = np.einsum("bhtv,hvd->btd", heads, wo) + bo
    found = checks.as_array(layer(x, memory, use_causal_mask=causal))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_dropout_takes_relative_values_with_the_others():
    # Half of the weights are dropped: what is left of a value is left of its relative one.
    x = checks.numbers(1, 31, D)
    layer = layers.MultiHeadAttention(
        1, 1, dropout=0.5, position_bias=layers.RelativeKeysAndValues(3), seed=1
    )
    layer(x)
    found = {w.path.rpartition("/")[-1]: w for w in layer.weights}
    zeros = [np.zeros(w.shape) for w in layer.weights]
    layer.set_weights(zeros)
    layer._value_dense.bias.assign([[1.0]])
    layer._output_dense.kernel.assign(np.ones((1, 1, D)))
    found["values"].assign(np.ones((7, 1)))
    output = checks.as_array(layer(x, training=True))
    kept = output[0, :, 0] / 2 * 31 / 2  # how many of 31 weights of 1 / 31 were kept, and doubled
    np.testing.assert_allclose(kept, np.round(kept), atol=1e-4)
    assert len({*np.round(kept)}) > 1


def test_a_value_dim_of_another_width():
    with pytest.raises(
        ValueError, match="`value_dim` of the attention. Received: value_dim=6, .*value_dim=4"
    ):
        layers.MultiHeadAttention(H, K, V, position_bias=shaw())(checks.numbers(B, T, D))
    with pytest.raises(ValueError, match="`max_distance` must be a positive integer.*max_distance=0"):
        layers.RelativeKeysAndValues(max_distance=0)


# In attention


@pytest.mark.parametrize("make", [alibi, buckets])
def test_bias_is_added_to_the_scores(make):
    x = checks.numbers(B, T, D)
    layer = checks.built(lambda: layers.MultiHeadAttention(H, K, position_bias=make()), (x,))
    positions = np.arange(T, dtype="int32")
    bias = checks.as_array(layer.position_bias(positions, positions))
    expected = reference.multi_head_attention(split_weights(layer)[0], x, x, bias=bias)[0]
    np.testing.assert_allclose(checks.as_array(layer(x)), expected, atol=1e-5)


def test_one_bias_for_several_attentions(tmp_path):
    bias = buckets(name="shared_bias")
    x = keras.Input((None, D))
    attentions = [layers.MultiHeadAttention(H, K, position_bias=bias) for _ in range(2)]
    model = keras.Model(x, attentions[1](attentions[0](x)))
    assert len(model.weights) == 8 + 8 + 1


@pytest.mark.parametrize("make", [layers.AlibiBias, layers.RelativePositionBias])
def test_a_bias_for_another_number_of_heads(make):
    with pytest.raises(ValueError, match="as many heads .* num_heads=3, position_bias.num_heads=2"):
        layers.MultiHeadAttention(H, K, position_bias=make(2))(checks.numbers(B, T, D))
    with pytest.raises(ValueError, match="`num_heads` must be a positive integer.*num_heads=0"):
        make(0)


def test_positions_are_integers():
    with pytest.raises(ValueError, match="`key_positions` must be integers .* dtype=float32"):
        alibi()(QUERY_POSITIONS, KEY_POSITIONS.astype("float32"))
    with pytest.raises(ValueError, match=r"one batch size. Received: \[2, 1\]"):
        alibi()(QUERY_POSITIONS, KEY_POSITIONS[:1])

"""Attention of a recurrent decoder: global and local, masks, and hypotheses that share a source."""

import json

import numpy as np
import pytest
from keras import ops

from keras_transformer import layers
from tests import checks, recurrent_reference

B, S, D, K = 3, 7, 4, 5
QUERY, KEYS = checks.numbers(B, D, seed=1), checks.numbers(B, S, K, seed=2)
MASK = np.arange(S) < np.array([[7], [1], [4]])
NOTHING = MASK & np.array([[True], [False], [True]])


def global_attention(**kwargs):
    return layers.RecurrentAttention(layers.AdditiveScore(dtype=kwargs.get("dtype")), **kwargs)


def local_attention(**kwargs):
    score = layers.GeneralScore(dtype=kwargs.get("dtype"))
    return layers.RecurrentAttention(score, window=2, **kwargs)


both = pytest.mark.parametrize("make", [global_attention, local_attention])
every_kind = pytest.mark.parametrize("make", [global_attention, local_attention, layers.FinalState])


def attend(layer, query, keys, mask):
    projected = layer.project(ops.convert_to_tensor(keys), ops.convert_to_tensor(mask))
    return [checks.as_array(x) for x in layer.attend(ops.convert_to_tensor(query), projected)]


@every_kind
# A query has no length, which the check of files asks for: see the decoder's test.
@pytest.mark.parametrize("check", [check for check in checks.STANDARD if check != checks.file_round_trip])
def test_standard_checks(check, make, tmp_path):
    check(make, (QUERY, KEYS, KEYS, NOTHING), tmp_path)


@every_kind
def test_layer_made_again_from_its_config_does_the_same(make):
    layer = checks.built(make, (QUERY, KEYS))
    again = type(layer).from_config(json.loads(json.dumps(layer.get_config())))
    again(QUERY, KEYS)
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(checks.as_array(again(QUERY, KEYS)), checks.as_array(layer(QUERY, KEYS)))


@both
@pytest.mark.parametrize("seed", [1, 2])
def test_layer_equals_the_reference(make, seed):
    layer = checks.randomized(checks.built(make, (QUERY, KEYS)), seed)
    context, weights = attend(layer, QUERY, KEYS, NOTHING)
    for row in range(B):
        expected = recurrent_reference.attend(layer, QUERY[row], KEYS[row], NOTHING[row])
        np.testing.assert_allclose(context[row], expected[0], atol=1e-5)
        np.testing.assert_allclose(weights[row], expected[1], atol=1e-5)
    call = layer(QUERY, KEYS, keys_mask=NOTHING)
    np.testing.assert_allclose(checks.as_array(call), context, atol=1e-6)


def test_values_are_averaged_and_not_keys():
    layer = checks.shared(global_attention, (QUERY, KEYS))
    _, weights = attend(layer, QUERY, KEYS, MASK)
    values = checks.numbers(B, S, 2, seed=5)
    expected = np.einsum("bs,bsv->bv", weights, values)
    np.testing.assert_allclose(checks.as_array(layer(QUERY, KEYS, values, MASK)), expected, atol=1e-5)


def test_global_attention_by_hand():
    # Scores 0 and log 3: weights 1/4 and 3/4; the third key is masked.
    layer = layers.RecurrentAttention(layers.DotScore())
    query, keys = np.ones((1, 1), "float32"), np.array([[[0.0], [np.log(3)], [9.0]]], "float32")
    values = np.array([[[4.0], [8.0], [100.0]]], "float32")
    mask = np.array([[True, True, False]])
    np.testing.assert_allclose(checks.as_array(layer(query, keys, values, mask)), [[7.0]], atol=1e-5)


def test_local_attention_by_hand():
    # v_p = 0, so that p_t = S / 2 = 2 of four real keys. Window 1: positions 1, 2, 3 with equal scores, a
    # third each, times exp(-1 / (2 * 0.25)) = exp(-2) at distance 1.
    layer = layers.RecurrentAttention(layers.DotScore(), window=1)
    query, keys = np.ones((1, 2), "float32"), np.zeros((1, 6, 2), "float32")
    layer.build(query.shape, keys.shape)
    layer.set_weights([np.ones((2, 2)), np.zeros((2, 1))])
    _, (weights,) = attend(layer, query, keys, np.arange(6)[None] < 4)
    side = np.exp(-2) / 3
    np.testing.assert_allclose(weights, [0, side, 1 / 3, side, 0, 0], atol=1e-6)


def test_real_length_of_the_row_sets_where_local_attention_looks():
    layer = layers.RecurrentAttention(layers.DotScore(), window=1)
    keys = np.zeros((3, S, K), "float32")
    layer.build((None, K), keys.shape)
    layer.set_weights([np.ones((K, K)), np.zeros((K, 1))])
    _, weights = attend(layer, np.ones((3, K), "float32"), keys, np.arange(S) < np.array([[2], [4], [6]]))
    np.testing.assert_array_equal(weights.argmax(axis=1), [1, 2, 3])


@every_kind
def test_masked_keys_do_not_matter(make):
    layer = checks.shared(make, (QUERY, KEYS))
    expected = attend(layer, QUERY, KEYS, MASK)
    loud = np.where(MASK[..., None], KEYS, 1e3)
    longer = np.concatenate([loud, loud[:, :2]], axis=1)
    context, weights = attend(layer, QUERY, longer, np.pad(MASK, [(0, 0), (0, 2)]))
    np.testing.assert_allclose(context, expected[0], atol=1e-5)
    np.testing.assert_allclose(weights, np.pad(expected[1], [(0, 0), (0, 2)]), atol=1e-6)
    assert not weights[:, :S][~MASK].any()


@every_kind
def test_row_without_keys_gives_zeros(make):
    layer = checks.shared(make, (QUERY, KEYS))
    context, weights = attend(layer, QUERY, KEYS, NOTHING)
    assert not context[1].any() and not weights[1].any()
    assert context[0].any()


@every_kind
def test_hypotheses_of_a_source_share_its_keys(make):
    layer = checks.shared(make, (QUERY, KEYS))
    queries = checks.numbers(2 * B, D, seed=9)
    context, weights = attend(layer, queries, KEYS, MASK)
    expected = attend(layer, queries, np.repeat(KEYS, 2, axis=0), np.repeat(MASK, 2, axis=0))
    np.testing.assert_allclose(context, expected[0], atol=1e-5)
    np.testing.assert_allclose(weights, expected[1], atol=1e-6)


def test_final_state_is_the_last_real_key_whatever_the_query():
    context, weights = attend(layers.FinalState(), QUERY, KEYS, MASK)
    np.testing.assert_array_equal(context, [KEYS[0, 6], KEYS[1, 0], KEYS[2, 3]])
    assert not weights.any()


@pytest.mark.parametrize(
    "options, match",
    [
        ({"window": 0}, "`window` must be a positive integer.*window=0"),
    ],
)
def test_options_are_checked(options, match):
    with pytest.raises(ValueError, match=match):
        layers.RecurrentAttention(layers.DotScore(), **options)

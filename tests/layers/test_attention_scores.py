"""The scores of recurrent attention: the formulas, keys projected once, and bad input."""

import numpy as np
import pytest
from keras import ops

from keras_transformer import layers
from tests import checks, recurrent_reference

B, T, S, D, K, U = 2, 3, 5, 4, 7, 6
QUERY, KEYS = checks.numbers(B, T, D, seed=1), checks.numbers(B, S, K, seed=2)
SCORES = [layers.AdditiveScore, layers.DotScore, layers.GeneralScore, layers.ConcatScore]
PRODUCTS = [layers.DotScore, layers.GeneralScore]
every_score = pytest.mark.parametrize("make", SCORES)


def inputs_of(make):
    return (QUERY, KEYS[..., :D]) if make is layers.DotScore else (QUERY, KEYS)


@every_score
@pytest.mark.parametrize("check", checks.STANDARD)
def test_standard_checks(check, make, tmp_path):
    check(make, inputs_of(make), tmp_path)


@pytest.mark.parametrize("make", [layers.AdditiveScore, layers.ConcatScore])
def test_units_survive_saving(make, tmp_path):
    for check in (checks.config_round_trip, checks.file_round_trip):
        check(lambda **kwargs: make(U, **kwargs), inputs_of(make), tmp_path)


@pytest.mark.parametrize("make", PRODUCTS)
def test_a_scaled_product_is_the_product_by_the_root_of_the_width(make, tmp_path):
    query, keys = inputs_of(make)
    layer = checks.built(lambda: make(scaled=True), (query, keys))
    plain = checks.built(make, (query, keys))
    plain.set_weights(layer.get_weights())
    expected = checks.as_array(plain(query, keys)) / np.sqrt(D)
    np.testing.assert_allclose(checks.as_array(layer(query, keys)), expected, atol=1e-6)
    for check in (checks.config_round_trip, checks.file_round_trip, checks.dtype_policies):
        check(lambda **kwargs: make(scaled=True, **kwargs), (query, keys), tmp_path)


@every_score
def test_score_equals_the_reference(make):
    query, keys = inputs_of(make)
    layer = checks.shared(make, (query, keys))
    expected = [
        [[recurrent_reference.score(layer, q, k) for k in key_row] for q in row]
        for row, key_row in zip(query.astype("float64"), keys.astype("float64"), strict=True)
    ]
    np.testing.assert_allclose(checks.as_array(layer(query, keys)), expected, atol=1e-5)


# Paper and pencil


@pytest.mark.parametrize(
    "make, weights, query, key, expected",
    [
        (layers.DotScore, [], [1.0, 2.0], [3.0, 4.0], 11.0),  # 1 * 3 + 2 * 4
        # W_a = [[1, 0], [2, -1]], so W_a h_s = [3, 2], and 1 * 3 + 2 * 2 = 7
        (layers.GeneralScore, [[[1.0, 2.0], [0.0, -1.0]]], [1.0, 2.0], [3.0, 4.0], 7.0),
        # 3 tanh(0.5 * 1 + 0.25 * 2) = 3 tanh(1)
        (layers.AdditiveScore, [[[0.5]], [[0.25]], [[3.0]]], [1.0], [2.0], 2.2847825),
        (layers.ConcatScore, [[[0.5], [0.25]], [[3.0]]], [1.0], [2.0], 2.2847825),
    ],
)
def test_score_by_hand(make, weights, query, key, expected):
    query, key = np.array([[query]], "float32"), np.array([[key]], "float32")
    layer = make()
    layer.build(query.shape, key.shape)
    layer.set_weights([np.array(weight, "float32") for weight in weights])
    np.testing.assert_allclose(checks.as_array(layer(query, key)), [[[expected]]], atol=1e-6)


def test_additive_and_concat_are_one_family():
    additive = checks.built(lambda: layers.AdditiveScore(U), (QUERY, KEYS))
    concat = layers.ConcatScore(U)
    concat.build(QUERY.shape, KEYS.shape)
    from_query, from_keys, v = additive.get_weights()
    concat.set_weights([np.concatenate([from_query, from_keys]), v])
    np.testing.assert_allclose(
        checks.as_array(concat(QUERY, KEYS)), checks.as_array(additive(QUERY, KEYS)), atol=1e-5
    )


@every_score
def test_projected_keys_serve_every_query(make):
    query, keys = inputs_of(make)
    layer = checks.shared(make, (query, keys))
    projected = layer.project(ops.convert_to_tensor(keys))
    expected = checks.as_array(layer(query, keys))
    for t in range(T):
        one = layer.compare(ops.convert_to_tensor(query[:, t : t + 1]), projected)
        np.testing.assert_allclose(checks.as_array(one), expected[:, t : t + 1], atol=1e-5)


@pytest.mark.parametrize(
    "make, count",
    [(SCORES[0], D * U + K * U + U), (SCORES[3], (D + K) * U + U), (SCORES[2], K * D), (SCORES[1], 0)],
)
def test_number_of_parameters(make, count):
    options = {"units": U} if issubclass(make, layers.AdditiveScore) else {}
    layer = checks.built(lambda: make(**options), inputs_of(make))
    assert layer.count_params() == count


def test_dot_product_needs_one_width():
    with pytest.raises(ValueError, match=r"one width.*\(2, 3, 4\).*\(2, 5, 7\)"):
        layers.DotScore()(QUERY, KEYS)


@pytest.mark.parametrize("make", [layers.AdditiveScore, layers.ConcatScore])
def test_units_are_positive(make):
    with pytest.raises(ValueError, match="`units` must be.*units=0"):
        make(0)

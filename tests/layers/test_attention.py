"""Attention: the formula, the layer alone, and the rule of queries without keys."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_transformer import layers
from tests import checks, reference

B, T, S, H, D, K, V = 3, 5, 7, 2, 11, 4, 6
QUERY = checks.numbers(B, T, D, seed=1)
VALUE = checks.numbers(B, S, 13, seed=2)
KEY = checks.numbers(B, S, 17, seed=3)

QUERY_MASK = np.arange(T) < np.array([[5], [2], [4]])
VALUE_MASK = np.arange(S) < np.array([[7], [3], [1]])
KEY_MASK = np.arange(S) >= np.array([[0], [2], [0]])
# Every query keeps one key, whatever the other masks of these tests hide.
ATTENTION_MASK = np.random.default_rng(4).random((B, T, S)) < 0.5
ATTENTION_MASK[:, :, 0] = True


def make(**kwargs):
    return layers.MultiHeadAttention(H, K, **kwargs)


def tensors(*arrays):
    return [ops.convert_to_tensor(x) for x in arrays]


# The layer, alone


@pytest.mark.parametrize("check", checks.STANDARD)
@pytest.mark.parametrize(
    "inputs",
    [(QUERY,), (QUERY, VALUE, KEY, QUERY_MASK, VALUE_MASK)],
    ids=["self", "cross_and_masked"],
)
def test_standard_checks(check, inputs, tmp_path):
    check(make, inputs, tmp_path)


def test_every_option_survives_saving(tmp_path):
    def make_unusual(**kwargs):
        return make(
            value_dim=V,
            dropout=0.1,
            use_bias=False,
            output_shape=17,
            attention_axes=1,
            sliding_window=3,
            use_gate=True,
            seed=5,
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.1),
            kernel_regularizer="l2",
            kernel_constraint="max_norm",
            **kwargs,
        )

    for check in (checks.config_round_trip, checks.file_round_trip):
        check(make_unusual, (QUERY, VALUE), tmp_path)
    assert make_unusual().get_config()["sliding_window"] == 3


def test_layer_equals_the_reference():
    layer = checks.shared(make, (QUERY, VALUE, KEY), value_dim=V)
    arguments = {"attention_mask": ATTENTION_MASK, "return_attention_scores": True}
    output, weights = layer(QUERY, VALUE, KEY, **arguments)
    expected = reference.multi_head_attention(
        layer.get_weights(), QUERY, VALUE, KEY, mask=ATTENTION_MASK[:, None]
    )
    np.testing.assert_allclose(checks.as_array(output), expected[0], atol=1e-5)
    np.testing.assert_allclose(checks.as_array(weights), expected[1], atol=1e-5)


def test_value_defaults_to_query_and_key_to_value():
    layer = checks.shared(make, (QUERY,))
    expected = checks.as_array(layer(QUERY, QUERY, QUERY))
    np.testing.assert_array_equal(checks.as_array(layer(QUERY)), expected)
    np.testing.assert_array_equal(checks.as_array(layer(QUERY, QUERY)), expected)


def test_batch_rows_do_not_meet():
    layer = checks.shared(make, (QUERY, VALUE))
    checks.batch_invariance(lambda q, v, mask: layer(q, v, value_mask=mask), QUERY, VALUE, VALUE_MASK)


def test_masked_values_do_not_matter():
    layer = checks.shared(make, (QUERY,))
    checks.pad_invariance(lambda x, mask: layer(x, x, value_mask=mask), QUERY, QUERY_MASK)


def test_permuted_input_permutes_the_output():
    checks.permutation_equivariance(checks.shared(make, (QUERY,)), QUERY)


def test_permuted_memory_with_its_mask_changes_nothing():
    layer = checks.shared(make, (QUERY, VALUE, KEY))
    order = np.array([3, 0, 6, 1, 5, 2, 4])
    expected = checks.as_array(layer(QUERY, VALUE, KEY, value_mask=VALUE_MASK))
    memory = (VALUE[:, order], KEY[:, order])
    actual = checks.as_array(layer(QUERY, *memory, value_mask=VALUE_MASK[:, order]))
    np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_future_tokens_do_not_change_the_past():
    layer = checks.shared(make, (QUERY,))
    checks.causality(lambda x: layer(x, x, use_causal_mask=True), QUERY)


@pytest.mark.parametrize("window", [1, 2, 4])
@pytest.mark.parametrize("causal", [False, True])
def test_sliding_window_position_by_position(window, causal):
    layer = checks.shared(make, (QUERY,), sliding_window=window)
    found = checks.influence(lambda x: layer(x, x, use_causal_mask=causal), QUERY)
    for query in range(T):
        for key in range(T):
            near = abs(query - key) < window and (key <= query or not causal)
            # Every position influences itself, as its own query.
            assert found[query, key] == near, (query, key)


def test_dropout_in_training_only():
    layer = checks.built(make, (QUERY,), dropout=0.5)
    plain = checks.built(make, (QUERY,))
    expected = checks.as_array(plain(QUERY))
    np.testing.assert_allclose(checks.as_array(layer(QUERY)), expected, atol=1e-6)
    first, second = (checks.as_array(layer(QUERY, training=True)) for _ in range(2))
    assert np.abs(first - expected).max() > 1e-3
    assert np.abs(first - second).max() > 1e-3


def test_seed_makes_dropout_repeatable():
    first, second = (
        checks.as_array(checks.built(make, (QUERY,), dropout=0.5, seed=3)(QUERY, training=True))
        for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)


def test_key_and_value_have_the_same_length():
    with pytest.raises(ValueError, match="`key` and `value` must have the same length"):
        make()(QUERY, VALUE, KEY[:, 1:])


# Rows without keys: zeros before the output projection, on every path

NO_KEYS = {  # layer arguments, call arguments, query rows (b, t) that see nothing
    "attention_mask": ({}, {"attention_mask": ATTENTION_MASK & (np.arange(T) != 2)[:, None]}, [
        (b, 2) for b in range(B)
    ]),
    "value_mask": ({}, {"value_mask": VALUE_MASK & [[True], [False], [True]]}, [
        (1, t) for t in range(T)
    ]),
    "key_mask": ({}, {"key": VALUE, "key_mask": KEY_MASK & [[False], [True], [True]]}, [
        (0, t) for t in range(T)
    ]),
    "query_mask": ({}, {"query_mask": QUERY_MASK}, [(1, 2), (1, 3), (1, 4), (2, 4)]),
    "causal_and_padded_left": ({}, {"value_mask": KEY_MASK, "use_causal_mask": True}, [
        (1, 0), (1, 1)
    ]),
    "gate": ({"use_gate": True}, {"query_mask": QUERY_MASK}, [(1, 2), (1, 3), (1, 4), (2, 4)]),
    "window": ({"sliding_window": 1}, {"value_mask": VALUE_MASK}, [
        (1, 3), (1, 4), (2, 1), (2, 2), (2, 3), (2, 4)
    ]),
}  # fmt: skip


@pytest.mark.parametrize("policy", checks.POLICIES)
@pytest.mark.parametrize("case", NO_KEYS)
def test_query_without_keys_gives_the_output_bias(case, policy):
    constructor, call, rows = NO_KEYS[case]
    layer = checks.shared(make, (QUERY, VALUE), **constructor, dtype=policy)
    bias = checks.as_array(ops.cast(layer.get_weights()[-1], layer.compute_dtype))
    with_scores, weights = layer(QUERY, VALUE, **call, return_attention_scores=True)
    outputs = [with_scores, layer(QUERY, VALUE, **call)]
    sees_nothing = np.zeros((B, T), bool)
    sees_nothing[tuple(np.transpose(rows))] = True
    for output in outputs:
        is_bias = np.all(checks.as_array(output) == bias, axis=-1)
        np.testing.assert_array_equal(is_bias, sees_nothing)
    total = checks.as_array(weights).sum(axis=-1)  # (B, H, T)
    expected = np.broadcast_to(~sees_nothing[:, None], total.shape)
    np.testing.assert_allclose(total, expected, atol=1e-2)
    assert (total[~expected] == 0).all()


@pytest.mark.parametrize("xla", [False, True])
def test_query_without_keys_gives_the_output_bias_in_a_graph(xla):
    _, call, _ = NO_KEYS["query_mask"]
    layer = checks.shared(make, (QUERY, VALUE))
    function = checks.compiled(lambda q, v, mask: layer(q, v, query_mask=mask), xla)
    output = checks.as_array(function(*tensors(QUERY, VALUE, call["query_mask"])))
    np.testing.assert_array_equal(output[1, 2:], np.tile(layer.get_weights()[-1], (3, 1)))
    eager = checks.as_array(layer(QUERY, VALUE, **call))
    np.testing.assert_allclose(output, eager, atol=1e-5)


def test_query_without_keys_sends_no_gradient_back():
    layer = checks.shared(make, (QUERY, VALUE))
    mask = ops.convert_to_tensor(QUERY_MASK)
    gradient = checks.as_array(
        checks.input_gradient(lambda q: ops.sum(layer(q, VALUE, query_mask=mask) ** 2), QUERY)
    )
    assert np.isfinite(gradient).all()
    np.testing.assert_array_equal(np.any(gradient != 0, axis=-1), QUERY_MASK)

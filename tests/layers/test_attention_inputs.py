"""Attention and what it is given: empty inputs, inputs of any rank, masks and arguments that do not fit."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from keras_transformer import layers
from tests import checks, reference

B, T, S, H, D, K = 3, 5, 7, 2, 11, 4
QUERY, VALUE = checks.numbers(B, T, D, seed=1), checks.numbers(B, S, 13, seed=2)


def make(**kwargs):
    return layers.MultiHeadAttention(H, K, **kwargs)


# No rows, no queries, no keys


def check_sizes(layer, batch_size, query_length, key_length):
    query, value = (
        ops.convert_to_tensor(x[:batch_size, :length])
        for x, length in ((QUERY, query_length), (VALUE, key_length))
    )
    mask = ops.ones((batch_size, key_length), "bool")
    graph = checks.compiled(lambda q, v, m: layer(q, v, value_mask=m), xla=False)
    eager, scores = layer(query, value, value_mask=mask, return_attention_scores=True)
    assert tuple(scores.shape) == (batch_size, layer.num_heads, query_length, key_length)
    for output in (eager, graph(query, value, mask)):
        output = checks.as_array(output)
        assert output.shape == (batch_size, query_length, D)
        if not key_length:  # zeros before the output projection
            np.testing.assert_array_equal(output, np.broadcast_to(layer.output_dense.bias, output.shape))


@pytest.mark.parametrize("sizes", [(3, 0, 7), (3, 5, 0), (0, 5, 7), (3, 1, 0)])
def test_empty_inputs_keep_their_shape(sizes):
    check_sizes(checks.shared(make, (QUERY, VALUE), use_gate=True), *sizes)


def test_empty_inputs_keep_their_shape_with_one_head():
    layer = checks.built(lambda: layers.MultiHeadAttention(1, K), (QUERY, VALUE))
    for sizes in ((3, 0, 7), (0, 1, 7)):
        check_sizes(layer, *sizes)


def test_empty_inputs_keep_their_shape_where_no_size_is_known():
    query, value = keras.Input((None, D)), keras.Input((None, 13))
    layer = checks.shared(make, (QUERY, VALUE))
    model = keras.Model([query, value], layer(query, value))
    for sizes in ((3, 0, 7), (3, 5, 0), (0, 5, 7), (3, 5, 7)):
        output = model([QUERY[: sizes[0], : sizes[1]], VALUE[: sizes[0], : sizes[2]]])
        assert tuple(output.shape) == (*sizes[:2], D)


SIZES = st.sampled_from([0, 1, 2, 7])
EXAMPLES = 25 if keras.backend.backend() == "tensorflow" else 6  # JAX compiles for each shape


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)
@given(
    sizes=st.tuples(SIZES, SIZES, SIZES),
    num_heads=st.sampled_from([1, 3]),
    policy=st.sampled_from(checks.POLICIES),
    causal=st.booleans(),
    seed=st.integers(0, 99),
)
def test_any_size_mask_and_dtype_gives_the_formula(sizes, num_heads, policy, causal, seed):
    batch_size, length, key_length = sizes
    layer = layers.MultiHeadAttention(num_heads, K, dtype=policy)
    query, value = checks.numbers(batch_size, length, D), checks.numbers(batch_size, key_length, D, seed=1)
    layer.build(query.shape, value.shape)
    checks.randomized(layer)
    rng = np.random.default_rng(seed)
    queries, keys = (rng.random((batch_size, n)) < 0.7 for n in (length, key_length))
    mask = queries[:, None, :, None] & keys[:, None, None]
    if causal:
        mask = mask & (np.arange(length)[:, None] >= np.arange(key_length))
    given_masks = {"query_mask": queries, "value_mask": keys, "use_causal_mask": causal}
    output, weights = layer(query, value, **given_masks, return_attention_scores=True)
    expected = reference.multi_head_attention(layer.get_weights(), query, value, mask=mask)
    atol = 1e-5 if policy == "float32" else 0.1
    np.testing.assert_allclose(checks.as_array(output), expected[0], atol=atol)
    np.testing.assert_allclose(checks.as_array(weights), expected[1], atol=atol)
    assert not checks.as_array(weights)[~np.broadcast_to(mask, weights.shape)].any()


# Any rank


def one_by_one(layer, query, value, mask=None):
    """Attention along axis 2 of (B, F, T, D), a row of the free axis F at a time."""
    rows = range(query.shape[1])
    masks = [None if mask is None else mask[:, row, None] for row in rows]
    found = [
        reference.multi_head_attention(layer.get_weights(), query[:, row], value[:, row], mask=masks[row])
        for row in rows
    ]
    return [np.stack(x, axis=1) for x in zip(*found, strict=True)]


@pytest.mark.parametrize("axes", [2, -2, (2,)])
def test_rows_of_a_free_axis_attend_for_themselves(axes):
    query, value = checks.numbers(B, 2, T, D), checks.numbers(B, 2, S, 13, seed=1)
    layer = checks.shared(make, (query, value), attention_axes=axes)
    real = np.arange(S) < np.array([[[7], [2]], [[0], [1]], [[3], [6]]])  # (B, F, S)
    sees = np.random.default_rng(0).random((B, 2, T, S)) < 0.7
    output, weights = layer(query, value, value_mask=real, attention_mask=sees, return_attention_scores=True)
    expected = one_by_one(layer, query, value, sees & real[:, :, None])
    np.testing.assert_allclose(checks.as_array(output), expected[0], atol=1e-5)
    np.testing.assert_allclose(checks.as_array(weights), expected[1], atol=1e-5)


def test_causality_and_window_are_those_of_the_attended_axis():
    x = checks.numbers(B, 2, T, D)
    layer = checks.shared(make, (x,), attention_axes=2, sliding_window=3)
    distance = np.arange(T)[:, None] - np.arange(T)
    mask = np.broadcast_to((distance >= 0) & (distance < 3), (B, 2, T, T))
    expected = one_by_one(layer, x, x, mask)[0]
    np.testing.assert_allclose(checks.as_array(layer(x, use_causal_mask=True)), expected, atol=1e-5)


def test_several_axes_are_attended_over_as_one():
    query, value = checks.numbers(B, 2, T, D), checks.numbers(B, 3, 2, 13, seed=1)
    layer = checks.shared(make, (query, value))
    real = np.random.default_rng(0).random((B, 3, 2)) < 0.6
    sees = np.random.default_rng(1).random((B, 2, T, 3, 2)) < 0.7
    output, weights = layer(query, value, value_mask=real, attention_mask=sees, return_attention_scores=True)
    assert tuple(weights.shape) == (B, H, 2, T, 3, 2)
    mask = (sees & real[:, None, None]).reshape(B, 1, 2 * T, 6)
    flat = (query.reshape(B, -1, D), value.reshape(B, -1, 13))
    expected = reference.multi_head_attention(layer.get_weights(), *flat, mask=mask)
    np.testing.assert_allclose(checks.as_array(output), expected[0].reshape(query.shape), atol=1e-5)
    np.testing.assert_allclose(checks.as_array(weights).reshape(expected[1].shape), expected[1], atol=1e-5)


def test_the_rule_of_queries_without_keys_holds_for_any_rank():
    x = checks.numbers(B, 2, T, D)
    layer = checks.shared(make, (x,), attention_axes=2)
    real = np.ones((B, 2, T), bool)
    real[1, 0], real[2, 1, 3:] = False, False
    output = checks.as_array(layer(x, query_mask=real))
    is_bias = (output == np.asarray(layer.output_dense.bias)).all(axis=-1)
    np.testing.assert_array_equal(is_bias, ~real)


@pytest.mark.parametrize(
    ("arguments", "call", "message"),
    [
        ({"attention_axes": 3}, {}, r"`attention_axes` of inputs of rank 4 must be .* from 1 to 2.*\(3,\)"),
        ({"attention_axes": (1, -3)}, {}, r"`attention_axes` .* different axes .*\(1, -3\)"),
        (
            {"rotary": lambda heads, start_index: heads},
            {},
            "`rotary` must come with .*rank 3.*rank 4",
        ),
        ({}, {"use_causal_mask": True}, r"`use_causal_mask` .* one attended axis.*attention_axes=\(1, 2\)"),
        ({"sliding_window": 2}, {}, r"`sliding_window` must come with one attended axis"),
    ],
)
def test_what_a_higher_rank_cannot_have_is_refused(arguments, call, message):
    x = checks.numbers(B, 2, T, D)
    with pytest.raises(ValueError, match=message):
        make(**arguments)(x, **call)


@pytest.mark.parametrize(
    ("query", "value", "message"),
    [
        (
            (3, 11),
            (3, 11),
            r"`query`, `value` and `key` must have one rank, 3 or more.*=\(\w+, 11\)",
        ),
        ((3, 2, 5, 11), (3, 5, 11), r"must have one rank.*=\(\w+, 2, 5, 11\), value_shape=\(\w+, 5, 11\)"),
    ],
)
def test_inputs_have_one_rank(query, value, message):
    with pytest.raises(ValueError, match=message):
        make()(np.zeros(query, "float32"), np.zeros(value, "float32"))
    with pytest.raises(ValueError, match=message):
        make()(keras.Input(query[1:]), keras.Input(value[1:]))


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([(2, 5, 11), (3, 7, 13)], r"`query` and `value` must have one batch size.*\(2, 5, 11\)"),
        ([(3, 5, 11), (3, 7, 12)], r"`value` must .* have the shape \(None, None, 13\).*\(3, 7, 12\)"),
        ([(3, 5, 11), (3, 7, 13), (3, 6, 13)], "`key` and `value` must have the same length"),
        ([(3, 5, 11), (2, 7, 13), (3, 7, 13)], "`key` and `value` must have the same length"),
    ],
)
def test_inputs_of_a_built_layer_fit_it_and_each_other(shapes, message):
    layer = checks.shared(make, (QUERY, VALUE))
    with pytest.raises(ValueError, match=message):
        layer(*(np.zeros(shape, "float32") for shape in shapes))


def test_widths_are_known():
    for width in (0, None):
        with pytest.raises(ValueError, match="The last dimension must be known, and not zero"):
            make().build((B, T, width))


def test_free_axes_are_equally_long():
    with pytest.raises(ValueError, match="equally long along the axes that are not attended over"):
        make(attention_axes=2)(checks.numbers(B, 2, T, D), checks.numbers(B, 3, S, D))


def test_steps_are_for_rank_three():
    layer = checks.shared(make, (checks.numbers(B, 2, T, D),))
    with pytest.raises(ValueError, match="`attend` and `step` must come with inputs of rank 3.*rank 4"):
        layer.step(QUERY[:, :1], layer.initial_state(B, T), 0)


# Masks and names that do not fit


@pytest.mark.parametrize(
    ("name", "shape", "wanted"),
    [
        ("query_mask", (B, S), r"`query_mask` must have the \(batch, length\) of `query`, \({B}, 5\)"),
        ("value_mask", (B, T), r"`value_mask` must have the \(batch, length\) of `value`, \({B}, 7\)"),
        ("value_mask", (B, S, 1), r"`value_mask` must have the \(batch, length\)"),
        ("key_mask", (B, 6), r"`key_mask` must have the \(batch, length\) of `value`, \({B}, 7\)"),
        ("attention_mask", (B, S, T), r"`attention_mask` must broadcast to \(batch, heads, queries, keys\)"),
        ("attention_mask", (B, 4, T, S), r"`attention_mask` must broadcast to .*, \({B}, 2, 5, 7\), with or"),
        ("attention_mask", (B, 1, 1, T, S), r"`attention_mask` must broadcast to"),
    ],
)
def test_a_mask_that_does_not_fit_is_named(name, shape, wanted):
    received = rf".*Received: shape=\(\w+, {', '.join(map(str, shape[1:]))}\)"
    with pytest.raises(ValueError, match=wanted.replace("{B}", "3") + received):
        make()(QUERY, VALUE, **{name: np.ones(shape, bool)})
    symbolic = [keras.Input(x.shape[1:]) for x in (QUERY, VALUE)]
    with pytest.raises(ValueError, match=wanted.replace("{B}", "None") + received):
        make()(*symbolic, **{name: keras.Input(shape[1:], dtype="bool")})


def test_masks_that_broadcast_are_taken():
    layer = checks.shared(make, (QUERY, VALUE))
    expected = checks.as_array(layer(QUERY, VALUE, value_mask=np.tile(np.arange(S) < 3, (B, 1))))
    for name, shape in (("value_mask", (1, S)), ("attention_mask", (S,)), ("attention_mask", (1, S))):
        mask = np.broadcast_to(np.arange(S) < 3, shape)
        actual = checks.as_array(layer(QUERY, VALUE, **{name: mask}))
        np.testing.assert_allclose(actual, expected, atol=1e-6)


def test_an_unknown_argument_is_answered_with_those_there_are():
    with pytest.raises(TypeError, match="`MultiHeadAttention` takes `query`, .*`query_mask`.*`padding_mask`"):
        make()(QUERY, VALUE, padding_mask=np.ones((B, S), bool))
    with pytest.raises(TypeError, match="`MultiHeadAttention` takes .*`attention_mask`.*`mask`"):
        make()(QUERY, mask=np.ones((B, T), bool))
    with pytest.raises(ValueError, match="`MultiHeadAttention` takes .*`key_dim`.*`head_dim`"):
        make(head_dim=3)


@pytest.mark.parametrize("name", ["num_heads", "key_dim", "value_dim", "sliding_window", "output_shape"])
@pytest.mark.parametrize("size", [0, -2, 1.5, True, "2"])
def test_sizes_are_positive_integers(name, size):
    with pytest.raises(ValueError, match=f"`{name}`.* must be a positive integer.*{name}={size!r}"):
        layers.MultiHeadAttention(**{"num_heads": H, "key_dim": K, name: size})


@pytest.mark.parametrize("shape", [(), (3, 0), (3, True), [2.0]])
def test_a_shape_of_the_output_is_made_of_sizes(shape):
    with pytest.raises(ValueError, match="Invalid `output_shape`: .*Received: output_shape="):
        make(output_shape=shape)


@pytest.mark.parametrize("axes", [0, True, 1.0, "1", (), (1, 0), [1.5]])
def test_attention_axes_are_integers_and_not_the_batch(axes):
    with pytest.raises(ValueError, match="`attention_axes` must be an integer.*Received: attention_axes="):
        make(attention_axes=axes)


@pytest.mark.parametrize("rate", [1.0, -0.1, float("nan"), float("inf"), "0.1", None])
def test_dropout_lies_below_one(rate):
    with pytest.raises(ValueError, match="`dropout` must be a number in 0 <= p < 1. Received: dropout="):
        make(dropout=rate)


def test_flash_attention_and_a_position_bias_exclude_each_other():
    with pytest.raises(ValueError, match="`flash_attention` and `position_bias` exclude each other"):
        make(flash_attention=True, position_bias=np.zeros((T, T)))


# Shapes that are asked for before there are weights


@pytest.mark.parametrize("arguments", [{}, {"output_shape": 3}, {"output_shape": (3, 2)}])
def test_output_shapes_are_known_before_build(arguments):
    layer = make(**arguments, dtype="mixed_float16")
    expected = (B, T, *{None: (D,), 3: (3,), (3, 2): (3, 2)}[arguments.get("output_shape")])
    assert layer.compute_output_shape(QUERY.shape) == expected
    assert layer.compute_output_shape(QUERY.shape, VALUE.shape) == expected
    query, value = keras.KerasTensor(QUERY.shape), keras.KerasTensor(VALUE.shape)
    spec = layer.compute_output_spec(query)
    assert (spec.shape, spec.dtype) == (expected, "float16")
    spec, scores = layer.compute_output_spec(query, value, return_attention_scores=True)
    assert (spec.shape, scores.shape) == (expected, (B, H, T, S))
    assert not layer.built


def test_works_at_every_time_step_of_keras():
    x = checks.numbers(B, 2, T, D)
    inner = make()
    inputs = keras.Input((2, T, D))
    model = keras.Model(inputs, keras.layers.TimeDistributed(inner)(inputs))
    checks.randomized(inner)
    expected = [reference.multi_head_attention(inner.get_weights(), x[:, t], x[:, t])[0] for t in range(2)]
    np.testing.assert_allclose(checks.as_array(model(x)), np.stack(expected, 1), atol=1e-5)

"""Attention that keeps no (T, S) scores equals the one that does: in blocks, in windows, by a kernel."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_transformer import layers
from keras_transformer.layers import blockwise, fused_attention
from keras_transformer.layers.visible_keys import VisibleKeys
from tests import checks, reference
from tests.layers.test_attention_steps import DistancePenalty, Rotation

B, T, S, H, D, K = 3, 13, 11, 2, 11, 4
QUERY = checks.numbers(B, T, D, seed=1)
VALUE = checks.numbers(B, S, D, seed=2)
QUERY_MASK = np.arange(T) < np.array([[13], [2], [4]])
VALUE_MASK = np.random.default_rng(3).random((B, S)) < 0.6
ATTENTION_MASK = np.random.default_rng(4).random((B, T, S)) < 0.5

CASES = {  # layer arguments, call arguments
    "plain": ({}, {}),
    "causal": ({}, {"use_causal_mask": True}),
    "padding": ({}, {"query_mask": QUERY_MASK, "value_mask": VALUE_MASK}),
    "mask": ({}, {"attention_mask": ATTENTION_MASK, "value_mask": VALUE_MASK}),
    "mask_of_heads": ({}, {"attention_mask": np.stack([ATTENTION_MASK, ~ATTENTION_MASK], 1)}),
    "mask_of_keys": ({}, {"attention_mask": ATTENTION_MASK[:, :1]}),
    "window": ({"sliding_window": 3}, {"value_mask": VALUE_MASK}),
    "window_of_one": ({"sliding_window": 1}, {"query_mask": QUERY_MASK}),
    "causal_window": ({"sliding_window": 2}, {"use_causal_mask": True}),
    "window_and_mask": ({"sliding_window": 4}, {"attention_mask": ATTENTION_MASK}),
    "groups": ({"num_key_value_heads": 1}, {"use_causal_mask": True}),
    "rotary_and_gate": ({"rotary": Rotation, "use_gate": True}, {"use_causal_mask": True}),
    "bias_layer": ({"position_bias": DistancePenalty}, {"value_mask": VALUE_MASK}),
    "relative_bias": (
        {"position_bias": lambda: layers.RelativePositionBias(H, num_buckets=8, max_distance=9)},
        {"query_mask": QUERY_MASK, "value_mask": VALUE_MASK},
    ),
    "relative_keys_and_values": (
        {"position_bias": lambda: layers.RelativeKeysAndValues(3), "num_key_value_heads": 1},
        {"value_mask": VALUE_MASK, "use_causal_mask": True},
    ),
    "bias_tensor": ({"position_bias": lambda: checks.numbers(1, H, T, S, seed=8)}, {}),
    "bias_of_keys": (
        {"position_bias": lambda: checks.numbers(1, 1, 1, S, seed=8)},
        {"use_causal_mask": True},
    ),
}


FRAMES = {"window": 6, "window_of_one": 2, "causal_window": 3}  # keys of a block where not all


def make_case(case, **kwargs):
    chosen = {name: x() if callable(x) else x for name, x in CASES[case][0].items()}
    return layers.MultiHeadAttention(H, K, **chosen, **kwargs)


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of three queries, or of as many as a window needs."""
    monkeypatch.setattr(blockwise, "BLOCK_SCORES", 3 * S)
    monkeypatch.setattr(blockwise, "SMALLEST_BLOCK", 2)
    if keras.backend.backend() == "torch":  # it has a kernel for all of this
        monkeypatch.setattr("keras_transformer.layers.attention_paths.fused_attention", lambda *_: None)


@pytest.fixture
def blocks_seen(small_blocks, monkeypatch):
    seen = []
    formula = blockwise.scaled_dot_product_attention

    def spy(query, key, *others):
        seen.append((query.shape[-2], key.shape[-2]))
        return formula(query, key, *others)

    monkeypatch.setattr(blockwise, "scaled_dot_product_attention", spy)
    return seen


class Masked(keras.layers.Layer):
    """A layer with the call arguments of a case."""

    def __init__(self, layer, arguments):
        super().__init__()
        self.layer, self.arguments = layer, arguments
        self.built = True

    def call(self, query, value):
        return self.layer(query, value, **self.arguments)


# Of these, what is in them is in others, too.
LONG = ("window_of_one", "window_and_mask", "causal", "bias_of_keys", "groups")


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=[pytest.mark.slow] if case in LONG else []) for case in CASES]
)
def test_blocks_give_the_same_output_and_gradients(case, blocks_seen, monkeypatch):
    layer = Masked(checks.built(lambda: make_case(case), (QUERY, VALUE)), CASES[case][1])
    probe = ops.convert_to_tensor(checks.numbers(B, T, D, seed=5))
    blocks_seen.clear()

    def results(way):
        def loss(x):
            return ops.sum(layer(x, VALUE) * probe)

        query = ops.convert_to_tensor(QUERY)
        return [
            way(lambda query: layer(query, VALUE))(query),
            way(lambda query: checks.input_gradient(loss, query))(query),
            layer(QUERY, VALUE),
            *checks.weight_gradients(layer, (QUERY, VALUE), probe),
        ]

    found = results(lambda function: checks.compiled(function, xla=False))
    assert {length for length, _ in blocks_seen} <= {2, 3}
    assert {length for _, length in blocks_seen} == {FRAMES.get(case, S)}
    monkeypatch.setattr(blockwise, "BLOCK_SCORES", T * S)
    blocks_seen.clear()
    for mine, other in zip(found, results(lambda function: function), strict=True):
        np.testing.assert_allclose(checks.as_array(mine), checks.as_array(other), atol=2e-5)
    assert not blocks_seen
    weighted, _ = layer.layer(QUERY, VALUE, **CASES[case][1], return_attention_scores=True)
    np.testing.assert_allclose(checks.as_array(found[2]), checks.as_array(weighted), atol=2e-6)


def test_blocks_equal_the_reference_in_float64(small_blocks):
    layer = checks.built(lambda: layers.MultiHeadAttention(H, K), (QUERY, VALUE))
    seen = VALUE_MASK[:, None, None] & np.tri(T, S, dtype=bool) & QUERY_MASK[:, None, :, None]
    masks = {"query_mask": QUERY_MASK, "value_mask": VALUE_MASK, "use_causal_mask": True}
    expected = reference.multi_head_attention(layer.get_weights(), QUERY, VALUE, mask=seen)[0]
    actual = checks.as_array(layer(QUERY, VALUE, **masks))
    np.testing.assert_allclose(actual, expected, atol=1e-5)
    nothing = ~seen.any(-1)[:, 0]
    np.testing.assert_array_equal(actual[nothing], np.tile(layer.get_weights()[-1], (nothing.sum(), 1)))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_blocks_in_half_precision(policy, small_blocks):
    layer = checks.built(lambda **kwargs: make_case("causal_window", **kwargs), (QUERY, QUERY), dtype=policy)
    output = layer(QUERY, QUERY)
    expected, _ = layer(QUERY, QUERY, return_attention_scores=True)
    assert output.dtype == expected.dtype
    np.testing.assert_allclose(checks.as_array(output), checks.as_array(expected), atol=1e-2)


def test_blocks_over_several_axes(small_blocks):
    x = checks.numbers(B, 5, 4, D, seed=6)
    layer = checks.built(lambda: layers.MultiHeadAttention(H, K), (x,))
    expected, _ = layer(x, return_attention_scores=True)
    np.testing.assert_allclose(checks.as_array(layer(x)), checks.as_array(expected), atol=2e-6)


def test_dropout_of_weights_keeps_them(blocks_seen):
    layer = checks.built(lambda: layers.MultiHeadAttention(H, K, dropout=0.5), (QUERY, VALUE))
    blocks_seen.clear()
    first, second = (checks.as_array(layer(QUERY, VALUE, training=True)) for _ in range(2))
    assert np.abs(first - second).max() > 1e-3
    assert not blocks_seen
    layer(QUERY, VALUE)
    assert blocks_seen


LONG = 601  # the matrix is larger than one block


@pytest.mark.parametrize("options", [{}, {"sliding_window": 20}], ids=["exact", "window"])
def test_no_array_of_all_pairs_is_made(options):
    """Neither scores nor a mask, forward or backward."""
    layer = layers.MultiHeadAttention(1, 2, **options)
    x = checks.numbers(1, LONG, 2)
    layer.build(x.shape)
    real = ops.convert_to_tensor(np.arange(LONG)[None] < 500)

    def gradient(x):
        attend = lambda x: ops.sum(layer(x, value_mask=real, use_causal_mask=True) ** 2)  # noqa: E731
        return checks.input_gradient(attend, x)

    sizes = [size for shape in traced_shapes(gradient, x) for size in [np.prod(shape)]]
    assert LONG * 2 <= max(sizes) < LONG * LONG


def traced_shapes(function, x):
    """The shapes of all that a function computes, those inside loops, too."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        graph = tf.function(function).get_concrete_function(tf.TensorSpec(x.shape)).graph
        definition = graph.as_graph_def(add_shapes=True)
        nodes = [*definition.node, *(node for each in definition.library.function for node in each.node_def)]
        shapes = [shape for node in nodes for shape in node.attr["_output_shapes"].list.shape]
        return [[axis.size for axis in shape.dim] for shape in shapes]
    if keras.backend.backend() == "jax":
        import re

        import jax

        shapes = re.findall(r"(?:f32|bool|bf16)\[([\d,]+)\]", str(jax.make_jaxpr(function)(x)))
        return [[int(size) for size in shape.split(",")] for shape in shapes]
    pytest.skip("PyTorch has a kernel of its own")


# The backend's kernel


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="cuDNN is JAX's")
@pytest.mark.parametrize("case", ["plain", "causal", "padding", "mask", "mask_of_heads", "groups"])
@pytest.mark.parametrize("smallest", [0, 10**9], ids=["lengths", "mask"])
def test_the_kernel_of_jax_is_told_the_same_masks(case, smallest, monkeypatch):
    # Its other implementation takes the same arguments where there is no GPU.
    monkeypatch.setattr(fused_attention, "IMPLEMENTATION", "xla")
    monkeypatch.setattr(fused_attention, "_has_cudnn", lambda *_: True)
    monkeypatch.setattr(fused_attention, "SMALLEST_MATRIX_FOR_LENGTHS", smallest)
    for real in (VALUE_MASK, np.arange(S) < np.array([[11], [3], [0]])):
        rows, keys = slice(0, T - 1), slice(0, S - 1)  # even
        call = {
            name: x if isinstance(x, bool) else x[..., rows, keys] if x.ndim > 2 else x
            for name, x in CASES[case][1].items()
        }
        if "value_mask" in call:
            call["value_mask"] = real[:, keys]
        if "query_mask" in call:
            call["query_mask"] = QUERY_MASK[:, rows]
        layer = Masked(checks.built(lambda: make_case(case), (QUERY, VALUE)), call)
        query, value = QUERY[:, rows], VALUE[:, keys]
        expected, _ = layer.layer(query, value, **call, return_attention_scores=True)
        np.testing.assert_allclose(checks.as_array(layer(query, value)), checks.as_array(expected), atol=2e-6)
        gradients = []
        for fused in (True, False):
            if not fused:
                monkeypatch.setattr(fused_attention, "_has_cudnn", lambda *_: False)
            gradients.append(checks.weight_gradients(layer, (query, value), checks.numbers(B, T - 1, D)))
        monkeypatch.setattr(fused_attention, "_has_cudnn", lambda *_: True)
        for mine, other in zip(*gradients, strict=True):
            np.testing.assert_allclose(checks.as_array(mine), checks.as_array(other), atol=2e-5)


def test_no_kernel_for_windows_and_other_ranks():
    heads = ops.convert_to_tensor(checks.numbers(B, H, T, K))
    assert fused_attention.fused_attention(heads, heads, heads, VisibleKeys(window=3)) is None
    grid = ops.convert_to_tensor(checks.numbers(B, 2, H, T, K))
    assert fused_attention.fused_attention(grid, grid, grid, VisibleKeys()) is None


# Arguments that exclude each other


def test_scores_and_flash_attention_exclude_each_other():
    layer = layers.MultiHeadAttention(H, K, flash_attention=True)
    with pytest.raises(ValueError, match="Received: return_attention_scores=True, flash_attention=True"):
        layer(QUERY, VALUE, return_attention_scores=True)


@pytest.mark.parametrize(
    "make",
    [
        lambda **k: layers.MultiHeadAttention(H, K, **k),
        lambda **k: layers.GroupedQueryAttention(K, H, 1, **k),
    ],
)
def test_a_window_of_zero_is_refused(make):
    with pytest.raises(
        ValueError, match="`sliding_window` must be a positive integer. Received: sliding_window=0"
    ):
        make(sliding_window=0)

"""Every kind of positions, decoded step by step: equal to the whole pass, in beams too."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_transformer import decoding, layers, models
from keras_transformer.layers import transformer_layer
from tests import checks

B, T, H, D, K = 3, 5, 2, 11, 4
X = checks.numbers(B, T, D, seed=1)

# What is added to the input, and what a self-attention is told.
KINDS = {
    "none": (None, dict),
    "sinusoid": (lambda: layers.PositionalEncoding(layout="halves"), dict),
    "learned": (lambda: layers.LearnedPositionalEncoding(23), dict),
    "rotary": (None, lambda: {"rotary": layers.RotaryEmbedding()}),
    "alibi": (None, lambda: {"position_bias": layers.AlibiBias(H)}),
    "buckets": (
        None,
        lambda: {"position_bias": layers.RelativePositionBias(H, 4, 5, bidirectional=False)},
    ),
    "shaw": (None, lambda: {"position_bias": layers.RelativeKeysAndValues(2)}),
    "rotary_and_shaw": (
        None,
        lambda: {"rotary": layers.RotaryEmbedding(), "position_bias": layers.RelativeKeysAndValues(2)},
    ),
}
IN_ATTENTION = ("rotary", "alibi", "buckets", "shaw")
every = pytest.mark.parametrize("kind", ["sinusoid", "learned", *IN_ATTENTION])
in_attention = pytest.mark.parametrize("kind", IN_ATTENTION)


class Positioned(keras.layers.Layer):
    """Positions and a self-attention."""

    def __init__(self, kind, **kwargs):
        super().__init__(**kwargs)
        added, told = KINDS[kind]
        self.encoding = added() if added else None
        self.attention = layers.MultiHeadAttention(H, K, **told())

    def build(self, shape):
        if self.encoding:
            self.encoding.build(shape)
        self.attention.build(shape)

    def call(self, x, causal=True):
        x = self.encoding(x) if self.encoding else x
        return self.attention(x, x, use_causal_mask=causal)

    def step(self, x, state, index):
        x = self.encoding(x, start_index=index) if self.encoding else x
        return self.attention.step(x, state, index)


def positioned(kind):
    return checks.built(lambda: Positioned(kind), (X,))


@every
def test_step_by_step_equals_one_pass(kind):
    layer = positioned(kind)
    state = layer.attention.initial_state(B, T + 5)  # with room left
    checks.cached_equals_uncached(layer(X), layer.step, state, [X[:, t : t + 1] for t in range(T)])


@every
def test_several_positions_at_once_equal_one_pass(kind):
    layer = positioned(kind)
    state, found = layer.attention.initial_state(B, T), []
    for start, end in ((0, 2), (2, 3), (3, T)):
        output, state = layer.step(ops.convert_to_tensor(X[:, start:end]), state, start)
        found.append(checks.as_array(output))
    np.testing.assert_allclose(np.concatenate(found, axis=1), checks.as_array(layer(X)), atol=1e-5)


@every
def test_rows_that_change_places_between_steps_equal_one_pass(kind):
    # As a beam search does: each row goes on from the state of any row.
    layer = positioned(kind)
    state, rng = layer.attention.initial_state(B, T), np.random.default_rng(0)
    read = X[:, :0]
    for t in range(T):
        parents = rng.integers(0, B, B)
        state = keras.tree.map_structure(lambda x, p=parents: ops.take(x, p, axis=0), state)
        read = np.concatenate([read[parents], X[:, t : t + 1]], axis=1)
        output, state = layer.step(ops.convert_to_tensor(X[:, t : t + 1]), state, t)
    np.testing.assert_allclose(checks.as_array(output)[:, 0], checks.as_array(layer(read))[:, -1], atol=1e-5)


@in_attention
def test_queries_of_rows_may_stand_at_positions_of_their_own(kind):
    attention = positioned(kind).attention
    x, starts = ops.convert_to_tensor(X), [4, 0, 2]
    query, projected = x[:, :1], attention.project(x)
    together, _ = attention.attend(query, projected, start_index=ops.convert_to_tensor(starts, "int32"))
    for row, start in enumerate(starts):
        alone, _ = attention.attend(query, projected, start_index=start)
        np.testing.assert_allclose(checks.as_array(together)[row], checks.as_array(alone)[row], atol=1e-5)


@in_attention
def test_positions_are_not_lost_in_a_step(kind):
    # A bias built for one query and not for its position is the same at each step.
    layer, plain = positioned(kind), positioned("none")
    own = {id(weight) for weight in layer.attention.weights}
    if layer.attention.position_bias is not None:
        own -= {id(weight) for weight in layer.attention.position_bias.weights}
    weights = [weight.numpy() for weight in layer.attention.weights if id(weight) in own]
    plain.attention.set_weights(weights)
    state = layer.attention.initial_state(B, T)
    state = {name: x + ops.convert_to_tensor(checks.numbers(*x.shape)) for name, x in state.items()}
    last = ops.convert_to_tensor(X[:, -1:])
    outputs = [checks.as_array(each.step(last, state, T - 1)[0]) for each in (layer, plain)]
    assert np.abs(outputs[0] - outputs[1]).max() > 1e-3


@pytest.mark.parametrize("check", checks.STANDARD)
def test_standard_checks_of_attention_with_positions(check, tmp_path):
    def make(**kwargs):
        policy = {"dtype": kwargs.get("dtype")}
        bias = layers.RelativeKeysAndValues(2, **policy)
        return layers.MultiHeadAttention(
            H, K, rotary=layers.RotaryEmbedding(**policy), position_bias=bias, **kwargs
        )

    check(make, (X,), tmp_path)


def test_attention_with_positions_is_exported_for_any_length(tmp_path):
    def make():
        return layers.MultiHeadAttention(H, K, **KINDS["rotary_and_shaw"][1]())

    checks.export_round_trip(make, (X,), (X[:2, :4],), tmp_path)


@in_attention
def test_what_follows_does_not_change_what_was(kind):
    checks.causality(positioned(kind), X[:1])


@in_attention
def test_padding_changes_nothing(kind):
    layer = positioned(kind).attention
    mask = np.arange(T) < np.array([[T], [3], [1]])
    checks.pad_invariance(lambda x, mask: layer(x, x, query_mask=mask, value_mask=mask), X, mask)


def test_a_search_in_beams_scores_as_one_pass_does(monkeypatch):
    def attention(*args, **kwargs):
        return layers.MultiHeadAttention(*args, **KINDS["rotary_and_shaw"][1](), **kwargs)

    monkeypatch.setattr(transformer_layer, "MultiHeadAttention", attention)
    model = models.CausalLM(11, num_layers=1, hidden_dim=8, num_heads=H, intermediate_dim=5, dropout=0.0)
    model.build()
    checks.randomized(model)
    search = decoding.BeamSearch(max_length=5, width=3, n_best=3)
    ids, scores = decoding.generate_n_best(model, {"prompt_ids": np.array([[2, 5], [9, 0]], "int32")}, search)
    ids, scores = checks.as_array(ids).reshape(-1, 5), checks.as_array(scores).ravel()
    _, expected = decoding.score(model, {}, ids)
    np.testing.assert_allclose(scores, checks.as_array(expected), atol=1e-4)

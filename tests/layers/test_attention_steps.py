"""Attention for decoding: one position at a time, and its two extension points."""

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

# Every query keeps one key.
ATTENTION_MASK = np.random.default_rng(4).random((B, T, S)) < 0.5
ATTENTION_MASK[:, :, 0] = True


def make(**kwargs):
    return layers.MultiHeadAttention(H, K, **kwargs)


def tensors(*arrays):
    return [ops.convert_to_tensor(x) for x in arrays]


# One position at a time


@keras.saving.register_keras_serializable(package="tests")
class Rotation(keras.layers.Layer):
    """Turns the two halves of a head by an angle that grows with the position."""

    def call(self, heads, start_index=0):
        first, second = ops.split(heads, 2, axis=-1)
        positions = ops.cast(ops.arange(ops.shape(heads)[2]) + start_index, heads.dtype)
        angles = positions[:, None] * ops.convert_to_tensor([1.0, 0.1], heads.dtype)
        sine, cosine = ops.sin(angles), ops.cos(angles)
        return ops.concatenate([first * cosine - second * sine, first * sine + second * cosine], axis=-1)


@keras.saving.register_keras_serializable(package="tests")
class DistancePenalty(keras.layers.Layer):
    """Adds -slope * |query position - key position|, one slope for each head."""

    def build(self, *shapes):
        self.slopes = self.add_weight(shape=(H, 1, 1), initializer="ones", name="slopes")

    def call(self, query_length, key_length, start_index=0):
        queries, keys = ops.arange(query_length) + start_index, ops.arange(key_length)
        distance = ops.abs(queries[:, None] - keys[None, :])
        return -self.slopes * ops.cast(distance, self.slopes.dtype)  # (H, T, S)


STEP_CASES = {
    "plain": {},
    "gate_and_value_dim": {"use_gate": True, "value_dim": V},
    "window": {"sliding_window": 2},
    "rotary": {"rotary": Rotation},
    "bias_layer": {"position_bias": DistancePenalty},
    "bias_tensor": {"position_bias": lambda: checks.numbers(1, H, T, T, seed=8)},
}


def make_case(case, **kwargs):
    extensions = ("rotary", "position_bias")
    arguments = {name: value() if name in extensions else value for name, value in STEP_CASES[case].items()}
    return make(**arguments, **kwargs)


@pytest.mark.parametrize("case", STEP_CASES)
def test_step_by_step_equals_one_causal_pass(case):
    layer = checks.built(lambda: make_case(case), (QUERY,))
    checks.cached_equals_uncached(
        layer(QUERY, QUERY, use_causal_mask=True),
        layer.step,
        layer.initial_state(B, max_length=T),
        [QUERY[:, t : t + 1] for t in range(T)],
    )


def test_room_for_more_positions_changes_nothing():
    layer = checks.shared(make, (QUERY,))
    checks.cached_equals_uncached(
        layer(QUERY, QUERY, use_causal_mask=True),
        layer.step,
        layer.initial_state(B, max_length=T + 6),
        [QUERY[:, t : t + 1] for t in range(T)],
    )


def test_step_sees_nothing_of_what_is_not_yet_written():
    layer = checks.shared(make, (QUERY,))
    state = keras.tree.map_structure(lambda x: x + 100.0, layer.initial_state(B, T))
    checks.cached_equals_uncached(
        layer(QUERY, QUERY, use_causal_mask=True),
        layer.step,
        state,
        [QUERY[:, t : t + 1] for t in range(T)],
    )


def test_step_takes_a_python_index():
    layer = checks.shared(make, (QUERY,))
    output, _ = layer.step(ops.convert_to_tensor(QUERY[:, :1]), layer.initial_state(B, T), 0)
    expected = checks.as_array(layer(QUERY, QUERY, use_causal_mask=True))[:, :1]
    np.testing.assert_allclose(checks.as_array(output), expected, atol=1e-5)


@pytest.mark.parametrize("policy", checks.POLICIES)
def test_state_has_the_compute_dtype(policy):
    layer = checks.shared(make, (QUERY,), dtype=policy)
    state = layer.initial_state(B, T)
    query = ops.cast(QUERY[:, :1], layer.compute_dtype)
    output, new_state = layer.step(query, state, ops.convert_to_tensor(0, "int32"))
    for tensor in (output, *keras.tree.flatten(state), *keras.tree.flatten(new_state)):
        assert keras.backend.standardize_dtype(tensor.dtype) == layer.compute_dtype


def test_projecting_once_and_attending_equals_call():
    layer = checks.shared(make, (QUERY, VALUE, KEY))
    projected = layer.project(*tensors(VALUE, KEY))
    mask = ops.convert_to_tensor(ATTENTION_MASK)
    output = layer.attend(*tensors(QUERY), projected, attention_mask=mask)
    output = output[0] if isinstance(output, tuple) else output
    expected = checks.as_array(layer(QUERY, VALUE, KEY, attention_mask=ATTENTION_MASK))
    np.testing.assert_allclose(checks.as_array(output), expected, atol=1e-5)


# The two extension points


@pytest.mark.parametrize("case", ["rotary", "bias_layer"])
def test_extensions_survive_saving(case, tmp_path):
    for check in (checks.config_round_trip, checks.file_round_trip):
        check(lambda **kwargs: make_case(case, **kwargs), (QUERY,), tmp_path)


def test_bias_tensor_survives_saving(tmp_path):
    layer = checks.built(lambda: make_case("bias_tensor"), (QUERY,))
    x = keras.Input((T, D))  # as long as the tensor
    model = keras.Model(x, layer(x))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(checks.as_array(loaded(QUERY)), checks.as_array(model(QUERY)))


@pytest.mark.parametrize("case", ["bias_layer", "bias_tensor"])
def test_position_bias_is_added_to_the_scores(case):
    layer = checks.built(lambda: make_case(case), (QUERY,))
    weights = [w for w in layer.weights if not w.path.endswith("slopes")]
    bias = layer.position_bias
    bias = checks.as_array(bias(query_length=T, key_length=T, start_index=0) if callable(bias) else bias)
    expected = reference.multi_head_attention([w.numpy() for w in weights], QUERY, QUERY, bias=bias)[0]
    np.testing.assert_allclose(checks.as_array(layer(QUERY)), expected, atol=1e-5)


def test_position_bias_layer_is_trained():
    checks.gradients(lambda **kwargs: make_case("bias_layer", **kwargs), (QUERY,), None)


@keras.saving.register_keras_serializable(package="tests")
class Scaling(keras.layers.Layer):
    """A rotary layer with a weight."""

    def build(self, heads_shape):
        self.scale = self.add_weight(shape=heads_shape[-1:], initializer="ones", name="scale")

    def call(self, heads, start_index=0):
        return heads * self.scale


def test_build_makes_the_weights_of_the_extensions():
    layer = make(rotary=Scaling(), position_bias=DistancePenalty())
    layer.build((None, None, D))
    names = {weight.path.rpartition("/")[-1] for weight in layer.weights}
    assert {"slopes", "scale"} <= names
    assert len(layer.weights) == 10


def test_masks_hold_beside_any_position_bias():
    layer = checks.built(make, (QUERY, VALUE))
    real = np.arange(S) < np.array([[7], [3], [0]])
    for bias in (-1e9, -np.inf, 1e9, -3e38):
        biased = make(position_bias=np.where(real, bias, 0)[:, None, None].astype("float32"))
        biased(QUERY, VALUE)
        biased.set_weights(layer.get_weights())
        output, weights = biased(QUERY, VALUE, value_mask=real, return_attention_scores=True)
        assert np.isfinite(checks.as_array(output)).all()
        weights = checks.as_array(weights)
        assert not weights[np.broadcast_to(~real[:, None, None], weights.shape)].any()
        total = weights.sum(axis=-1)
        expected = np.broadcast_to((real.any(axis=-1) & (bias > -np.inf))[:, None, None], total.shape)
        np.testing.assert_allclose(total, expected, atol=1e-6)


def test_a_subclass_with_another_attention_must_say_what_a_step_is():
    class Other(layers.MultiHeadAttention):
        def _compute_attention(self, query, key, value, *args, **kwargs):
            return query, None

    layer = Other(H, K)
    layer(QUERY)
    with pytest.raises(NotImplementedError, match="must override `attend`, too. Received: Other"):
        layer.step(ops.convert_to_tensor(QUERY[:, :1]), layer.initial_state(B, T), 0)


def test_rotary_turns_queries_and_keys_and_no_values():
    seen = []

    def rotary(heads, start_index):
        seen.append((tuple(heads.shape), start_index))
        return heads * 2.0

    layer = make(rotary=rotary, value_dim=V)
    layer(QUERY, VALUE)
    checks.randomized(layer)
    seen.clear()
    output = checks.as_array(layer(QUERY, VALUE))
    assert sorted(shape for shape, _ in seen) == [(B, H, T, K), (B, H, S, K)]
    weights = layer.get_weights()
    doubled = [2 * w if index < 4 else w for index, w in enumerate(weights)]
    expected = reference.multi_head_attention(doubled, QUERY, VALUE)[0]
    np.testing.assert_allclose(output, expected, atol=1e-5)


def test_rotary_scores_depend_on_the_distance_only():
    layer = checks.built(lambda: make_case("rotary"), (QUERY,))
    (query,) = tensors(QUERY)

    def scores(shift):
        projected = layer.project(query, start_index=shift)
        return layer.attend(query, projected, start_index=shift)

    first, shifted = (keras.tree.flatten(scores(shift)) for shift in (0, 7))
    for here, there in zip(first, shifted, strict=True):
        np.testing.assert_allclose(checks.as_array(here), checks.as_array(there), atol=1e-5)
    plain = checks.built(make, (QUERY,))
    plain.set_weights(layer.get_weights())
    moved = np.abs(checks.as_array(plain(QUERY)) - checks.as_array(layer(QUERY))).max()
    assert moved > 1e-3, "rotation has no effect"

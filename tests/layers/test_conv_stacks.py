"""Encoder and decoder of ConvS2S: the formulas, padding, attention in every layer, one position at a time."""

import numpy as np
import pytest
from keras import ops

from keras_transformer import layers
from tests import checks, reference

B, T, S, D, F, N = 3, 5, 7, 6, 4, 2
E, G, X = (
    checks.numbers(B, length, width, seed=i) for i, (length, width) in enumerate([(S, F), (T, F), (T, D)])
)
MASK = np.arange(S) < np.array([[7], [1], [4]])
KEY, VALUE = checks.numbers(B, S, F, seed=4), checks.numbers(B, S, F, seed=5)
SOURCE = VALUE / np.sqrt(0.5) - KEY  # e of the value (z + e) sqrt(0.5)


def encoder(**kwargs):
    return layers.ConvEncoder(N, D, **kwargs)


def decoder(**kwargs):
    return layers.ConvDecoder(N, D, **kwargs)


def decoder_layer(**kwargs):
    return layers.ConvDecoderLayer(3, **kwargs)


EACH = {
    "encoder": (encoder, (E, MASK)),
    "decoder": (decoder, (G, KEY, VALUE, MASK)),
    "decoder_layer": (decoder_layer, (X, G, KEY, VALUE, MASK)),
}


@pytest.mark.parametrize("name", EACH)
@pytest.mark.parametrize("check", checks.STANDARD)
def test_standard_checks(check, name, tmp_path):
    check(*EACH[name], tmp_path)


def arrays(layer):
    return [w.numpy().astype("float64") for w in layer.weights]


@pytest.mark.parametrize("mask", [MASK, MASK | True], ids=["some", "all"])
def test_encoder_equals_the_reference(mask):
    built = checks.shared(encoder, (E, mask))
    convolutions = [arrays(layer) for layer in built.layers]
    maps = arrays(built.input_dense), arrays(built.output_dense)
    expected = reference.conv_encoder(maps[0], convolutions, maps[1], E, mask)
    np.testing.assert_allclose(checks.as_array(built(E, mask))[mask], expected[mask], atol=1e-5)


def test_decoder_layer_equals_the_reference():
    built = checks.shared(decoder_layer, (X, G, KEY, VALUE, MASK))
    expected, _ = reference.conv_decoder_layer(arrays(built), X, G, KEY, SOURCE, MASK)
    np.testing.assert_allclose(checks.as_array(built(X, G, KEY, VALUE, MASK)), expected, atol=1e-5)


def test_decoder_is_its_layers_between_two_maps():
    built = checks.shared(decoder, (G, KEY, VALUE, MASK))
    hidden = built.input_dense(G)
    for layer in built.layers:
        hidden = layer(hidden, G, KEY, VALUE, MASK)
    expected = checks.as_array(built.output_dense(hidden))
    np.testing.assert_allclose(checks.as_array(built(G, KEY, VALUE, MASK)), expected, atol=1e-5)


def test_padding_is_zero_in_every_convolution():
    # Two layers: what the first one writes into the padding must not come back in the second.
    built = checks.shared(encoder, (E, MASK))
    checks.pad_invariance(lambda x, mask: built(x, hidden_mask=mask), E, MASK)
    alone = checks.as_array(built(E[2:, :4]))
    np.testing.assert_allclose(checks.as_array(built(E, MASK))[2:, :4], alone, atol=1e-5)


def test_an_encoder_sees_as_far_as_its_layers_reach():
    built = checks.shared(encoder, (E, MASK))
    distance = np.abs(np.arange(S) - np.arange(S)[:, None])
    np.testing.assert_array_equal(checks.influence(built, E), distance <= N)


def test_a_decoder_sees_the_past_as_far_as_its_layers_reach():
    built = checks.built(lambda: layers.ConvDecoder(N, D, kernel_size=2), (G, KEY, VALUE, MASK))
    tiled = [np.tile(x, (T, 1, 1)) for x in (KEY, VALUE)]
    distance = np.arange(T)[:, None] - np.arange(T)
    expected = (0 <= distance) & (distance <= N)
    np.testing.assert_array_equal(checks.influence(lambda x: built(x, *tiled), G), expected)


def test_masked_source_does_not_matter():
    built = checks.shared(decoder, (G, KEY, VALUE, MASK))
    other = [np.where(MASK[..., None], x, 99.0) for x in (KEY, VALUE)]
    longer = [np.pad(x, [(0, 0), (0, 3), (0, 0)]) for x in (KEY, VALUE)]
    expected = checks.as_array(built(G, KEY, VALUE, MASK))
    np.testing.assert_allclose(checks.as_array(built(G, *other, MASK)), expected, atol=1e-5)
    longer_mask = np.pad(MASK, [(0, 0), (0, 3)])
    np.testing.assert_allclose(checks.as_array(built(G, *longer, longer_mask)), expected, atol=1e-5)


def test_without_a_source_nothing_is_read():
    built = checks.shared(decoder, (G, KEY, VALUE, MASK))
    first, second = (checks.as_array(built(G, KEY + x, VALUE + x, MASK & False)) for x in (0, 1))
    np.testing.assert_array_equal(first, second)
    assert np.isfinite(first).all()


def test_step_by_step_equals_one_pass():
    built = checks.shared(decoder, (G, KEY, VALUE, MASK))
    state = built.initial_state(*map(ops.convert_to_tensor, (KEY, VALUE, MASK)))
    steps = [G[:, t : t + 1] for t in range(T)]
    expected = built(G, KEY, VALUE, MASK)
    checks.cached_equals_uncached(expected, lambda x, state, index: built.step(x, state), state, steps)


def test_a_step_tells_what_it_attends_to():
    built = checks.shared(decoder, (G, KEY, VALUE, MASK))
    state = built.initial_state(*map(ops.convert_to_tensor, (KEY, VALUE, MASK)))
    hidden, histories = checks.as_array(built.input_dense(G)), []
    for layer in built.layers:
        hidden, weights = reference.conv_decoder_layer(arrays(layer), hidden, G, KEY, SOURCE, MASK)
        histories.append(weights)
    for t in range(T):
        _, state = built.step(ops.convert_to_tensor(G[:, t : t + 1]), state)
        for weights, expected in zip(state["attention"], histories, strict=True):
            assert tuple(weights.shape) == (B, 1, S)
            np.testing.assert_allclose(checks.as_array(weights)[:, 0], expected[:, t], atol=1e-5)


@pytest.mark.parametrize("name", ["num_layers", "hidden_dim", "kernel_size"])
@pytest.mark.parametrize("make", [layers.ConvEncoder, layers.ConvDecoder])
def test_sizes_are_positive(make, name):
    with pytest.raises(ValueError, match=f"`{name}` must be a positive.*{name}=0"):
        make(**{"num_layers": 2, "hidden_dim": 6, name: 0})

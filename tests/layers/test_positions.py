"""Positions: the sinusoid against its formula, learned vectors, and positions counted from an offset."""

import keras
import numpy as np
import pytest

from keras_transformer import layers
from tests import checks, positions_reference, reference

B, T, D = 2, 5, 7
X = checks.numbers(B, T, D)


def learned(**kwargs):
    return layers.LearnedPositionalEncoding(max_length=11, **kwargs)


def sinusoidal(**kwargs):
    return layers.PositionalEncoding(**kwargs)


def halves(**kwargs):
    return layers.PositionalEncoding(layout="halves", endpoint=True, first_position=2, **kwargs)


@pytest.mark.parametrize("make", [sinusoidal, halves, learned])
@pytest.mark.parametrize("check", [c for c in checks.STANDARD if c is not checks.gradients])
def test_standard_checks(check, make, tmp_path):
    check(make, (X,), tmp_path)


def test_every_used_position_has_a_gradient():
    checks.gradients(learned, (X,), None)


def test_first_position_is_zero_one_zero_one():
    encoded = checks.as_array(sinusoidal()(np.zeros((1, 1, 6), "float32")))
    np.testing.assert_array_equal(encoded, [[[0, 1, 0, 1, 0, 1]]])


def test_first_two_channels_have_a_wavelength_of_two_pi():
    encoded = checks.as_array(sinusoidal()(np.zeros((1, 4, 6), "float32")))[0]
    np.testing.assert_allclose(encoded[:, 0], np.sin([0, 1, 2, 3]), atol=1e-6)
    np.testing.assert_allclose(encoded[:, 1], np.cos([0, 1, 2, 3]), atol=1e-6)


@pytest.mark.parametrize("width", [8, 7, 1])
@pytest.mark.parametrize("max_wavelength", [10_000, 50])
def test_sinusoid_equals_the_formula(width, max_wavelength):
    layer = layers.PositionalEncoding(max_wavelength=max_wavelength)
    x = checks.numbers(2, 101, width)
    expected = x + reference.sinusoid(range(101), width, max_wavelength)
    np.testing.assert_allclose(checks.as_array(layer(x)), expected, atol=2e-5)


@pytest.mark.parametrize("width", [8, 7, 2, 1])
@pytest.mark.parametrize("endpoint", [False, True])
@pytest.mark.parametrize("first_position", [0, 2])
def test_sinusoid_in_halves_equals_the_formula(width, endpoint, first_position):
    layer = layers.PositionalEncoding(layout="halves", endpoint=endpoint, first_position=first_position)
    positions = np.arange(101) + first_position
    expected = positions_reference.sinusoid(positions, width, endpoint=endpoint)
    zeros = np.zeros((1, 101, width), "float32")
    np.testing.assert_allclose(checks.as_array(layer(zeros))[0], expected, atol=2e-5)


def test_halves_hold_the_numbers_of_the_paper_in_another_order():
    zeros = np.zeros((1, 11, 8), "float32")
    interleaved = checks.as_array(sinusoidal()(zeros))
    found = checks.as_array(layers.PositionalEncoding(layout="halves")(zeros))
    np.testing.assert_array_equal(found[..., :4], interleaved[..., ::2])
    np.testing.assert_array_equal(found[..., 4:], interleaved[..., 1::2])


def test_the_last_wavelength_is_the_largest_with_the_endpoint():
    # Positions 0 and 10,000: one radian times the largest wavelength.
    layer = layers.PositionalEncoding(layout="halves", endpoint=True)
    found = checks.as_array(layer(np.zeros((1, 1, 8), "float32"), start_index=10_000))[0, 0]
    np.testing.assert_allclose(found[[3, 7]], [np.sin(1), np.cos(1)], atol=1e-6)


# The grid


GRID = checks.numbers(B, 3, 5, 7)


def grid(**kwargs):
    return layers.GridPositionalEncoding(**kwargs)


@pytest.mark.parametrize("check", [c for c in checks.STANDARD if c is not checks.gradients])
def test_standard_checks_of_a_grid(check, tmp_path):
    check(grid, (GRID,), tmp_path)


@pytest.mark.parametrize("shape", [(3, 5, 8), (5, 3, 7), (1, 1, 2), (2, 2, 1)])
def test_grid_equals_the_formula(shape):
    x = checks.numbers(B, *shape)
    np.testing.assert_allclose(checks.as_array(grid()(x)), x + reference.grid_sinusoid(*shape), atol=1e-5)


def test_grid_of_four_channels_by_hand():
    found = checks.as_array(grid()(np.zeros((1, 2, 2, 4), "float32")))[0]
    sin, cos = np.sin(1), np.cos(1)
    expected = [[[0, 1, 0, 1], [0, 1, sin, cos]], [[sin, cos, 0, 1], [sin, cos, sin, cos]]]
    np.testing.assert_allclose(found, expected, atol=1e-6)


# Positions in a row


def test_sinusoid_has_no_weights():
    assert checks.shared(sinusoidal, (X,)).weights == []


@pytest.mark.parametrize("make", [sinusoidal, learned])
def test_start_index_shifts_the_positions(make):
    layer = checks.shared(make, (X,))
    zeros = np.zeros((1, 11, D), "float32")
    whole = checks.as_array(layer(zeros))
    shifted = checks.as_array(layer(zeros[:, :4], start_index=7))
    np.testing.assert_allclose(shifted, whole[:, 7:], atol=1e-6)


@pytest.mark.parametrize("make", [sinusoidal, halves, learned])
def test_rows_may_start_at_positions_of_their_own(make):
    layer = checks.shared(make, (X,))
    both = checks.as_array(layer(X[:, :3], start_index=np.array([5, 2], "int32")))
    for row, start in enumerate((5, 2)):
        alone = checks.as_array(layer(X[row : row + 1, :3], start_index=start))
        np.testing.assert_allclose(both[row : row + 1], alone, atol=1e-6)


@pytest.mark.parametrize("make", [sinusoidal, halves, learned])
def test_one_by_one_equals_all_at_once(make):
    layer = checks.shared(make, (X,))
    rows = [X[:, t : t + 1] for t in range(T)]

    def step(x, state, index):
        return layer(x, start_index=index), state

    checks.cached_equals_uncached(layer(X), step, (), rows)


def test_half_precision_still_tells_far_positions_apart():
    # float16 knows no odd integers above 2,048: positions must be turned into angles in float32.
    zeros = np.zeros((1, 3, 8), "float32")
    encoded = checks.as_array(sinusoidal(dtype="mixed_float16")(zeros, start_index=3001))
    expected = reference.sinusoid([3001, 3002, 3003], 8)
    np.testing.assert_allclose(encoded[0], expected, atol=1e-2)


def test_learned_positions_are_added():
    layer = checks.shared(learned, (X,))
    (vectors,) = layer.get_weights()
    assert vectors.shape == (11, D)
    np.testing.assert_allclose(checks.as_array(layer(X)), X + vectors[:T], atol=1e-6)


def test_more_tokens_than_learned_positions_are_refused():
    layer = layers.LearnedPositionalEncoding(max_length=3)
    layer(X[:, :3])
    with pytest.raises(ValueError, match="3 positions"):
        layer(X[:, :4])
    with pytest.raises(ValueError, match="3 positions"):
        layer(X[:, :2], start_index=2)


@pytest.mark.parametrize("max_length", [0, -1, 2.5])
def test_max_length_is_a_positive_integer(max_length):
    with pytest.raises(ValueError, match=f"`max_length` must be.*max_length={max_length}"):
        layers.LearnedPositionalEncoding(max_length)


def test_a_layout_or_first_position_that_does_not_exist():
    with pytest.raises(ValueError, match="`layout` must be one of .*interleaved.*halves.*layout='thirds'"):
        layers.PositionalEncoding(layout="thirds")
    with pytest.raises(
        ValueError, match="`first_position` must be an integer, 0 or above.*first_position=-1"
    ):
        layers.PositionalEncoding(first_position=-1)


def test_max_wavelength_is_positive():
    with pytest.raises(ValueError, match="`max_wavelength` must be a positive number.*max_wavelength=0"):
        layers.PositionalEncoding(max_wavelength=0)


@pytest.mark.parametrize("make", [sinusoidal, learned])
def test_implicit_mask_goes_on(make):
    ids = keras.Input((None,), dtype="int32")
    embedded = keras.layers.Embedding(13, D, mask_zero=True)(ids)
    model = keras.Model(ids, keras.layers.GlobalAveragePooling1D()(make()(embedded)))
    short = np.array([[3, 5, 0, 0]], "int32")
    averaged = checks.as_array(model(short))
    np.testing.assert_allclose(averaged, checks.as_array(model(short[:, :2])), atol=1e-6)


@pytest.mark.parametrize("make", [layers.PositionalEncoding, lambda: layers.LearnedPositionalEncoding(8)])
def test_a_position_before_the_first_is_refused(make):
    x = np.zeros((2, 3, 4), "float32")
    several = ([2, -3], [1, 2, 3], [[1]])  # one is negative; of another number of rows; of another rank
    for start in (-2, keras.ops.convert_to_tensor(-1), np.int64(-3), 1.0, *map(np.array, several)):
        rule = "`start_index` must be an integer, 0 or above, or one for each row. Received: start"
        with pytest.raises(ValueError, match=rule):
            make()(x, start_index=start)


def test_a_position_that_was_not_learned_is_refused_however_it_is_given():
    x, layer = np.zeros((1, 3, 4), "float32"), layers.LearnedPositionalEncoding(8)
    for start in (6, np.int64(6), keras.ops.convert_to_tensor(6)):
        with pytest.raises(ValueError, match="Only 8 positions were learned.* 3 tokens from position 6 on"):
            layer(x, start_index=start)
    assert layer(x, start_index=keras.ops.convert_to_tensor(5)).shape == (1, 3, 4)

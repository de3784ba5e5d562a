"""Rotary positions: against the formula in complex numbers, and what the rotation leaves as it is."""

import numpy as np
import pytest

from keras_transformer import layers
from tests import checks, positions_reference

B, H, T, K = 2, 3, 5, 6
HEADS = checks.numbers(B, H, T, K)
both = pytest.mark.parametrize("layout", ["interleaved", "halves"])


def rotated(heads, start_index=0, **kwargs):
    return checks.as_array(layers.RotaryEmbedding(**kwargs)(heads, start_index=start_index))


@pytest.mark.parametrize("check", [c for c in checks.STANDARD if c is not checks.gradients])
def test_standard_checks(check, tmp_path):
    check(lambda **kwargs: layers.RotaryEmbedding(layout="halves", **kwargs), (HEADS,), tmp_path)


@both
@pytest.mark.parametrize("max_wavelength", [10_000, 50])
def test_rotation_equals_the_formula(layout, max_wavelength):
    found = rotated(HEADS, start_index=7, layout=layout, max_wavelength=max_wavelength)
    expected = positions_reference.rotary(HEADS, np.arange(T) + 7, layout, max_wavelength)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_two_channels_by_hand():
    # The second position, a quarter of a circle per radian... of one: (1, 0) becomes (cos 1, sin 1).
    found = rotated(np.array([[[[1.0, 0.0], [1.0, 0.0]]]], "float32"))
    np.testing.assert_allclose(found[0, 0], [[1, 0], [np.cos(1), np.sin(1)]], atol=1e-6)


@both
def test_products_depend_on_the_distance_only(layout):
    def scores(shift):
        query, key = (rotated(x, start_index=shift, layout=layout) for x in (HEADS, HEADS[::-1]))
        return np.einsum("bhtk,bhsk->bhts", query, key)

    np.testing.assert_allclose(scores(0), scores(1_000), atol=1e-3)
    assert np.abs(scores(0) - np.einsum("bhtk,bhsk->bhts", HEADS, HEADS[::-1])).max() > 0.1


@both
def test_rotation_keeps_the_norm(layout):
    found = rotated(HEADS, start_index=123, layout=layout)
    np.testing.assert_allclose(np.linalg.norm(found, axis=-1), np.linalg.norm(HEADS, axis=-1), rtol=1e-5)


def test_halves_are_the_interleaved_channels_in_another_order():
    order = [0, 2, 4, 1, 3, 5]
    found = rotated(HEADS[..., order], layout="halves")
    np.testing.assert_allclose(found, rotated(HEADS)[..., order], atol=1e-6)


@both
def test_rows_may_start_at_positions_of_their_own(layout):
    found = rotated(HEADS, start_index=np.array([5, 2], "int32"), layout=layout)
    for row, start in enumerate((5, 2)):
        alone = rotated(HEADS[row : row + 1], start_index=start, layout=layout)
        np.testing.assert_allclose(found[row : row + 1], alone, atol=1e-6)


def test_half_precision_still_tells_far_positions_apart():
    # bfloat16 knows no odd integers above 256: positions must be turned into angles in float32.
    found = rotated(HEADS, start_index=3_001, dtype="mixed_bfloat16")
    expected = positions_reference.rotary(HEADS, np.arange(T) + 3_001)
    np.testing.assert_allclose(found, expected, atol=5e-2)


def test_a_width_that_is_odd_is_refused():
    message = "the width of a head must be even. Received: key_dim=3."
    with pytest.raises(ValueError, match=message):
        layers.RotaryEmbedding()(HEADS[..., :3])
    with pytest.raises(ValueError, match=message):
        layers.MultiHeadAttention(2, 3, rotary=layers.RotaryEmbedding())(checks.numbers(B, T, 7))


def test_what_is_no_layout_or_wavelength_or_position():
    with pytest.raises(ValueError, match="`layout` must be one of .*interleaved.*halves.*layout='thirds'"):
        layers.RotaryEmbedding(layout="thirds")
    with pytest.raises(ValueError, match="`max_wavelength` must be a positive number.*max_wavelength=-1"):
        layers.RotaryEmbedding(max_wavelength=-1)
    with pytest.raises(ValueError, match="`start_index` must be an integer.*start_index=-1"):
        rotated(HEADS, start_index=-1)

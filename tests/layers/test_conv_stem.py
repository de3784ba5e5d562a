"""Patches by convolutions: the formula, shapes, and what is no size of a patch."""

import numpy as np
import pytest

from keras_transformer import layers
from tests import checks

B, H, W, C, D = 3, 8, 12, 2, 22
X = checks.numbers(B, H, W, C)


def stem(**kwargs):
    return layers.ConvStem(4, D, **kwargs)


def test_there_is_a_vector_for_each_patch_and_channels_double():
    layer = checks.built(stem, (X,))
    assert layer(X).shape == (B, H // 4, W // 4, D) == layer.compute_output_shape(X.shape)
    kernels = [weight for weight in layer.weights if weight.path.endswith("kernel")]
    assert [kernel.shape[-1] for kernel in kernels] == [5, 5, 11, 11, 22, 22, 22]


def test_a_vector_sees_its_patch_and_the_next_ones():
    image = checks.numbers(1, 8, 20, C)
    layer = checks.built(stem, (image,))
    changed = image.copy()
    changed[:, :4, :4] += 1.0
    moved = np.abs(checks.as_array(layer(changed)) - checks.as_array(layer(image)))[0].max(axis=-1) > 1e-5
    assert moved[:, :2].all() and not moved[:, 3:].any()


def test_bytes_are_pixels_from_0_to_1():
    layer = checks.built(stem, (X,))
    image = np.random.default_rng(0).integers(256, size=X.shape).astype("uint8")
    np.testing.assert_allclose(
        checks.as_array(layer(image)), checks.as_array(layer(image.astype("float32") / 255)), atol=1e-5
    )


@pytest.mark.parametrize(
    ("size", "rule"), [(0, "a positive integer"), (2.0, "a positive integer"), (6, "a power of 2")]
)
def test_a_patch_can_be_halved(size, rule):
    with pytest.raises(ValueError, match=f"`patch_size` must be {rule}. Received: patch_size={size}"):
        layers.ConvStem(size, D)

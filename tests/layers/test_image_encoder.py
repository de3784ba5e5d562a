"""Residual blocks and the encoder of images: the formula, shapes, and the norms' moving statistics."""

import numpy as np
import pytest
from keras import ops

from keras_transformer import layers
from tests import checks

B, H, W, C = 3, 5, 7, 2
X = checks.numbers(B, H, W, C)


def wider(**kwargs):
    return layers.ResidualBlock(3, **kwargs)


def equal(**kwargs):
    return layers.ResidualBlock(C, **kwargs)


def encoder(**kwargs):
    return layers.ImageEncoder((3, 5, 4), **kwargs)


@pytest.mark.parametrize("make", [wider, equal, encoder])
@pytest.mark.parametrize("check", checks.STANDARD)
def test_standard_checks(check, make, tmp_path):
    check(make, (X,), tmp_path)


def convolved(x, kernel):
    """Cross-correlation with zeros outside, float64: x (B, H, W, C), kernel (h, w, C, F)."""
    x, kernel = x.astype("float64"), kernel.astype("float64")
    size = len(kernel)
    around = np.pad(x, [(0, 0), (size // 2, size // 2), (size // 2, size // 2), (0, 0)])
    return sum(
        around[:, i : i + x.shape[1], j : j + x.shape[2]] @ kernel[i, j]
        for i in range(size)
        for j in range(size)
    )


@pytest.mark.parametrize("make", [wider, equal])
def test_block_equals_the_formula(make):
    layer = checks.shared(make, (X,))
    weights = {tuple(weight.path.split("/")[-2:]): weight.numpy() for weight in layer.weights}

    def normed(name, x):
        x = convolved(x, weights[name, "kernel"])
        gamma, beta, mean, variance = (
            weights[f"{name}_norm", part] for part in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        return gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta

    hidden = normed("second", np.maximum(0, normed("first", X)))
    shortcut = X if make is equal else normed("shortcut", X)
    np.testing.assert_allclose(checks.as_array(layer(X)), np.maximum(0, hidden + shortcut), atol=1e-4)


@pytest.mark.parametrize("xla", [False, True])
@pytest.mark.parametrize("policy", checks.POLICIES)
def test_moving_statistics_follow_the_batches_in_training_only(policy, xla):
    layer = layers.ResidualBlock(3, dtype=policy)
    layer.build(X.shape)
    norm = layer.first[1]
    expected = convolved(X, layer.first[0].kernel.numpy())
    layer(X)
    np.testing.assert_array_equal(norm.moving_mean.numpy(), 0)
    train = layer if _is_jax() else checks.compiled(lambda x: layer(x, training=True), xla)
    train(ops.convert_to_tensor(X), **({"training": True} if _is_jax() else {}))
    tolerance = 1e-5 if policy == "float32" else 2e-3
    mean = 0.1 * expected.mean(axis=(0, 1, 2))
    np.testing.assert_allclose(norm.moving_mean.numpy(), mean, atol=tolerance)
    variance = 0.9 + 0.1 * expected.var(axis=(0, 1, 2))
    np.testing.assert_allclose(norm.moving_variance.numpy(), variance, rtol=10 * tolerance)
    assert norm.moving_mean.dtype == "float32"


def _is_jax():
    import keras

    return keras.backend.backend() == "jax"  # its jit keeps no assignments: `fit` hands them on


def test_height_and_width_are_halved_between_blocks():
    layer = encoder()
    grid = layer(X)
    assert tuple(grid.shape) == (B, 2, 2, 4) == layer.compute_output_shape(X.shape)
    assert layer.grid_shape(5, 7) == (2, 2) and layer.grid_shape(28, None) == (7, None)


@pytest.mark.parametrize("policy", checks.POLICIES)
def test_bytes_are_read_as_fractions_of_255(policy):
    layer = checks.shared(encoder, (X,), dtype=policy)
    pixels = np.random.default_rng(0).integers(0, 256, X.shape).astype("uint8")
    fractions = (pixels / 255).astype("float32")
    tolerance = 1e-5 if policy == "float32" else 3e-2
    actual, expected = checks.as_array(layer(pixels)), checks.as_array(layer(fractions))
    np.testing.assert_allclose(actual, expected, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("filters, places", [((3,), [3]), ((3, 5), [5]), ((3, 5, 4), [5, 4])])
def test_attention_stands_behind_each_block_but_the_first_or_the_only_one(filters, places):
    layer = layers.ImageEncoder(filters)
    layer.build(X.shape)
    kernels = [attention.attention.query_dense.kernel for attention in layer.attentions]
    assert [kernel.shape[0] for kernel in kernels] == places
    assert not layers.ImageEncoder(filters, attention=False).attentions


@pytest.mark.parametrize("index", [0, 1])
def test_each_attention_changes_the_grid(index):
    layer = checks.built(encoder, (X,))
    before = checks.as_array(layer(X))
    layer.attentions[index].gamma.assign(1.0)
    assert np.abs(checks.as_array(layer(X)) - before).max() > 1e-3


def test_rows_of_a_batch_do_not_meet():
    checks.batch_invariance(checks.shared(encoder, (X,)), X)


def test_bad_sizes_are_refused():
    with pytest.raises(ValueError, match="`filters` must be a positive integer.*0"):
        layers.ImageEncoder((3, 0))
    with pytest.raises(ValueError, match=r"at least one block.*\(\)"):
        layers.ImageEncoder(())

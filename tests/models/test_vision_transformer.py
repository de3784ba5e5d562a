"""The Vision Transformer: standard checks, size, roll-out, and images that do not divide into patches."""

import itertools

import keras
import numpy as np
import pytest

from keras_transformer import models
from keras_transformer.models.vision_transformer import attention_rollout
from tests import checks

B, SHAPE, GRID = 3, (8, 12, 2), (2, 3)
IMAGES = np.random.default_rng(0).uniform(size=(B, *SHAPE)).astype("float32")


def small(**kwargs):
    options = {"num_layers": 2, "hidden_dim": 12, "num_heads": 3, "intermediate_dim": 5, **kwargs}
    return models.VisionTransformer(4, SHAPE, 4, **options)


# As part of a layer or another model, all that it is made of passes the one that is `slow`.
@pytest.mark.parametrize(
    "check",
    [
        pytest.param(check, marks=[pytest.mark.slow] if check is checks.eager_equals_graph_equals_xla else [])
        for check in checks.STANDARD
    ],
)
def test_standard_checks(check, tmp_path):
    check(lambda **kwargs: small(num_layers=1, **kwargs), (IMAGES,), tmp_path)


def test_rows_of_a_batch_do_not_meet():
    checks.batch_invariance(checks.built(small, (IMAGES,)), IMAGES)


def test_number_of_parameters():
    """That of training/configs/fashion_mnist_vit.yaml."""
    model = models.VisionTransformer(10, (28, 28, 1), 4, 3, 64, 4, 128)
    model.build()
    channels = [1, 16, 16, 32, 32, 64, 64]
    stem = sum(9 * into * out + 4 * out for into, out in itertools.pairwise(channels)) + 64 * 64 + 64
    attention, network, norm = 4 * (64 * 64 + 64), 2 * 64 * 128 + 64 + 128, 2 * 64
    encoder = 3 * (attention + network + 2 * norm) + norm
    assert model.count_params() == stem + 49 * 64 + encoder + 64 * 10 + 10 == 180_954 < 300_000


@pytest.mark.parametrize("positions", [None, "none"])
def test_where_a_patch_stands_counts_unless_told_otherwise(positions):
    model = checks.built(lambda: small(positions=positions), (IMAGES,))
    hidden = np.random.default_rng(1).normal(size=(1, 6, 12)).astype("float32")

    def pooled(patches):
        hidden = patches if model.positions is None else model.positions(patches)
        return checks.as_array(model.encoder(hidden)).mean(axis=1)

    is_same = np.allclose(pooled(hidden[:, ::-1]), pooled(hidden), atol=1e-5)
    assert is_same == (positions == "none")


def test_rollout_is_the_product_over_the_layers():
    weights = np.random.default_rng(2).uniform(size=(B, 4, 3, 5, 5))
    weights /= weights.sum(axis=-1, keepdims=True)
    found = checks.as_array(attention_rollout(weights.astype("float32")))
    for rolled, layers in zip(found, weights, strict=True):
        expected = np.eye(5)
        for heads in layers:
            expected = (0.5 * heads.mean(axis=0) + 0.5 * np.eye(5)) @ expected
        np.testing.assert_allclose(rolled, expected, atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=-1), 1.0, atol=1e-5)


def test_an_image_is_weighed_patch_by_patch():
    model = checks.built(small, (IMAGES,))
    attention = checks.as_array(model.attention(IMAGES))
    assert attention.shape == (B, 2, 3, 6, 6)
    weights = checks.as_array(model.rollout(IMAGES))
    assert weights.shape == (B, *GRID) == (B, *model.grid_shape)
    np.testing.assert_allclose(weights.sum(axis=(1, 2)), 1.0, atol=1e-5)
    rolled = checks.as_array(attention_rollout(attention))
    np.testing.assert_allclose(weights.reshape(B, 6), rolled.mean(axis=1), atol=1e-6)


def test_a_model_that_was_never_called_can_be_looked_into():
    assert small().rollout(IMAGES[:1]).shape == (1, *GRID)


@pytest.mark.slow
def test_fit_tells_rows_from_columns():
    rng = np.random.default_rng(1)
    images, labels = np.zeros((120, 8, 8, 1), "float32"), rng.integers(0, 2, 120)
    for image, label, place in zip(images, labels, rng.integers(0, 8, 120), strict=True):
        image[(slice(None), place) if label else (place, slice(None))] = 1.0
    images += rng.normal(0, 0.1, images.shape).astype("float32")
    keras.utils.set_random_seed(0)
    model = models.VisionTransformer(2, (8, 8, 1), 2, 1, 8, 2, 16, dropout=0.0)
    model.compile(
        keras.optimizers.Adam(0.01),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,
    )
    model.fit(images[:90], labels[:90], batch_size=15, epochs=10, verbose=0)
    assert model.evaluate(images[90:], labels[90:], verbose=0, return_dict=True)["accuracy"] > 0.9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1, SHAPE, 4), "`num_classes` must be an integer above 1. Received: num_classes=1"),
        ((4, SHAPE, 6), "`patch_size` must be a power of 2. Received: patch_size=6"),
        ((4, (8, 12), 4), r"must be a height, a width and a number of channels. Received: .*\(8, 12\)"),
        ((4, (8, 12, 0), 4), r"must be a height, .* Received: image_shape=\(8, 12, 0\)"),
        ((4, (9, 12, 2), 4), r"multiples of `patch_size`. Received: image_shape=\[9, 12, 2\], patch_size=4"),
        ((4, (2, 2, 1), 4), r"multiples of `patch_size`. Received: image_shape=\[2, 2, 1\], patch_size=4"),
    ],
)
def test_what_does_not_divide_into_patches_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        models.VisionTransformer(*arguments, 1, 6, 2, 5)


@pytest.mark.parametrize("shape", [(4, 12, 2), (8, 12, 3), (8, 12)])
def test_images_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"Images must have the model's shape \(8, 12, 2\). Received: shape"):
        small()(np.zeros((1, *shape), "float32"))

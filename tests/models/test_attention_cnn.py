"""The image classifier: standard checks, size, and that it learns where things are."""

import keras
import numpy as np
import pytest

from keras_transformer import models
from tests import checks

B, H, W, C = 3, 5, 7, 2
IMAGES = np.random.default_rng(0).uniform(size=(B, H, W, C)).astype("float32")


def small(**kwargs):
    return models.AttentionCNN(**{"num_classes": 4, "filters": (3, 5), **kwargs})


@pytest.mark.parametrize("check", checks.STANDARD)
@pytest.mark.parametrize("attention", [True, False])
def test_standard_checks(check, attention, tmp_path):
    check(lambda **kwargs: small(attention=attention, **kwargs), (IMAGES,), tmp_path)


def test_rows_of_a_batch_do_not_meet():
    checks.batch_invariance(checks.shared(small, (IMAGES,)), IMAGES)


def count(filters, num_classes, attention, channels=1):
    total = 0
    for into, out in zip((channels, *filters), filters, strict=False):
        shortcut = into * out + 4 * out if into != out else 0
        total += 9 * into * out + 9 * out * out + 2 * 4 * out + shortcut
    for width in filters[1:] or filters if attention else ():
        total += 4 * width * max(1, width // 8) + 1
    return total + filters[-1] * num_classes + num_classes


@pytest.mark.parametrize("attention", [True, False])
def test_number_of_parameters(attention):
    model = models.AttentionCNN(10, attention=attention)
    model.build((None, 28, 28, 1))
    assert model.count_params() == count((32, 64, 64), 10, attention) < 150_000
    assert model.count_params() == (147_020 if attention else 142_922)  # as the docstring says


def test_dropout_acts_in_training_only():
    model = checks.built(lambda: small(dropout=0.5), (IMAGES,))
    plain = checks.built(lambda: small(dropout=0.0), (IMAGES,))
    np.testing.assert_allclose(checks.as_array(model(IMAGES)), checks.as_array(plain(IMAGES)), atol=1e-6)
    logits = checks.as_array(model(IMAGES, training=True))
    assert np.abs(logits - checks.as_array(plain(IMAGES, training=True))).max() > 1e-3


@pytest.mark.slow
def test_fit_tells_rows_from_columns():
    rng = np.random.default_rng(1)
    images, labels = np.zeros((120, 6, 6, 1), "float32"), rng.integers(0, 2, 120)
    for image, label, place in zip(images, labels, rng.integers(0, 6, 120), strict=True):
        image[(slice(None), place) if label else (place, slice(None))] = 1.0
    images += rng.normal(0, 0.1, images.shape).astype("float32")
    model = models.AttentionCNN(2, filters=(4, 8), dropout=0.0)
    model.compile(
        keras.optimizers.Adam(0.01),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,
    )
    model.fit(images[:90], labels[:90], batch_size=15, epochs=8, verbose=0)
    # On images it has not seen, with the moving statistics.
    assert model.evaluate(images[90:], labels[90:], verbose=0, return_dict=True)["accuracy"] > 0.9
    (attention,) = model.encoder.attentions
    assert abs(float(checks.as_array(attention.gamma.value))) > 1e-3


def test_bad_sizes_are_refused():
    with pytest.raises(ValueError, match="`num_classes` must be an integer above 1.*num_classes=1"):
        small(num_classes=1)
    with pytest.raises(ValueError, match="at least one block"):
        small(filters=())

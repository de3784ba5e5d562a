"""Images to classes: names, probabilities, neighbours, run folders."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_transformer import models
from keras_transformer.pipelines.image_classifier import ImageClassifier

SHAPE = (9, 7, 3)
CLASSES = ["sandal", "été", "ankle boot"]
IMAGES = np.random.default_rng(0).integers(256, size=(11, *SHAPE)).astype(np.uint8)
ENCODED = [tf.io.encode_png(image).numpy() for image in IMAGES]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """What `training.train` leaves, as far as it is read here."""
    folder = tmp_path_factory.mktemp("runs")
    keras.utils.set_random_seed(3)
    model = models.AttentionCNN(len(CLASSES), filters=(3, 5))
    # What all images have in common is taken out: the class depends on the image.
    logits = model(IMAGES).numpy()
    model.classifier.bias.assign(-logits.mean(axis=0))
    model.save(folder / "model.keras")
    (folder / "images.json").write_text(json.dumps({"image_shape": SHAPE, "classes": CLASSES}))
    return folder


@pytest.fixture(scope="module")
def classifier(run):
    return ImageClassifier.from_run(run)


def test_the_likeliest_class_is_named(classifier):
    names, probabilities = classifier(tf.constant(ENCODED))
    assert names.dtype == tf.string and probabilities.dtype == tf.float32
    logits = classifier.model(IMAGES, training=False).numpy().astype("float64")
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    expected = exponentials / exponentials.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(classifier.probabilities(tf.constant(ENCODED)), expected, atol=1e-5)
    np.testing.assert_allclose(probabilities, expected.max(axis=1), atol=1e-5)
    found = [name.decode("utf-8") for name in names.numpy()]
    assert found == [CLASSES[place] for place in logits.argmax(axis=1)]
    assert len(set(found)) > 1


def test_neighbours_in_the_batch_change_nothing(classifier):
    together = classifier.probabilities(tf.constant(ENCODED))
    for row, encoded in enumerate(ENCODED):
        np.testing.assert_allclose(
            classifier.probabilities(tf.constant([encoded]))[0], together[row], atol=1e-5
        )


def test_one_image_belongs_into_a_batch_and_a_classifier_says_what_it_is(classifier):
    with pytest.raises(ValueError, match=r"must be a batch of strings, \(B,\). Received: shape \(\)"):
        classifier(ENCODED[0])
    text = repr(classifier)
    assert text.startswith("ImageClassifier(AttentionCNN, ") and f"3 classes, images {SHAPE}" in text


def test_bytes_that_are_no_image_are_refused(classifier):
    with pytest.raises(tf.errors.InvalidArgumentError, match="[Ii]mage"):
        tf.function(classifier.probabilities)(tf.constant([ENCODED[0], b"no picture"]))


def test_each_class_must_have_a_name(classifier):
    with pytest.raises(ValueError, match="each of the model's 3. Received: 2 names"):
        ImageClassifier(classifier.model, CLASSES[:2], SHAPE)


def test_a_folder_without_classes_or_without_a_model_is_refused(tmp_path):
    (tmp_path / "config.yaml").write_text("model: {kind: attention_cnn}")
    for facts in (None, {"image_shape": SHAPE}):  # a captioner's
        if facts:
            (tmp_path / "images.json").write_text(json.dumps(facts))
        with pytest.raises(ValueError, match=f"Received: {tmp_path}, (with neither|which does not)"):
            ImageClassifier.from_run(tmp_path)
    (tmp_path / "images.json").write_text(json.dumps({"image_shape": SHAPE, "classes": CLASSES}))
    with pytest.raises(ValueError, match=f"holds model.keras .* Received: {tmp_path}, without model.keras"):
        ImageClassifier.from_run(tmp_path)


def test_a_vision_transformer_says_which_patches_counted(classifier):
    model = models.VisionTransformer(len(CLASSES), (8, 12, 3), 4, 1, 4, 2, 5)
    patches = ImageClassifier(model, CLASSES, (8, 12, 3))
    images = np.random.default_rng(1).integers(256, size=(2, 8, 12, 3)).astype(np.uint8)
    weights = patches.look(images)
    assert weights.shape == (2, 2, 3) and weights.dtype == np.float32
    np.testing.assert_allclose(weights.sum(axis=(1, 2)), 1.0, atol=1e-5)
    with pytest.raises(ValueError, match=r"must be pixels, \(N, 8, 12, 3\). Received: shape \(8, 12, 3\)"):
        patches.look(images[0])
    with pytest.raises(ValueError, match="`look` is for a `VisionTransformer`.*the class AttentionCNN"):
        classifier.look(IMAGES)

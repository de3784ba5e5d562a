"""Texts to classes: names, probabilities, neighbours, run folders."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_transformer import layers, models, tokenizers
from keras_transformer.pipelines.text_classifier import TextClassifier

TEXTS = ["to be", "", "or not to be, that is the question", "été"]
CLASSES = ["ask", "être", "tell"]
MAX_LENGTH = 11
TOKENIZER = tokenizers.CharacterTokenizer.train(TEXTS)
V = TOKENIZER.vocabulary_size


@pytest.fixture(scope="module", params=["SequenceClassifier", "RNNClassifier"])
def run(request, tmp_path_factory):
    """What `training.train` leaves, as far as it is read here."""
    folder = tmp_path_factory.mktemp("runs")
    keras.utils.set_random_seed(3)
    if request.param == "RNNClassifier":
        model = models.RNNClassifier(V, len(CLASSES), 5, 4)
    else:
        encoder = layers.TextEncoder(V, 1, 6, 2, 5, max_length=MAX_LENGTH, num_segments=1)
        model = models.SequenceClassifier(encoder, len(CLASSES))
    model.build()
    # The class depends on the text.
    model.classifier.kernel.assign(20 * model.classifier.kernel)
    model.save(folder / "model.keras")
    TOKENIZER.save(folder / "tokenizer" / "text")
    facts = {"kind": "text_classifier", "max_length": MAX_LENGTH, "classes": CLASSES}
    (folder / "pipeline.json").write_text(json.dumps(facts))
    return folder


@pytest.fixture(scope="module")
def classifier(run):
    return TextClassifier.from_run(run)


def test_the_likeliest_class_is_named_whatever_stands_beside(classifier):
    together = classifier.probabilities(tf.constant(TEXTS)).numpy()
    np.testing.assert_allclose(together.sum(axis=1), 1, atol=1e-5)
    found = classifier.classify(TEXTS)
    assert [name for name, _ in found] == [CLASSES[place] for place in together.argmax(axis=1)]
    np.testing.assert_allclose([p for _, p in found], together.max(axis=1), atol=1e-5)
    for row, text in enumerate(TEXTS):
        np.testing.assert_allclose(classifier.probabilities(tf.constant([text]))[0], together[row], atol=1e-5)
        assert classifier.classify(text)[0] == found[row][0]
    assert classifier.classify(TEXTS, batch_size=3)[3][0] == found[3][0] and classifier.classify([]) == []


def test_what_is_beyond_the_longest_is_not_read(classifier):
    text = "or not to be"
    probabilities = classifier.probabilities(tf.constant([text[: MAX_LENGTH - 1], text])).numpy()
    np.testing.assert_allclose(*probabilities, atol=1e-6)


def test_words_are_weighed_by_a_recurrent_network_alone(classifier):
    if isinstance(classifier.model, models.SequenceClassifier):
        with pytest.raises(ValueError, match="by an RNNClassifier. Received: a SequenceClassifier"):
            classifier.look(TEXTS)
        return
    (pieces, weights), (start, one) = classifier.look(TEXTS[:2])
    assert pieces == ["<s>", *"to be"] and weights.shape == (6,) and weights.sum() == pytest.approx(1)
    assert start == ["<s>"] and one == pytest.approx([1])


def test_names_and_ids_must_be_those_of_the_model(classifier):
    with pytest.raises(ValueError, match="each of the model's 3. Received: 2 names"):
        TextClassifier(classifier.model, TOKENIZER, CLASSES[:2], MAX_LENGTH)
    with pytest.raises(ValueError, match=f"model's {V} ids"):
        TextClassifier(classifier.model, tokenizers.CharacterTokenizer.train(["a"]), CLASSES, MAX_LENGTH)
    with pytest.raises(ValueError, match="one string, 'texts'|must be a list of strings"):
        classifier.classify([3])


def test_no_text_is_lost_to_a_batch_of_no_size(classifier):
    for size in (0, -1):
        with pytest.raises(
            ValueError, match=f"`batch_size` must be a positive integer. Received: batch_size={size}"
        ):
            classifier.classify(["a", "b"], batch_size=size)


def test_a_damaged_run_folder_is_told(run, tmp_path):
    with pytest.raises(ValueError, match="holds tokenizer/text. Received: .*, without"):
        TextClassifier.from_run(tmp_path)
    (tmp_path / "tokenizer/text").mkdir(parents=True)
    for facts, words in (
        ({}, "classes that are names. Received: None"),
        ({"classes": ["a", 3]}, "Received: \\['a', 3"),
    ):
        (tmp_path / "pipeline.json").write_text(json.dumps(facts))
        with pytest.raises(ValueError, match=words):
            TextClassifier.from_run(tmp_path)

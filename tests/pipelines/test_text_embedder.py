"""Texts to vectors: lists, batches, the exported functions, errors. The formulas: test_import_weights."""

import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_transformer import layers, models, tokenizers
from keras_transformer.pipelines.text_embedder import TextEmbedder
from serving.limits import Limits

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "dog", "##s", "runs"]
TEXTS = ["a dog runs", "", "dogs", "a " * 40, "cat"]


@pytest.fixture(scope="module")
def embedder():
    keras.utils.set_random_seed(3)
    model = models.SentenceEncoder(layers.TextEncoder(11, 1, 6, 2, 7, max_length=13))
    model.build()
    return TextEmbedder(model, tokenizers.WordPieceTokenizer(PIECES), max_length=9)


def test_one_text_and_lists_in_any_batches_have_the_same_vectors(embedder):
    vectors = embedder.embed(TEXTS, batch_size=2)
    assert vectors.shape == (5, 6) and vectors.dtype == np.float32
    np.testing.assert_allclose(embedder.embed(iter(TEXTS)), vectors, atol=1e-6)
    np.testing.assert_allclose(embedder.embed(TEXTS[0]), vectors[0], atol=1e-6)
    np.testing.assert_allclose(embedder.embed("a " * 7), vectors[3], atol=1e-6)
    assert embedder.embed([]).shape == (0, 6)


def test_programs_that_xla_compiles_are_few_and_give_the_same(embedder, monkeypatch):
    shapes = set()
    compiled = embedder._compiled
    monkeypatch.setattr(embedder, "_compiled", lambda ids: shapes.add(tuple(ids.shape)) or compiled(ids))
    vectors = embedder.embed(TEXTS)
    np.testing.assert_allclose(embedder.embed(TEXTS[0], jit_compile=True), vectors[0], atol=1e-6)
    assert shapes == {(1, 8)}
    for number in (1, 3):
        found = embedder.embed(TEXTS[:number], batch_size=number, jit_compile=True)
        np.testing.assert_allclose(found, vectors[:number], atol=1e-6)
    np.testing.assert_allclose(embedder.embed(TEXTS, 3, jit_compile=True), vectors, atol=1e-6)
    assert shapes == {(1, 8), (4, 8), (2, 9)} and embedder.embed([], jit_compile=True).shape == (0, 6)


def test_batches_are_embedded_beside_each_other(embedder, monkeypatch):
    met = threading.Barrier(2, timeout=20)  # of one alone: BrokenBarrierError
    run = embedder._embed.get_concrete_function()

    class Waits:
        def get_concrete_function(self):
            return lambda text: met.wait() >= 0 and run(text)

    monkeypatch.setattr("os.cpu_count", lambda: 2)
    vectors = embedder.embed(TEXTS[:4])
    monkeypatch.setattr(embedder, "_embed", Waits())
    np.testing.assert_allclose(embedder.embed(TEXTS[:4], batch_size=2), vectors, atol=1e-6)


def test_an_export_answers_alike_and_keeps_its_limits(embedder, tmp_path):
    served = embedder.served(Limits(max_rows=5, max_characters=10))
    module = tf.Module()
    module.resources = served.resources
    tf.saved_model.save(module, tmp_path, signatures=served.functions)
    signatures = tf.saved_model.load(tmp_path).signatures
    assert set(signatures) == {"embed", "serving_default"}
    found = signatures["embed"](text=tf.constant(TEXTS))["embedding"]
    np.testing.assert_allclose(found, embedder.embed([text[:10] for text in TEXTS]), atol=1e-6)
    with pytest.raises(tf.errors.InvalidArgumentError, match="must have at most 5 rows. Received:"):
        signatures["embed"](text=tf.constant(["a"] * 6))
    assert served.limits == {"max_rows": 5, "max_characters": 10, "max_tokens": 9}


def test_what_does_not_fit_is_refused(embedder):
    with pytest.raises(ValueError, match="must have at most the model's 11 ids. Received: .* with 12"):
        TextEmbedder(embedder.model, tokenizers.WordPieceTokenizer([*PIECES, *"bcde"]), 9)
    for max_length in (2, 14):
        with pytest.raises(ValueError, match=f"from 3 to 13, .*max_length={max_length}"):
            TextEmbedder(embedder.model, embedder.tokenizer, max_length)
    with pytest.raises(ValueError, match="`batch_size` must be a positive integer"):
        embedder.embed(TEXTS, batch_size=0)
    with pytest.raises(ValueError, match="`texts` must be a list of strings"):
        embedder.embed([3])

"""Exports of all kinds of models: the same answers as in Python, by processes without this project."""

import json

import numpy as np
import pytest
import tensorflow as tf

import command_line
from command_line.search_options import SearchOptions
from keras_transformer.pipelines.captioner import Captioner
from keras_transformer.pipelines.image_classifier import ImageClassifier
from keras_transformer.pipelines.mask_filler import MaskFiller
from keras_transformer.pipelines.tagger import Tagger
from keras_transformer.pipelines.text_classifier import TextClassifier
from keras_transformer.pipelines.text_generator import TextGenerator
from keras_transformer.pipelines.translator import Translator
from serving import export, manifest
from serving.limits import Limits
from tests.serving.conftest import through_c_api


def alone(folder, requests, tmp_path):
    """What the export answers through TensorFlow's C API, in a process without this project."""
    done = through_c_api(folder, requests, tmp_path)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow  # exported as the Transformer is
@pytest.mark.parametrize("kind", ["rnn_seq2seq", "conv_seq2seq"])
def test_translators_of_all_kinds_answer_as_in_python(zoo_run, tmp_path, kind, monkeypatch):
    monkeypatch.setattr(manifest, "write_samples", lambda *_: None)  # they are those of the Transformer
    run = zoo_run(kind)
    search = SearchOptions(beam=3, n_best=2)
    folder = export.export(run, tmp_path / "served", search=search)
    texts = ["3 May 2024", "", "mardi 5 mars 2024"]
    translator = Translator.from_run(run, search.search)
    expected = [[best.text for best in found] for found in translator.hypotheses(texts)]
    requests = [
        ("translate", {"text": texts}),
        ("translate_nbest", {"text": texts}),
        ("align", {"text": texts}),
    ]
    best, nbest, aligned = alone(folder, requests, tmp_path)
    assert best["translation"] == aligned["translation"] == [found[0] for found in expected]
    assert nbest["translations"] == expected
    assert np.asarray(aligned["attention"]).ndim == 3


def test_language_models_generate_as_in_python(zoo_run, tmp_path):
    run = zoo_run("causal_lm")
    search = SearchOptions(temperature=2.0, n_best=3)
    folder = export.export(run, tmp_path / "served", search=search)
    texts, seeds = ["to", "", "be, or not to be, or not"], [5, 5, 6]
    expected = TextGenerator.from_run(run, search.search).generate(texts, seeds)
    anew = ("generate_nbest", {"text": texts})
    requests = [("serving_default", {"text": texts}), anew, anew]
    best, nbest, again, seeded = alone(
        folder, [*requests, ("generate_seeded", {"text": texts, "seed": seeds})], tmp_path
    )
    assert seeded["generated"] == [[text for text, _ in found] for found in expected]
    np.testing.assert_allclose(seeded["scores"], [[score for _, score in f] for f in expected], atol=1e-4)
    # Without a seed each request has draws of its own.
    assert nbest["generated"] != again["generated"]
    assert best["generated"][0].startswith("to") and np.shape(nbest["generated"]) == (3, 3)


def test_masked_language_models_fill_the_gap_as_in_python(zoo_run, tmp_path):
    run = zoo_run("masked_lm")
    folder = export.export(run, tmp_path / "served")
    texts = ["to [MASK]e", "[MASK]", "be, or not to be, or [MASK]ot to be, or not to be", "a[MASK]b[MASK]"]
    candidates, probabilities = MaskFiller.from_run(run)(tf.constant(texts))
    (answer,) = alone(folder, [("fill", {"text": texts})], tmp_path)
    assert answer["candidates"] == [[text.decode() for text in row] for row in candidates.numpy()]
    np.testing.assert_allclose(answer["probabilities"], probabilities, atol=1e-5)
    # The text has nine characters: all are candidates.
    characters = set("to be, or not to be\n")
    assert all(set(row) == characters for row in answer["candidates"])
    np.testing.assert_allclose(np.sum(answer["probabilities"], axis=1), 1, atol=1e-5)
    # Neighbours in the batch change nothing.
    (single,) = alone(folder, [("fill", {"text": texts[:1]})], tmp_path)
    np.testing.assert_allclose(single["probabilities"][0], answer["probabilities"][0], atol=1e-5)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"must hold \[MASK\]"):
        MaskFiller.from_run(run)(tf.constant(["to be"]))


def encoded_images(shape):
    """PNG and JPEG bytes of different sizes."""
    pixels = np.random.default_rng(0).integers(256, size=(24, 30, shape[-1])).astype(np.uint8)
    return [tf.io.encode_png(pixels).numpy(), tf.io.encode_jpeg(pixels[:12]).numpy()]


@pytest.mark.parametrize(
    "model",
    [{}, pytest.param({"decoder": "transformer"}, marks=pytest.mark.slow)],
    ids=["gru", "transformer"],
)
def test_captioners_describe_image_bytes_as_in_python(zoo_run, tmp_path, model):
    run = zoo_run("image_captioner", **model)
    search = SearchOptions(beam=2, n_best=2, max_length=9)
    folder = export.export(run, tmp_path / "served", search=search)
    captioner = Captioner.from_run(run, search.search)
    images = encoded_images(captioner.image_shape)
    texts, scores = captioner.n_best(tf.constant(images))
    requests = [("caption", {"image_bytes": images}), ("caption_nbest", {"image_bytes": images})]
    best, nbest = alone(folder, requests, tmp_path)
    assert nbest["captions"] == [[text.decode() for text in row] for row in texts.numpy()]
    np.testing.assert_allclose(nbest["scores"], scores, atol=1e-4)
    assert best["caption"] == [row[0] for row in nbest["captions"]]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["attention_cnn", "vit"])
def test_classifiers_name_the_class_of_image_bytes_as_in_python(zoo_run, tmp_path, kind):
    run = zoo_run(kind)
    folder = export.export(run, tmp_path / "served")
    classifier = ImageClassifier.from_run(run)
    images = encoded_images(classifier.image_shape)
    names, probabilities = classifier(tf.constant(images))
    (answer,) = alone(folder, [("classify", {"image_bytes": images})], tmp_path)
    assert answer["class"] == [name.decode() for name in names.numpy()]
    np.testing.assert_allclose(answer["probability"], probabilities, atol=1e-5)
    np.testing.assert_allclose(np.sum(answer["probabilities"], axis=1), 1, atol=1e-5)


@pytest.mark.slow  # the same functions answer in tests/pipelines
@pytest.mark.parametrize("kind", ["text_classifier", "rnn_classifier"])
def test_classifiers_name_the_class_of_texts_as_in_python(zoo_run, tmp_path, kind):
    run = zoo_run(kind)
    folder = export.export(run, tmp_path / "served", limits=Limits(max_characters=7))
    texts = ["to be", "", "so it is, and not to be"]
    classifier = TextClassifier.from_run(run)
    expected = classifier.classify([text[:7] for text in texts])
    (answer,) = alone(folder, [("classify", {"text": texts})], tmp_path)
    assert answer["class"] == [name for name, _ in expected]
    np.testing.assert_allclose(answer["probability"], [p for _, p in expected], atol=1e-5)
    np.testing.assert_allclose(np.sum(answer["probabilities"], axis=1), 1, atol=1e-5)


def test_taggers_tag_words_as_in_python(zoo_run, tmp_path):
    run = zoo_run("tagger")
    folder = export.export(run, tmp_path / "served", limits=Limits(max_characters=7))
    texts = ["to Amy", "", "in\t\tUlm Amy"]
    expected = Tagger.from_run(run).tag([text[:7] for text in texts])
    (answer,) = alone(folder, [("tag", {"text": texts})], tmp_path)
    for column, name in enumerate(("words", "tags", "probabilities")):
        for row, words in zip(answer[name], expected, strict=True):
            padding = ["", "", 0.0][column]
            wanted = [one[column] for one in words] + [padding] * (2 - len(words))
            assert row == (wanted if column < 2 else pytest.approx(wanted, abs=1e-5))


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("masked_lm", {"layer": 0}, "`layer` is for translators"),
        ("causal_lm", {"layer": 0}, "`layer` is for translators"),
        ("causal_lm", {"search": SearchOptions(max_length=9)}, "at most the window of the training, 8"),
    ],
)
def test_what_cannot_be_exported_is_refused_and_nothing_is_left(zoo_run, tmp_path, kind, options, message):
    with pytest.raises(ValueError, match=message):
        export.export(zoo_run(kind), tmp_path / "served", **options)
    assert not (tmp_path / "served").exists()


def test_the_command_exports_what_the_run_is_of(zoo_run, tmp_path, capsys):
    arguments = ["--run", str(zoo_run("attention_cnn")), "--output", str(tmp_path / "served")]
    command_line.run(lambda: export.main(arguments))
    assert "serving_default, classify" in capsys.readouterr().out

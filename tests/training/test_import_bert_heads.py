"""BERT's folders with a head become runs of what it is for: the library's own answers."""

import json
import re

import numpy as np
import pytest
import tensorflow as tf

from keras_transformer import pipelines
from keras_transformer.pipelines import tagger, text_classifier
from keras_transformer.saving import run_files
from keras_transformer.saving.model_files import load_model
from serving import export, verify
from tests import bert_folder
from training import evaluate, import_weights, predict, run_folder, tasks, train
from training.imports import bert
from training.imports.source_folder import SourceFolder

KINDS = ("masked_lm", "text_classifier", "tagger")
SPECIAL = [0, 4, 5, 6, 7]  # padding, unknown, start, end, mask
NUM_PIECES = 24
CLASSES = {"text_classifier": ["joy", "fear", "anger"], "tagger": ["O", "B-PLACE", "B-ANIMAL"]}


pytestmark = pytest.mark.usefixtures("eager")


def read(folder, kind, tensors=None, files=(), **config):
    """What the family's module makes of a folder, parts of it changed."""
    changed = bert_folder.with_head(kind, tensors, **config) | dict(files)
    return bert.read(SourceFolder(bert_folder.make(folder, **changed)))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """{kind: run folder}."""
    folder, found = tmp_path_factory.mktemp("imported"), {}
    for kind in KINDS:
        source = bert_folder.make(folder / "source" / kind, **bert_folder.with_head(kind))
        found[kind] = import_weights.import_weights(source, folder / kind)
    return found


def softmax(logits, axis=-1):
    weights = np.exp(logits - logits.max(axis=axis, keepdims=True))
    return weights / weights.sum(axis=axis, keepdims=True)


def answers(kind):
    """(texts, ids, logits) of the library."""
    found = json.loads((bert_folder.HEADS / kind / "answers.json").read_text())
    return found["texts"], np.array(found["ids"]), np.array(found["logits"]) / 1e5


def test_the_first_token_says_the_class_of_a_text(runs):
    texts, ids, logits = answers("text_classifier")
    found = pipelines.load(runs["text_classifier"])
    assert found.classes == tuple(CLASSES["text_classifier"]) and found.max_length == ids.shape[1]
    own = text_classifier.token_ids(tf.constant(texts), found.tokenizer, found.max_length)
    np.testing.assert_array_equal(own.to_tensor(), ids)
    np.testing.assert_allclose(np.array(found.model({"token_ids": ids})), logits, atol=2e-5)
    np.testing.assert_allclose(found.probabilities(tf.constant(texts)), softmax(logits, axis=1), atol=2e-5)
    expected = [found.classes[place] for place in logits.argmax(axis=1)]
    assert [name for name, _ in found.classify(texts)] == expected and len(set(expected)) > 1


def test_a_pair_of_texts_has_two_segments(runs):
    pairs = json.loads((bert_folder.HEADS / "text_classifier" / "answers.json").read_text())["pairs"]
    inputs = {"token_ids": np.array(pairs["ids"]), "segment_ids": np.array(pairs["segments"])}
    logits = np.array(pipelines.load(runs["text_classifier"]).model(inputs))
    np.testing.assert_allclose(logits, np.array(pairs["logits"]) / 1e5, atol=2e-5)


def test_the_first_piece_of_a_word_says_its_tag(runs):
    texts, ids, logits = answers("tagger")
    found = pipelines.load(runs["tagger"])
    own, starts = tagger.pieces(tf.strings.split(texts), found.tokenizer, found.max_length)
    np.testing.assert_array_equal(own.to_tensor(), ids)
    places = json.loads((bert_folder.HEADS / "tagger" / "answers.json").read_text())["starts"]
    assert starts.to_list() == places
    own = np.array(found.model({"token_ids": ids}))
    real = ids != 0
    np.testing.assert_allclose(own[real][:, 1:], logits[real], atol=2e-5)
    # The class that is no tag has no share.
    np.testing.assert_allclose(softmax(own[real], axis=1)[:, 1:], softmax(logits[real], axis=1), atol=2e-5)
    for words, row, starts in zip(found.tag(texts), logits, places, strict=True):
        expected = [found.classes[place] for place in row[starts].argmax(axis=1)]
        assert [word.tag for word in words][: len(expected)] == expected
    # What is longer is read part after part.
    assert [word.word for word in found.tag(texts[3])] == texts[3].split()


def test_a_gap_is_filled_by_the_words_that_are_likeliest_there(runs):
    texts, ids, logits = answers("masked_lm")
    found = pipelines.load(runs["masked_lm"])
    own, gaps = found.token_ids(tf.constant(texts))
    np.testing.assert_array_equal(own, ids)
    np.testing.assert_array_equal(gaps, [row.tolist().index(7) for row in ids])
    own, real = np.array(found.model({"token_ids": ids})), ids != 0
    np.testing.assert_allclose(own[real], logits[real][:, :NUM_PIECES], atol=2e-5)
    candidates, probabilities = found(tf.constant(texts), 3)
    for row, gap in enumerate(gaps.numpy()):
        expected = softmax(np.where(np.isin(range(NUM_PIECES), SPECIAL), -np.inf, own[row, gap]))
        order = np.argsort(-expected)[:3]
        np.testing.assert_allclose(probabilities[row], expected[order], atol=2e-5)
        pieces = found.tokenizer.id_to_piece(order).numpy().tolist()
        assert candidates[row].numpy().tolist() == pieces


def test_of_a_text_that_is_too_long_what_stands_around_the_gap_is_read(runs):
    found = pipelines.load(runs["masked_lm"])
    long = " ".join(["the"] * 20)
    ids, gaps = found.token_ids(tf.constant([f"{long} [MASK] {long}", f"{long} dog [MASK]"]))
    assert ids.shape == (2, found.window) and gaps.numpy().tolist() == [4, 7]
    assert ids[0].numpy().tolist() == [5, 11, 11, 11, 7, 11, 11, 11, 6]
    assert ids[1].numpy().tolist() == [5, 11, 11, 11, 11, 11, 15, 7, 6]


def test_the_commands_use_and_measure_such_runs(runs, tmp_path, capsys, fails):
    capsys.readouterr()
    predict.main(["--run", str(runs["text_classifier"]), "two dogs run"])
    assert re.fullmatch(r"(joy|fear|anger)\t[01]\.\d{4}\n", capsys.readouterr().out)
    predict.main(["--run", str(runs["tagger"]), "two dogs"])
    assert re.fullmatch(r"two\t\S+\t\S+\ndogs\t\S+\t\S+\n\n", capsys.readouterr().out)
    predict.main(["--run", str(runs["masked_lm"]), "two [MASK] run", "--candidates", "2"])
    assert re.fullmatch(r'(".+"\t\S+\n){2}', capsys.readouterr().out)

    texts, _, logits = answers("text_classifier")
    names = [CLASSES["text_classifier"][place] for place in logits.argmax(axis=1)]
    (tmp_path / "data.tsv").write_text(
        "".join(f"{text}\t{name}\n" for text, name in zip(texts[2:4], names[2:4], strict=True))
    )
    evaluate.main(["--run", str(runs["text_classifier"]), "--files", str(tmp_path / "data.tsv")])
    assert re.search(r"accuracy.* 1\.0000", capsys.readouterr().out)


def test_a_masked_language_model_is_trained_further_and_measured(runs, tmp_path, capsys):
    run, text = runs["masked_lm"], tmp_path / "text.txt"
    text.write_text("two dogs run\na man reads a book\n" * 20)
    files = ["--data.train", str(text), "--data.validation", str(text)]
    train.main(
        ["--config", str(run / "config.yaml"), "--initial.run", str(run), *files, "--fit.epochs", "1"]
        + ["--fit.steps_per_epoch", "2", "--data.batch_size", "4", "--optimizer.schedule", "cosine"]
        + ["--output", str(tmp_path / "tuned")]
    )
    assert "initial weights" in capsys.readouterr().out
    tokenizer = pipelines.load(run).tokenizer
    tuned = pipelines.load(tmp_path / "tuned")
    assert tuned.tokenizer.vocabulary_size == tokenizer.vocabulary_size and tuned.mask_id == tokenizer.mask_id
    evaluate.main(["--run", str(tmp_path / "tuned"), "--files", str(text)])
    assert "token accuracy = " in capsys.readouterr().out
    # The model reads [CLS] window [SEP], and the end of each line is a [SEP], too.
    task = tasks.make(run_folder.load_config(run))
    task.load_tokenizers(run)
    rows = np.array([[9, 7, 8, tokenizer.end_id, 9], [9, 7, 0, 0, 0], [9, 0, 0, 0, 0]])
    inputs, labels = task.make_example(rows, np.random.default_rng(0))
    ids = np.where(labels != 0, labels, inputs["token_ids"])
    first, last = tokenizer.start_id, tokenizer.end_id
    assert ids.tolist() == [[first, 7, 8, last, 9, last], [first, 7, last, 0, 0, 0], [0] * 6]
    assert not set(labels.ravel()) & {first, last, tokenizer.mask_id}


def test_a_head_that_is_not_used_is_told(tmp_path, capsys):
    shapes = {"cls.seq_relationship": (2, 12), "bert.pooler.dense": (12, 12)}
    more = {f"{name}.weight": np.ones(shape, "float32") for name, shape in shapes.items()}
    more |= {f"{name}.bias": np.ones(shape[:1], "float32") for name, shape in shapes.items()}
    tensors = bert_folder.head_weights("masked_lm") | more
    changed = bert_folder.with_head("masked_lm", tensors, architectures=["BertForPreTraining"])
    run = import_weights.import_weights(bert_folder.make(tmp_path / "source", **changed), tmp_path / "run")
    assert run_files.kind(run) == "masked_lm"
    assert f"left out: {', '.join(sorted(more))}\n" in capsys.readouterr().out


@pytest.mark.parametrize("kind", KINDS)
def test_without_architectures_the_tensors_say_what_it_is(tmp_path, kind):
    found = read(tmp_path, kind, architectures=None)
    assert found.config.model.kind == kind and not found.left_out


@pytest.mark.parametrize("kind", KINDS)
def test_weights_that_tensorflow_wrote_are_the_same(tmp_path, runs, kind):
    bert_folder.save_keras_file(bert_folder.head_weights(kind), tmp_path / "tf_model.h5")
    found = read(tmp_path / "source", kind, {}, {"tf_model.h5": (tmp_path / "tf_model.h5").read_bytes()})
    expected = load_model(runs[kind] / "model.keras").get_weights()
    for own, other in zip(found.model.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(own, other)


def test_an_encoder_and_a_folder_of_sentence_transformers_are_embedders(tmp_path):
    found = read(tmp_path / "plain", "text_classifier", architectures=["BertModel"])
    assert found.config.model.kind == "text_embedder"
    pooler = ["bert.pooler.dense.bias", "bert.pooler.dense.weight"]
    assert found.left_out == [*pooler, "classifier.bias", "classifier.weight"]
    modules = {name: bert_folder.FILES[name] for name in ("modules.json", "1_Pooling/config.json")}
    found = read(tmp_path / "modules", "masked_lm", files=modules)
    assert found.config.model.kind == "text_embedder" and found.config.model.pooling == "mean"


def test_labels_that_the_library_made_are_not_in_the_folder(tmp_path):
    tensors = bert_folder.head_weights("text_classifier")
    tensors |= {x: tensors[x][:2] for x in ("classifier.weight", "classifier.bias")}
    found = read(tmp_path, "text_classifier", tensors, id2label=None, label2id=None)
    assert found.facts["classes"] == ["LABEL_0", "LABEL_1"]


def test_another_activation_is_that_of_the_head_too(tmp_path):
    found = read(tmp_path, "masked_lm", hidden_act="relu")
    assert found.model.activation == found.config.model.head_activation == "relu"


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_an_export_answers_as_the_pipeline(runs, tmp_path, kind, compiled):
    export.main(["--run", str(runs[kind]), "--output", str(tmp_path / "exported")])
    verify.main([str(tmp_path / "exported")])
    name = {"masked_lm": "fill", "text_classifier": "classify", "tagger": "tag"}[kind]
    served = tf.saved_model.load(tmp_path / "exported" / "1").signatures[name]
    texts = answers(kind)[0]
    found, own = served(text=tf.constant(texts)), pipelines.load(runs[kind])
    if kind == "text_classifier":
        np.testing.assert_allclose(found["probabilities"], own.probabilities(tf.constant(texts)), atol=1e-5)
    elif kind == "tagger":
        np.testing.assert_array_equal(found["tags"], own(tf.constant(texts))["tags"])
    else:
        np.testing.assert_array_equal(found["candidates"], own(tf.constant(texts))[0])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["text_classifier", "tagger"])
def test_a_run_is_measured_and_trained_further_with_its_classes(runs, tmp_path, capsys, kind, compiled):
    one = {"text_classifier": "two dogs\tfear\na cat\tjoy\n", "tagger": "two O\ndogs B-ANIMAL\n\n"}[kind]
    (tmp_path / "data").write_text(one * 8)
    evaluate.main(["--run", str(runs[kind]), "--files", str(tmp_path / "data")])
    assert re.search(r"accuracy|F1", capsys.readouterr().out)
    own = ["--config", str(runs[kind] / "config.yaml"), "--output", str(tmp_path / "tuned")]
    own += ["--data.train", json.dumps([str(tmp_path / "data")]), "--fit.epochs", "1"]
    own += ["--checkpoints.monitor", "loss", "--fit.jit_compile", "off", "--initial.run", str(runs[kind])]
    train.main(own)
    assert run_files.classes(tmp_path / "tuned") == CLASSES[kind]
    before, after = (
        load_model(run / "model.keras").get_weights() for run in (runs[kind], tmp_path / "tuned")
    )
    assert [x.shape for x in before] == [x.shape for x in after]
    assert all(np.abs(x - y).max() < 0.1 for x, y in zip(before, after, strict=True))
    assert any((x != y).any() for x, y in zip(before, after, strict=True))

"""Marian's folders become translators: the library's own answers, other files of weights; what is refused."""

import json
import pickle
import re
import sys
import types

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_transformer import decoding
from keras_transformer.pipelines.translator import Translator
from keras_transformer.saving.layer_paths import weight_paths
from keras_transformer.saving.model_files import load_model
from serving import export, verify
from tests import marian_folder
from tests.hostile_files import Pickled
from training import evaluate, import_weights, predict, train
from training.imports import marian
from training.imports.source_folder import SourceFolder

NUM_STEPS = 12  # as in fixtures/make_marian.py


pytestmark = pytest.mark.usefixtures("eager")


def imported(folder, name="shared", **changes):
    run = folder / "run"
    source = marian_folder.make(folder / "source", name, **changes)
    import_weights.main([str(source), "--output", str(run)])
    return run


def translator(run, search=decoding.Greedy):
    return Translator.from_run(run, lambda _: search(NUM_STEPS))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return imported(tmp_path_factory.mktemp("imported"))


@pytest.mark.parametrize("name", ["shared", "separate"])
def test_ids_logits_and_translations_are_the_librarys(tmp_path, name):
    found = translator(imported(tmp_path, name))
    answers, vocabulary = marian_folder.read("answers.json", name), marian_folder.read("vocab.json", name)
    others = vocabulary if name == "shared" else marian_folder.read("target_vocab.json", name)
    source_ids = marian_folder.own_ids(found.source_tokenizer, vocabulary, answers["source_ids"])
    np.testing.assert_array_equal(found.source_ids(tf.constant(answers["source_texts"])), source_ids)
    target_ids = marian_folder.own_ids(found.target_tokenizer, others, answers["target_ids"])
    tokens = found.target_tokenizer.tokenize(tf.constant(answers["target_texts"])).to_tensor()
    np.testing.assert_array_equal(np.where(target_ids == 3, 0, target_ids)[:, :-1], tokens)
    texts = found.target_tokenizer.detokenize(target_ids).numpy()
    assert [text.decode() for text in texts] == answers["texts"]

    prefixes = marian_folder.own_ids(found.target_tokenizer, others, answers["prefixes"])
    prefixes[:, 0] = 2  # what begins, where the library has its padding
    logits = np.array(found.model({"source_ids": source_ids, "target_ids": prefixes}))
    # What was added has no share: log-probabilities are those of the library.
    assert not np.array(tf.nn.softmax(logits))[..., 2].any()
    expected = marian_folder.logits(found.target_tokenizer, others, answers["logits"]) / 1e5
    np.testing.assert_allclose(np.delete(logits, 2, axis=-1), expected, atol=5e-5)

    # Each search on one of them: both would take their time.
    kind = "beam" if name == "shared" else "greedy"
    search = decoding.BeamSearch(NUM_STEPS, alpha=0.0) if kind == "beam" else decoding.Greedy(NUM_STEPS)
    ids, _ = decoding.generate_n_best(found.model, {"source_ids": source_ids}, search)
    expected = marian_folder.own_ids(found.target_tokenizer, others, answers[kind]["ids"])
    np.testing.assert_array_equal(np.array(ids)[:, 0, : expected.shape[1]], expected)
    texts = found.target_tokenizer.detokenize(ids[:, 0]).numpy()
    assert [text.decode() for text in texts] == answers[kind]["texts"]


def as_torch(tensors):
    """A module torch whose `load` reads nothing that could be code."""

    class Tensor(np.ndarray):
        def to(self, dtype):
            return self.astype(dtype)

        def numpy(self):
            return np.asarray(self)

    def load(path, map_location, weights_only):
        assert weights_only and map_location == "cpu"
        return {name: value.view(Tensor) for name, value in tensors.items()}

    return types.SimpleNamespace(
        load=load, float32=np.float32, is_tensor=lambda x: isinstance(x, Tensor), __spec__=True
    )


@pytest.mark.parametrize("name", ["tf_model.h5", "pytorch_model.bin", "half, tied, without bias"])
def test_the_same_weights_in_other_files_are_the_same_model(tmp_path, monkeypatch, run, name):
    tensors, changes, atol = marian_folder.weights(), {}, 0
    if name == "tf_model.h5":
        marian_folder.save_keras_file(tensors, tmp_path / name)
        changes |= {"tensors": {}, name: (tmp_path / name).read_bytes()}
    elif name == "pytorch_model.bin":
        monkeypatch.setitem(sys.modules, "torch", as_torch(tensors))
        changes |= {"tensors": {}, name: b"what the library reads"}
    else:
        tensors["lm_head.weight"] = tensors.pop("model.shared.weight")
        del tensors["final_logits_bias"]
        changes["tensors"] = {x: w.astype("float16") for x, w in tensors.items()}
        atol = 1e-2
    expected = own_weights(load_model(run / "model.keras"))
    if "without bias" in name:
        bias = expected["target_embedding/logits_bias"]
        bias[...] = np.where(np.arange(len(bias)) == 2, bias, 0)
    source = marian_folder.make(tmp_path / "source", **changes)
    for path, value in own_weights(marian.read(SourceFolder(source)).model).items():
        np.testing.assert_allclose(value, expected[path], atol=atol, err_msg=path)


def own_weights(model):
    return {path: np.array(ops.convert_to_numpy(value)) for path, value in weight_paths(model).items()}


def test_a_decoder_of_fewer_layers_keeps_the_first_of_them(tmp_path, monkeypatch, run):
    monkeypatch.setattr("training.imports.tensors.ROWS", 7)  # of embeddings, at a time
    tensors = {x: w for x, w in marian_folder.weights().items() if "decoder.layers.1." not in x}
    source = marian_folder.make(tmp_path / "source", tensors=tensors, **changed(decoder_layers=1))
    found, whole = marian.read(SourceFolder(source)), own_weights(load_model(run / "model.keras"))
    assert (found.config.model.num_layers, found.config.model.num_decoder_layers) == (2, 1)
    own = own_weights(found.model)
    assert own.keys() == {path for path in whole if not path.startswith("decoder/layer_1/")} < whole.keys()
    for path, value in own.items():
        np.testing.assert_array_equal(value, whole[path], err_msg=path)


def test_a_run_says_where_it_came_from_and_translates(run, capsys):
    facts = json.loads((run / "imported.json").read_text())
    assert facts["model_type"] == "marian" and not facts["left_out"]
    assert {"source.spm", "target.spm", "vocab.json", "model.safetensors"} < set(facts["sha256"])
    capsys.readouterr()
    answers = marian_folder.read("answers.json")
    predict.main(["--run", str(run), "--beam", "1", answers["source_texts"][0], ""])
    assert capsys.readouterr().out.splitlines() == [answers["greedy"]["texts"][0], ""]


@pytest.mark.slow
def test_a_run_is_measured_trained_further_exported_and_verified(run, tmp_path, capsys, fails, compiled):
    (tmp_path / "source").write_text("two dogs sleeps\n" * 8)
    (tmp_path / "target").write_text("zwei Hunde schläft\n" * 8)
    files = [str(tmp_path / side) for side in ("source", "target")]
    evaluate.main(["--run", str(run), "--files", *files, "--beam", "1"])
    assert "BLEU" in capsys.readouterr().out
    assert "must have a test split. Received: none" in fails(evaluate.main, "--run", run)
    own = ["--config", str(run / "config.yaml"), "--output", str(tmp_path / "tuned")]
    own += ["--data.train", json.dumps(files), "--data.max_length", "16", "--fit.epochs", "1"]
    assert "imported comes with an imported run" in fails(train.main, *own)
    own += ["--checkpoints.monitor", "loss", "--fit.jit_compile", "off"]
    train.main([*own, "--initial.run", str(run)])
    before, after = (own_weights(load_model(x / "model.keras")) for x in (run, tmp_path / "tuned"))
    assert any((before[path] != after[path]).any() for path in before)
    assert marian_folder.pieces(translator(tmp_path / "tuned").target_tokenizer)[2] == b"<s>"

    export.main(["--run", str(run), "--output", str(tmp_path / "exported"), "--beam", "1"])
    verify.main([str(tmp_path / "exported")])
    answers = marian_folder.read("answers.json")
    served = tf.saved_model.load(tmp_path / "exported" / "1").signatures["translate"]
    found = served(text=tf.constant(answers["source_texts"]))["translation"].numpy()
    for number, ids in enumerate(answers["greedy"]["ids"]):
        # Nothing is made of an empty text, and the library's were cut.
        if answers["source_texts"][number] and 0 in ids:
            assert found[number].decode() == answers["greedy"]["texts"][number]


def without(name):
    return {x: w for x, w in marian_folder.weights().items() if x != name}


def changed(**values):
    return {"config.json": marian_folder.read("config.json") | values}


def vocabulary(**values):
    """vocab.json with other ids, or without a piece whose id is None."""
    found = marian_folder.read("vocab.json") | values
    return {"vocab.json": {piece: number for piece, number in found.items() if number is not None}}


QUERY = "model.decoder.layers.1.encoder_attn.q_proj.weight"
PAD = marian_folder.read("vocab.json")["<pad>"]
# What is wrong -> (tensors, files, what the refusal says).
FOLDERS = {
    "a missing tensor": (without(QUERY), {}, f"must hold the tensor {QUERY}"),
    "no embedding": (without("model.shared.weight"), {}, "must hold the tensor model.shared.weight"),
    "a surplus tensor": (
        marian_folder.weights() | {"model.decoder.layers.2.fc1.bias": np.zeros(20, "float32")},
        {},
        "Received: 1 more, the first of them 'model.decoder.layers.2.fc1.bias'",
    ),
    "a wrong shape": (
        marian_folder.weights() | {QUERY: np.zeros((12, 11), "float32")},
        {},
        rf"{QUERY} must have the shape \(12, 12\), by config.json. Received: \(12, 11\)",
    ),
    "a vocabulary that does not fit": (
        None,
        vocabulary(**{"7": None}),
        f"vocab.json must have a piece for each row of the embedding, {PAD + 1}. Received: {PAD} pieces",
    ),
    "one id twice": (None, vocabulary(**{"7": 5}), "must give each piece an id of its own"),
    "an id that is none": (None, vocabulary(**{"7": "7"}), "must give each piece an id of its own"),
    "no pad": (None, vocabulary(**{"<pad>": None, "x": PAD}), "vocab.json must hold <pad>"),
    "no end": (None, vocabulary(**{"</s>": None, "x": 0}), "vocab.json must hold </s>"),
    "no unknown": (None, vocabulary(**{"<unk>": None, "x": 1}), "vocab.json must hold <unk>"),
    "no vocabulary": (None, {"vocab.json": None}, "holds vocab.json. Received: .*, without"),
    "no source.spm": (None, {"source.spm": None}, "holds source.spm. Received: .*, without"),
    "no target.spm": (None, {"target.spm": None}, "holds target.spm. Received: .*, without"),
    "a model that is none": (None, {"target.spm": b"x" * 9}, "target.spm must be a model of SentencePiece"),
    "another beginning": (
        None,
        changed(decoder_start_token_id=PAD + 1),
        f"`decoder_start_token_id` of config.json must be an id .*, below {PAD + 1}. Received: {PAD + 1}",
    ),
    "another padding": (None, changed(pad_token_id=3), f"`pad_token_id` of config.json must be {PAD}"),
    "another end": (None, changed(eos_token_id=2), "`eos_token_id` of config.json must be 0"),
    "other bad words": (None, changed(bad_words_ids=[[4]]), "`bad_words_ids` of config.json must be"),
    "fewer heads in the decoder": (
        None,
        changed(decoder_attention_heads=1),
        "`decoder_attention_heads` of config.json must",
    ),
    "norms first": (None, changed(normalize_before=True), "`normalize_before` of config.json must be False"),
    "an unknown activation": (None, changed(activation_function="gelu_new"), "`activation_function` of"),
    "a link to weights elsewhere": ({}, {"tf_model.h5": "link"}, "Weights must not be links"),
    "no HDF5": ({}, {"tf_model.h5": b"x" * 99}, "tf_model.h5 must be HDF5"),
    "a pickle": (
        {},
        {"pytorch_model.bin": pickle.dumps(Pickled())},
        "pytorch_model.bin (is a pickle|must hold)",
    ),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_that_is_none_is_refused_in_a_line_and_leaves_nothing(tmp_path, monkeypatch, fails, name):
    monkeypatch.chdir(tmp_path)  # where a pickle would leave its mark
    tensors, files, message = FOLDERS[name]
    if files.get("tf_model.h5") == "link":
        import h5py

        with h5py.File(tmp_path / "linked", "w") as file:
            file["x"] = h5py.ExternalLink("/etc/passwd", "x")
        files = {"tf_model.h5": (tmp_path / "linked").read_bytes()}
        (tmp_path / "linked").unlink()
    source = marian_folder.make(tmp_path / "source", tensors=tensors, **files)
    said = fails(import_weights.main, source, "--output", tmp_path / "run")
    assert re.search(message, said), said
    assert [path.name for path in tmp_path.iterdir()] == ["source"]

"""Folders of BERT's kind become runs: formulas, other names and types, pooling; what is refused."""

import json
import os
import pickle
import re
import struct

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import save_file

from keras_transformer import pipelines
from keras_transformer.saving import run_files
from tests import bert_folder
from tests.hostile_files import Pickled
from training import evaluate, import_weights, predict, train

TEXTS = ["Two dogs", "", "a dog running, two cafes"]
INDEX = "model.safetensors.index.json"


pytestmark = pytest.mark.usefixtures("eager")


def imported(folder, **changes):
    run = folder / "run"
    import_weights.main([str(bert_folder.make(folder / "source", **changes)), "--output", str(run)])
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return imported(tmp_path_factory.mktemp("imported"))


@pytest.fixture(scope="module")
def embedder(run):
    return pipelines.load(run)


def test_hidden_states_are_those_of_the_formulas(embedder):
    ids = np.array([[2, 7, 6, 8, 3, 0, 0], [2, 3, 0, 0, 0, 0, 0], [2, 5, 6, 9, 10, 11, 3]])
    np.testing.assert_array_equal(embedder.token_ids(tf.constant(["two dogs", "", "a dog running,"])), ids)
    found = np.array(embedder.model.encode({"token_ids": ids.astype("int32")}))
    expected = bert_folder.hidden_states(bert_folder.weights(), ids)
    np.testing.assert_allclose(found[ids != 0], expected[ids != 0], atol=1e-5)


def test_vectors_are_pooled_and_normalised_and_a_long_text_is_cut(embedder):
    ids = embedder.token_ids(tf.constant(TEXTS)).numpy()
    assert ids.shape == (3, 9) and ids[2, -1] == 3  # max_seq_length
    expected = bert_folder.embeddings(bert_folder.weights(), ids)
    np.testing.assert_allclose(embedder.embed(TEXTS), expected, atol=1e-5)
    assert "13 pieces, 9 tokens" in repr(embedder)


def test_a_run_says_where_it_came_from_and_is_read_by_the_commands(run, capsys, fails):
    facts = json.loads((run / "imported.json").read_text())
    assert facts["model_type"] == "bert" and facts["licence"] is None
    assert facts["left_out"] == ["pooler.dense.bias", "pooler.dense.weight"]
    assert set(facts["sha256"]) == {*bert_folder.FILES, "vocab.txt", "model.safetensors"}
    assert run_files.kind(run) == "text_embedder"
    capsys.readouterr()
    predict.main(["--run", str(run), *TEXTS])
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    np.testing.assert_allclose(found, pipelines.load(run).embed(TEXTS), atol=1e-6)
    for main, options in (
        (evaluate.main, ["--run", run]),
        (train.main, ["--config", run / "config.yaml", "--output", run.with_name("trained")]),
    ):
        assert "A text_embedder is imported" in fails(main, *options)


@pytest.mark.parametrize("name", ["old, with a head", "half", "bfloat16", "in two files, tokenizer.json"])
def test_the_same_weights_in_other_forms_are_the_same_model(tmp_path, embedder, name):
    weights, files, atol = bert_folder.weights(), {}, 1e-6
    if name == "old, with a head":
        for part, old in (("weight", "gamma"), ("bias", "beta")):
            weights = {x.replace(f"LayerNorm.{part}", f"LayerNorm.{old}"): w for x, w in weights.items()}
        weights = {f"bert.{x}": w for x, w in weights.items()}
        weights |= {"cls.predictions.bias": np.zeros(17, "float32")}
        weights |= {"bert.embeddings.position_ids": np.arange(13)[None]}
    elif name in ("half", "bfloat16"):
        dtype = np.float16 if name == "half" else ml_dtypes.bfloat16
        weights, atol = {x: w.astype(dtype) for x, w in weights.items()}, 0.05
    else:
        parts = [dict(list(weights.items())[number::2]) for number in range(2)]
        files[INDEX] = {"weight_map": {x: f"part-{n}.safetensors" for n in range(2) for x in parts[n]}}
        files |= {"vocab.txt": None, "tokenizer.json": whole_tokenizer()}
        weights = {}
        (tmp_path / "source").mkdir()
        for number, part in enumerate(parts):
            save_file(part, tmp_path / "source" / f"part-{number}.safetensors")
    run = imported(tmp_path, tensors=weights, **files)
    np.testing.assert_allclose(pipelines.load(run).embed(TEXTS), embedder.embed(TEXTS), atol=atol)


def whole_tokenizer(**changes):
    vocabulary = {piece: number for number, piece in enumerate(bert_folder.PIECES)}
    return {
        "model": {"type": "WordPiece", "vocab": vocabulary},
        "normalizer": {"type": "BertNormalizer", "lowercase": True, "strip_accents": None},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        **changes,
    }


def test_pooling_and_licence_are_what_the_folder_says(tmp_path, embedder):
    plain = imported(
        tmp_path / "plain", **{"modules.json": None, "README.md": b"---\nlicense: mit\n---\n# x\n"}
    )
    vectors = pipelines.load(plain).embed(TEXTS)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    assert not np.allclose(lengths, 1)
    np.testing.assert_allclose(vectors / lengths, embedder.embed(TEXTS), atol=1e-5)
    assert json.loads((plain / "imported.json").read_text())["licence"] == "mit"
    first = imported(
        tmp_path / "first",
        **{
            "modules.json": bert_folder.FILES["modules.json"][:2],
            "1_Pooling/config.json": {"pooling_mode_cls_token": True},
        },
    )
    ids = embedder.token_ids(tf.constant(TEXTS)).numpy()
    expected = bert_folder.hidden_states(bert_folder.weights(), ids)[:, 0]
    np.testing.assert_allclose(pipelines.load(first).embed(TEXTS), expected, atol=1e-5)


def without(name):
    return {x: w for x, w in bert_folder.weights().items() if x != name}


def raw(header, size=None):
    """A safetensors file of this header, which may claim another size."""
    return struct.pack("<Q", len(header) if size is None else size) + header


def changed(**values):
    return {"config.json": bert_folder.CONFIG | values}


QUERY = "encoder.layer.1.attention.self.query.weight"
HUGE = json.dumps({"x": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}).encode()
MODULES = bert_folder.FILES["modules.json"]
# What is wrong -> (tensors, files, what the refusal says).
FOLDERS = {
    "no config": (None, {"config.json": None}, "A folder of weights holds config.json"),
    "config is a list": (None, {"config.json": []}, "must hold a JSON object"),
    "no family": (None, changed(model_type=None), "must have a model_type, a name. Received: None"),
    "an unknown family": (
        None,
        changed(model_type="gpt9"),
        "must be one of bert, marian, mt5, opennmt_tf, t5, torch_transformer. Received: 'gpt9'",
    ),
    "no size": (None, changed(hidden_size=None), "must have hidden_size, of the type int. Received: None"),
    "no layers": (None, changed(num_hidden_layers=0), "`num_layers` must be a positive integer"),
    "relative positions": (
        None,
        changed(position_embedding_type="relative_key"),
        "position_embedding_type` of",
    ),
    "an unknown activation": (None, changed(hidden_act="gelu_new"), "`hidden_act` of config.json must be"),
    "padding elsewhere": (None, changed(pad_token_id=1), "`pad_token_id` of config.json must be 0"),
    "a missing tensor": (without(QUERY), {}, f"must hold the tensor {QUERY}"),
    "a surplus tensor": (
        bert_folder.weights() | {"encoder.layer.2.x": np.zeros(3, "float32")},
        {},
        "Received: 1 more, the first of them 'encoder.layer.2.x'",
    ),
    "a wrong shape": (
        bert_folder.weights() | {QUERY: np.zeros((6, 5), "float32")},
        {},
        rf"The tensor {QUERY} must have the shape \(6, 6\), by config.json. Received: \(6, 5\)",
    ),
    "quantized": (
        bert_folder.weights() | {QUERY: np.zeros((6, 6), "int8")},
        {},
        "must be of the type F64, F32, F16, BF16. Received: I8",
    ),
    "not finite": (
        bert_folder.weights() | {QUERY: np.full((6, 6), np.nan, "float32")},
        {},
        f"The tensor {QUERY} must be finite",
    ),
    "half a header": ({}, {"model.safetensors": raw(b'{"x"', 99)}, "must hold safetensors"),
    "no JSON": ({}, {"model.safetensors": raw(b"x" * 16)}, "must hold safetensors"),
    "a header of terabytes": ({}, {"model.safetensors": raw(b"{}", 2**45)}, "must hold safetensors"),
    "tensors of terabytes": ({}, {"model.safetensors": raw(HUGE)}, "must hold safetensors"),
    "an empty file": ({}, {"model.safetensors": b""}, "must hold safetensors"),
    "a pickle of that name": ({}, {"model.safetensors": pickle.dumps(Pickled())}, "must hold safetensors"),
    "a pickle": (
        {},
        {"pytorch_model.bin": pickle.dumps(Pickled())},
        "pytorch_model.bin (is a pickle, which PyTorch alone reads here: .*save_pretrained|must hold)",
    ),
    "no weights": ({}, {}, "holds model.safetensors or tf_model.h5 or .*with none"),
    "an index that leads out": (
        {},
        {INDEX: {"weight_map": {QUERY: "../model.safetensors"}}},
        "Files must lie in the folder.*'../model.safetensors'",
    ),
    "an absolute index": ({}, {INDEX: {"weight_map": {QUERY: "/etc/passwd"}}}, "must lie in the folder"),
    "an index of nothing": ({}, {INDEX: {"weight_map": {QUERY: "x.safetensors"}}}, "which is not"),
    "an index of no names": ({}, {INDEX: {"weight_map": {QUERY: 3}}}, "must have a weight_map"),
    "a pooling that leads out": (
        None,
        {"modules.json": [MODULES[0], MODULES[1] | {"path": "../.."}]},
        "Files must lie in the folder",
    ),
    "another module": (
        None,
        {"modules.json": [*MODULES[:2], {"type": "models.Dense"}]},
        "must name Transformer, Pooling and, if at all, Normalize.*Received: Transformer, Pooling, Dense",
    ),
    "two poolings": (
        None,
        {"1_Pooling/config.json": {"pooling_mode_cls_token": True, "pooling_mode_max_tokens": True}},
        "must have one pooling_mode",
    ),
    "no vocabulary": (None, {"vocab.txt": None}, "holds tokenizer.json or vocab.txt"),
    "a vocabulary that is too large": (
        None,
        {"vocab.txt": "\n".join([*bert_folder.PIECES, *"bcefg"]).encode()},
        "must fit the embedding, vocab_size 17. Received: 18 pieces",
    ),
    "a vocabulary that is no text": (None, {"vocab.txt": b"\xff\xfe"}, "must be UTF-8"),
    "another tokenizer": (
        None,
        {"tokenizer.json": whole_tokenizer(model={"type": "BPE"})},
        "must have the model WordPiece. Received: 'BPE'",
    ),
    "ids with a gap": (
        None,
        {"tokenizer.json": whole_tokenizer(model={"type": "WordPiece", "vocab": {"[PAD]": 0, "a": 2}})},
        "must give each piece an id",
    ),
    "ids that are none": (
        None,
        {"tokenizer.json": whole_tokenizer(model={"type": "WordPiece", "vocab": {"[PAD]": []}})},
        "must give each piece an id",
    ),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_that_is_none_is_refused_in_a_line_and_leaves_nothing(tmp_path, monkeypatch, fails, name):
    monkeypatch.chdir(tmp_path)  # where a pickle would leave its mark
    tensors, files, message = FOLDERS[name]
    source = bert_folder.make(tmp_path / "source", tensors, **files)
    said = fails(import_weights.main, source, "--output", tmp_path / "run")
    assert re.search(message, said), said
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_a_run_that_is_there_is_kept(run, fails):
    said = fails(import_weights.main, run.parent / "source", "--output", run)
    assert "`output` must not exist" in said


def test_tensorflow_is_started_so_that_it_gives_memory_back(monkeypatch):
    seen = []
    monkeypatch.setattr(import_weights, "import_weights", lambda *_: seen.append(dict(os.environ)))
    for before, inside in ((None, "0"), ("1", "1")):
        monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
        if before is not None:
            monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", before)
        import_weights.main(["folder", "--output", "run"])
        assert seen.pop()["TF_ENABLE_ONEDNN_OPTS"] == inside
        assert os.environ.get("TF_ENABLE_ONEDNN_OPTS") == before

"""Folders of PyTorch's nn.Transformer become translators: its own answers, other files; what is refused."""

import pickle
import re

import numpy as np
import pytest
import tensorflow as tf

from keras_transformer import decoding
from keras_transformer.layers.positions import sinusoid
from keras_transformer.pipelines.translator import Translator
from keras_transformer.tokenizers.sentencepiece import opened
from tests import imported_runs, torch_folder
from tests.hostile_files import Pickled
from training import import_weights
from training.imports import torch_transformer
from training.imports.source_folder import SourceFolder

NUM_STEPS = 12  # as in fixtures/make_torch.py

pytestmark = pytest.mark.usefixtures("eager")


def read(folder):
    return torch_transformer.read(SourceFolder(folder))


def translator(found):
    search = decoding.Greedy(NUM_STEPS)
    return Translator(found.model, found.tokenizers["source"], found.tokenizers["target"], search, 32)


def names(name, side):
    """The pieces of a side in the order of the folder's ids."""
    folder = torch_folder.FOLDER / name
    if name == "words":
        return (folder / f"{side}.vocab").read_text(encoding="utf-8").split("\n")[:-1]
    model = opened((folder / "both.model").read_bytes())
    return [piece.decode() for piece in model.id_to_string(tf.range(model.vocab_size())).numpy()]


@pytest.mark.parametrize("name", ["words", "pieces"])
def test_ids_and_logits_are_the_originals(name):
    answers = torch_folder.read("answers.json", name)
    found = translator(read(torch_folder.FOLDER / name))
    tokenizers = {"source": found.source_tokenizer, "target": found.target_tokenizer}
    special = {"<pad>": 0, "<unk>": 1, **({"<bos>": 2, "<eos>": 3} if name == "words" else {"</s>": 3})}
    own = {
        side: imported_runs.own_ids(tokenizers[side], names(name, side), special)
        for side in ("source", "target")
    }
    source_ids = found.source_ids(tf.constant(answers["source_texts"])).numpy()
    np.testing.assert_array_equal(source_ids, imported_runs.padded(own["source"], answers["source_ids"]))

    target_ids = imported_runs.padded(own["target"], answers["prefixes"])
    target_ids[:, 0] = 2
    ids, expected = imported_runs.logits(own["target"], answers["logits"])
    logits = np.array(found.model({"source_ids": source_ids, "target_ids": target_ids}))
    np.testing.assert_allclose(logits[..., ids], expected, atol=5e-5)
    if name == "pieces":  # what begins is the end once more, and out of reach
        assert not np.array(tf.nn.softmax(logits))[..., 2].any()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["words", "pieces"])
def test_greedy_texts_are_the_originals(name, compiled):
    answers, found = torch_folder.read("answers.json", name), translator(read(torch_folder.FOLDER / name))
    assert found.translate(answers["source_texts"]) == answers["greedy"]["texts"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["words", "pieces"])
def test_ctranslate2_decodes_the_same(tmp_path, name):
    found = translator(read(torch_folder.FOLDER / name))
    imported_runs.check_ctranslate2(found, tmp_path, torch_folder.read("answers.json", name))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["words", "pieces"])
def test_a_run_is_measured_trained_further_exported_and_verified(tmp_path, capsys, name, compiled):
    run = tmp_path / "run"
    import_weights.main([str(torch_folder.FOLDER / name), "--output", str(run)])
    imported_runs.check_use(run, tmp_path, capsys, torch_folder.read("answers.json", name))


CONFIG = torch_folder.read("config.json")
TABLE, QUERY = "positions.table", "transformer.decoder.layers.1.multihead_attn.in_proj_weight"


def changed(name="words", **values):
    found = torch_folder.read("config.json", name) | values
    return {"config.json": {option: value for option, value in found.items() if value != "gone"}}


def without(*names):
    return {x: w for x, w in torch_folder.weights().items() if x not in names}


def made(folder, name="words", tensors=None, **files):
    return read(torch_folder.make(folder / "source", name, tensors, **files)).model


def test_other_names_and_positions_as_they_are_said_make_the_same_model(tmp_path):
    expected = read(torch_folder.FOLDER / "words").model
    tensors = {f"module.{name}": value for name, value in torch_folder.weights().items() if name != TABLE}
    named = {x: f"module.{CONFIG[x]}" for x in ("source_embedding", "target_embedding", "generator")}
    found = made(tmp_path, tensors=tensors, **changed(**named, positions="sinusoid"))
    for own, other in zip(found.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(own, other)


@pytest.mark.slow
def test_other_sinusoids_are_compared_and_logits_may_be_the_embedding(tmp_path):
    table = np.array(sinusoid(np.arange(32) + 2, 12, layout="halves", endpoint=True))
    tensors = without("generator.weight", "generator.bias") | {TABLE: table}
    options = {"name": "sinusoid", "tensor": TABLE, "layout": "halves", "endpoint": True, "first_position": 2}
    model = made(tmp_path, tensors=tensors, **changed(positions=options, generator="gone"))
    assert model.tie_logits and model.source_positions.first_position == 2
    assert not model.share_embeddings


@pytest.mark.slow
def test_special_tokens_that_there_are_none_of_are_out_of_reach(tmp_path):
    vocabulary = (
        torch_folder.FOLDER.joinpath("words", "source.vocab").read_bytes().replace(b"<unk>", b"unheard")
    )
    found = made(
        tmp_path, **{"source.vocab": vocabulary, "target.vocab": vocabulary}, **changed(unk_token=None)
    )
    assert np.array(found.target_embedding.logits_bias)[1] == -1000
    rows = np.array(found.source_embedding.embeddings)
    np.testing.assert_array_equal(rows[1], rows[0])


# What is seen only when the model is made.
LATE = {
    "a missing tensor",
    "a missing bias",
    "a surplus tensor",
    "logits that nobody named",
    "a wrong shape",
    "not finite",
}
# What is wrong -> (tensors, files, what the refusal says).
FOLDERS = {
    "a missing tensor": (without(QUERY), {}, f"must hold the tensor {QUERY}"),
    "a missing bias": (
        without("transformer.encoder.layers.1.linear2.bias"),
        {},
        "must hold the tensor transformer.encoder.layers.1.linear2.bias",
    ),
    "no embedding": (None, changed(target_embedding="embed.weight"), "must hold the tensor embed.weight"),
    "a surplus tensor": (
        torch_folder.weights() | {"pool.weight": np.zeros(3, "float32")},
        {},
        "must be those of config.json and the other tensors. Received: 1 more, .*'pool.weight'",
    ),
    "logits that nobody named": (None, changed(generator="gone"), "the first of them 'generator.bias'"),
    "a wrong shape": (
        torch_folder.weights() | {QUERY: np.zeros((36, 11), "float32")},
        {},
        rf"{QUERY} must have the shape \(36, 12\), by config.json and the other.*Received: \(36, 11\)",
    ),
    "an embedding of one axis": (
        torch_folder.weights() | {"source.weight": np.zeros(12, "float32")},
        {},
        r"source.weight must have 2 axes, none of them empty. Received: \(12,\)",
    ),
    "not finite": (
        torch_folder.weights() | {QUERY: np.full((36, 12), np.inf, "float32")},
        {},
        f"{QUERY} must be finite",
    ),
    "no layers": (
        {"source.weight": np.zeros((21, 12), "float32")},
        {},
        "must hold one nn.Transformer, one tensor with a name like encoder.layers.0.* Received: 0",
    ),
    "two of them": (
        torch_folder.weights() | {"b.encoder.layers.0.self_attn.in_proj_weight": np.zeros(1, "float32")},
        {},
        "must hold one nn.Transformer.*Received: 2",
    ),
    "a norm of one stack": (
        without("transformer.encoder.norm.weight", "transformer.encoder.norm.bias"),
        {},
        "Encoder and decoder must both end with a norm, or neither",
    ),
    "a pickle": (
        {},
        {"model.pt": pickle.dumps(Pickled())},
        "model.pt (is a pickle, which PyTorch alone reads here: .*save_model|must hold)",
    ),
    "no heads": (None, changed(nhead="gone"), "config.json must have nhead, which a state_dict cannot say"),
    "heads that are none": (None, changed(nhead="2"), "config.json must have nhead, of the type int"),
    "heads that do not divide": (None, changed(nhead=5), "must be a multiple of `num_heads`"),
    "an unknown option": (
        None,
        changed(batch_first=True),
        "must have no other options than model_type, nhead.*Received: 'batch_first'",
    ),
    "an unknown activation": (None, changed(activation="silu"), "must be 'relu' or 'gelu'. Received: 'silu'"),
    "no variance": (None, changed(layer_norm_eps=-1.0), "`norm_epsilon` must be .*Received: norm_epsilon=-1"),
    "no length": (None, changed(max_length=1), "max_length must be at least 2"),
    "controls that are none": (
        None,
        changed(source_controls=True),
        "source_controls .* must say start and end",
    ),
    "unknown positions": (
        None,
        changed(positions="rotary"),
        "positions .* must be sinusoid, learned or none",
    ),
    "unknown options of positions": (
        None,
        changed(positions={"name": "sinusoid", "tensor": TABLE, "base": 3}),
        "base",
    ),
    "another sinusoid": (
        None,
        changed(positions={"name": "sinusoid", "tensor": TABLE, "layout": "halves"}),
        "must be the sinusoid of config.json.*Received: a difference of",
    ),
    "a table of another width": (
        torch_folder.weights() | {TABLE: np.zeros((32, 11), "float32")},
        {},
        rf"{TABLE} must have a row of 12 for each position. Received: \(32, 11\)",
    ),
    "learned positions without a table": (
        None,
        changed(positions="learned"),
        "Learned positions must have their tensor",
    ),
    "no vocabulary": (None, changed(source_vocabulary="gone"), "must have source_vocabulary, a file in the"),
    "a vocabulary that leads out": (
        None,
        changed(source_vocabulary="../x"),
        "Files must lie in the folder",
    ),
    "no padding": (None, changed(pad_token="<blank>"), "must hold pad_token, '<blank>'"),
    "no end": (None, changed(eos_token=None), "bos_token and eos_token must be tokens"),
    "too many tokens": (
        None,
        {"source.vocab": "\n".join(map(str, range(40))).encode() + b"\n<unk>\n<pad>\n<bos>\n<eos>"},
        "must have at most as many tokens as the embedding has rows, .* Received: 44",
    ),
    "a model of no pieces": (
        None,
        {"source.vocab": b"x"} | changed(source_vocabulary="gone", source_sentencepiece="source.vocab"),
        "source.vocab must be a model of SentencePiece",
    ),
}


@pytest.mark.parametrize(
    "name", [pytest.param(x, marks=pytest.mark.slow) if x in LATE else x for x in FOLDERS]
)
def test_a_folder_that_is_none_is_refused_in_a_line_and_leaves_nothing(tmp_path, fails, name):
    tensors, files, message = FOLDERS[name]
    source = torch_folder.make(tmp_path / "source", tensors=tensors, **files)
    said = fails(import_weights.main, source, "--output", tmp_path / "run")
    assert re.search(message, said), said
    assert [path.name for path in tmp_path.iterdir()] == ["source"]

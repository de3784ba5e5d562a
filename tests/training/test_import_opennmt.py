"""OpenNMT-tf's folders become translators: its own answers, other files; what is refused."""

import json
import re

import numpy as np
import pytest
import tensorflow as tf

from keras_transformer import decoding
from keras_transformer.pipelines.translator import Translator
from tests import imported_runs, opennmt_folder
from training import import_weights, predict
from training.imports import opennmt
from training.imports.source_folder import SourceFolder

NUM_STEPS = 12  # as in fixtures/make_opennmt.py

pytestmark = pytest.mark.usefixtures("eager")


def read(folder):
    return opennmt.read(SourceFolder(folder))


def translator(found, search):
    return Translator(found.model, found.tokenizers["source"], found.tokenizers["target"], search, 64)


@pytest.mark.parametrize("name", ["plain", "relative", "post"])
def test_ids_and_logits_are_the_originals(name):
    answers = opennmt_folder.read("answers.json", name)
    found = translator(read(opennmt_folder.FOLDER / name), decoding.Greedy(NUM_STEPS))
    own = {
        side: imported_runs.own_ids(
            getattr(found, f"{side}_tokenizer"), opennmt_folder.vocabulary(name, side), opennmt_folder.SPECIAL
        )
        for side in ("source", "target")
    }
    texts = answers["source_texts"]
    source_ids = found.source_ids(tf.constant(texts)).numpy()
    expected = imported_runs.padded(own["source"], answers["source_ids"])
    # What was trained without an end token does not see ours.
    seen = np.where(source_ids == 3, 0, source_ids) if name == "plain" else source_ids
    np.testing.assert_array_equal(seen[:, : expected.shape[1]], expected)

    target_ids = imported_runs.padded(own["target"], answers["prefixes"])
    ids, expected = imported_runs.logits(own["target"], answers["logits"])
    logits = np.array(found.model({"source_ids": source_ids, "target_ids": target_ids}))
    np.testing.assert_allclose(logits[..., ids], expected, atol=5e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plain", "relative", "post"])
def test_searches_find_what_the_originals_do(name, compiled):
    answers = opennmt_folder.read("answers.json", name)
    for kind, search in (
        ("greedy", decoding.Greedy(NUM_STEPS)),
        ("beam", decoding.BeamSearch(NUM_STEPS, alpha=0.0)),
    ):
        found = translator(read(opennmt_folder.FOLDER / name), search)
        best = [hypotheses[0] for hypotheses in found.hypotheses(answers["source_texts"])]
        assert [one.text for one in best] == answers[kind]["texts"]
        if kind == "greedy":  # the scores of its beam search do not move with the hypotheses
            np.testing.assert_allclose([one.score for one in best], answers[kind]["scores"], atol=1e-4)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = tmp_path_factory.mktemp("imported") / "run"
    import_weights.main([str(opennmt_folder.FOLDER / "plain"), "--output", str(run)])
    return run


def test_a_run_says_where_it_came_from(run):
    facts = json.loads((run / "imported.json").read_text())
    assert facts["model_type"] == "opennmt_tf" and not facts["left_out"]
    files = {"checkpoint", "ckpt-1.index", "ckpt-1.data-00000-of-00001", "config.json", "data.yml"}
    assert set(facts["sha256"]) == {*files, "source.vocab", "target.vocab"}


@pytest.mark.slow
def test_a_run_translates(run, capsys):
    answers = opennmt_folder.read("answers.json")
    predict.main(["--run", str(run), "--beam", "1", answers["source_texts"][3], ""])
    assert capsys.readouterr().out.splitlines() == [answers["greedy"]["texts"][3], ""]


def made(folder, name="plain", **changes):
    return read(opennmt_folder.make(folder / "source", name, **changes)).model


def yaml(name="plain", **data):
    """The data.yml of a folder with another `data`; YAML has JSON in it."""
    told = {side: {"plain": f"{side}.vocab", "relative": "both.vocab"}[name] for side in ("source", "target")}
    return {"data.yml": {"data": {f"{side}_vocabulary": file for side, file in told.items()} | data}}


@pytest.mark.slow
def test_a_model_of_the_catalog_needs_no_config(tmp_path):
    # What `onmt-main` writes; the way to the checkpoint is that of another machine.
    described = (
        b'from opennmt import models\nmodel = lambda: models.get_model_from_catalog("TransformerTiny")\n'
    )
    files = {"config.json": None, "model_description.py": described}
    files["checkpoint"] = b'model_checkpoint_path: "/home/me/run/ckpt-1"\n'
    assert made(tmp_path, **files).num_heads == 2


@pytest.mark.slow
def test_positions_of_shaw_say_the_heads_and_other_options_are_read(tmp_path):
    assert not (opennmt_folder.FOLDER / "relative" / "config.json").exists()
    config = {"model_type": "opennmt_tf", "num_heads": 4, "activation": "gelu", "dropout": 0.3}
    model = made(tmp_path, **{"config.json": config}, **yaml(source_tokenization={"type": "SpaceTokenizer"}))
    assert (model.num_heads, model.activation.__name__, model.dropout) == (4, "gelu", 0.3)
    assert not model.reads_source_end and model.num_decoder_layers == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plain", "relative", "post"])
def test_a_run_is_measured_trained_further_exported_and_verified(tmp_path, capsys, name, compiled):
    run = tmp_path / "run"
    import_weights.main([str(opennmt_folder.FOLDER / name), "--output", str(run)])
    imported_runs.check_use(run, tmp_path, capsys, opennmt_folder.read("answers.json", name))


@pytest.mark.parametrize(
    "name",
    ["relative", pytest.param("plain", marks=pytest.mark.slow), pytest.param("post", marks=pytest.mark.slow)],
)
def test_ctranslate2_decodes_the_same(tmp_path, name):
    found = translator(read(opennmt_folder.FOLDER / name), decoding.Greedy(NUM_STEPS))
    imported_runs.check_ctranslate2(found, tmp_path, opennmt_folder.read("answers.json", name))


def without(name):
    return {x: w for x, w in opennmt_folder.weights().items() if x != name}


def checkpoint(folder, name):
    return (opennmt_folder.FOLDER / folder / name).read_bytes()


QUERY = "model/decoder/layers/1/attention/0/layer/linear_queries/kernel"
TARGET = "model/examples_inputter/labels_inputter/embedding"
INDEX, DATA = "ckpt-1.index", "ckpt-1.data-00000-of-00001"
CONFIG = {"model_type": "opennmt_tf", "num_heads": 2}
TOKENS = b"<blank>\n<s>\n</s>\n"
AGGRESSIVE = {"type": "OpenNMTTokenizer", "params": {"mode": "aggressive", "joiner_annotate": True}}
# What is seen only when the model is made.
LATE = {
    "a missing tensor",
    "a surplus tensor",
    "a wrong shape",
    "not finite",
    "integers",
    "another's data",
}
# What is wrong -> (tensors, files, what the refusal says).
FOLDERS = {
    "a missing tensor": (without(QUERY), {}, f"must hold the tensor {QUERY}"),
    "no embedding": (
        without("model/examples_inputter/features_inputter/embedding"),
        {},
        "must hold the tensor model/examples_inputter/features_inputter/embedding",
    ),
    "no embedding of the target": (without(TARGET), {}, f"must be the same where .*without {TARGET}"),
    "a surplus tensor": (
        opennmt_folder.weights() | {"model/encoder/position_encoder/embedding": np.zeros(12, "float32")},
        {},
        "Received: 1 more, the first of them 'model/encoder/position_encoder/embedding'",
    ),
    "a wrong shape": (
        opennmt_folder.weights() | {QUERY: np.zeros((12, 11), "float32")},
        {},
        rf"{QUERY} must have the shape \(12, 12\), by the other tensors.*Received: \(12, 11\)",
    ),
    "an embedding of one axis": (
        opennmt_folder.weights()
        | {"model/examples_inputter/features_inputter/embedding": np.zeros(12, "float32")},
        {},
        r"must have 2 axes, none of them empty. Received: \(12,\)",
    ),
    "not finite": (
        opennmt_folder.weights() | {QUERY: np.full((12, 12), np.nan, "float32")},
        {},
        f"{QUERY} must be finite",
    ),
    "integers": (opennmt_folder.weights() | {QUERY: np.zeros((12, 12), "int64")}, {}, "Received: int64"),
    "no checkpoint": (None, {"checkpoint": None}, "The file checkpoint must name a checkpoint"),
    "a checkpoint that is none": (None, {"checkpoint": b"\x80\x04"}, "checkpoint must be UTF-8"),
    "a checkpoint that is gone": (
        None,
        {"checkpoint": b'model_checkpoint_path: "ckpt-2"'},
        "The checkpoint must have ckpt-2.index and its data",
    ),
    "a checkpoint elsewhere": (
        None,
        {"checkpoint": b'model_checkpoint_path: "../../ckpt-3"'},
        "The checkpoint must have ckpt-3.index",
    ),
    "no data": (None, {DATA: None}, "The checkpoint must have ckpt-1.index and its data"),
    "an index of nothing": (None, {INDEX: b""}, "ckpt-1.index must be a checkpoint of TensorFlow"),
    "half an index": (None, {INDEX: checkpoint("plain", INDEX)[:3000]}, "ckpt-1.index must be a checkpoint"),
    "half the data": (
        None,
        {DATA: checkpoint("plain", DATA)[:9000]},
        "ckpt-1.index must not claim more than its data have",
    ),
    "another's data": (None, {DATA: b"x" * 60_000}, "ckpt-1 must be a checkpoint of TensorFlow"),
    "no YAML": (None, {"data.yml": None}, "holds its run's YAML, data.yml or"),
    "no mapping": (None, {"data.yml": [3]}, "data.yml must have data, with vocabularies"),
    "no YAML inside": (None, {"data.yml": b"data: {"}, "data.yml must be YAML in UTF-8"),
    "an object in it": (None, {"data.yml": b"data: !!python/object:os.system {}"}, "data.yml must be YAML"),
    "no vocabulary": (None, yaml(source_vocabulary="x.vocab"), "source_vocabulary of data must be a file"),
    "a vocabulary that leads out": (
        None,
        yaml(target_vocabulary="../target.vocab"),
        "Files must lie in the folder",
    ),
    "a vocabulary of others": (
        None,
        {"source.vocab": b"<unk>\n<pad>\nthe\n"},
        r"source.vocab must begin with <blank>, <s>, </s>. Received: \['<unk>'",
    ),
    "too few tokens": (
        None,
        {"source.vocab": TOKENS},
        "source.vocab must be a vocabulary. .*Received: 4 pieces",
    ),
    "a token twice": (
        None,
        {"source.vocab": TOKENS + b"dog\ndog\n"},
        "source.vocab must be a vocabulary. Received: .*'dog' as number 5",
    ),
    "no text": (None, {"source.vocab": b"\xff\n"}, "source.vocab must be UTF-8"),
    "heads of a user's model": (
        None,
        {"config.json": {"model_type": "opennmt_tf"}},
        "config.json must have num_heads for a model that is not of the catalog",
    ),
    "an unknown option": (
        None,
        {"config.json": CONFIG | {"num_head": 2}},
        "must have no other options than model_type, num_heads.*Received: 'num_head'",
    ),
    "an unknown activation": (
        None,
        {"config.json": CONFIG | {"activation": "tanh"}},
        "`activation` of config.json must be 'relu' or 'gelu' or 'silu'. Received: 'tanh'",
    ),
    "heads that do not divide": (
        None,
        {"config.json": CONFIG | {"num_heads": 5}},
        "must be a multiple of `num_heads`",
    ),
    "controls that are none": (
        None,
        yaml(source_sequence_controls={"begin": True}),
        "source_sequence_controls must say start and end, true or false. Received: {'begin': True}",
    ),
    "controls that nobody wrote": (
        None,
        {"model_description.py": b'models.get_model_from_catalog("ScalingNmtEnDe")'},
        "must have source_sequence_controls for ScalingNmtEnDe",
    ),
    "an own tokenizer": (
        None,
        yaml(source_tokenization=AGGRESSIVE),
        "source_tokenization must be SpaceTokenizer.*texts are tokens.*Received: .*aggressive",
    ),
    "a tokenizer that is gone": (
        None,
        yaml(target_tokenization={"mode": "none", "sp_model_path": "x.model"}),
        "The folder must hold x.model, a model of SentencePiece",
    ),
    "a tokenizer that is none": (None, yaml(source_tokenization=3), "must be a mapping, or a file with one"),
}


@pytest.mark.parametrize(
    "name", [pytest.param(x, marks=pytest.mark.slow) if x in LATE else x for x in FOLDERS]
)
def test_a_folder_that_is_none_is_refused_in_a_line_and_leaves_nothing(tmp_path, fails, name):
    tensors, files, message = FOLDERS[name]
    source = opennmt_folder.make(tmp_path / "source", tensors=tensors, **files)
    said = fails(import_weights.main, source, "--output", tmp_path / "run")
    assert re.search(message, said), said
    assert [path.name for path in tmp_path.iterdir()] == ["source"]

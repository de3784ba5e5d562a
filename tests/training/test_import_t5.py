"""T5's folders become translators: the library's own answers, other files; what is refused."""

import json
import re

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_transformer import decoding, tokenizers
from keras_transformer.pipelines.translator import Translator
from keras_transformer.saving.layer_paths import weight_paths
from serving import export, verify
from tests import t5_folder
from training import evaluate, import_weights, predict, train
from training.imports import t5
from training.imports.source_folder import SourceFolder

NUM_STEPS = 12  # as in fixtures/make_marian.py


pytestmark = pytest.mark.usefixtures("eager")


def imported(folder, name="first", **changes):
    run = folder / "run"
    source = t5_folder.make(folder / "source", name, **changes)
    import_weights.main([str(source), "--output", str(run)])
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return imported(tmp_path_factory.mktemp("imported"))


@pytest.mark.parametrize("name", ["first", "second"])
def test_ids_logits_and_texts_are_the_librarys(tmp_path, name):
    found = Translator.from_run(imported(tmp_path, name), lambda _: decoding.Greedy(NUM_STEPS))
    answers, tokenizer = t5_folder.read("answers.json", name), found.target_tokenizer
    source_ids = t5_folder.own_ids(tokenizer, answers["source_ids"])
    np.testing.assert_array_equal(found.source_ids(tf.constant(answers["source_texts"])), source_ids)
    target_ids = t5_folder.own_ids(tokenizer, answers["target_ids"])
    tokens = tokenizer.tokenize(tf.constant(answers["target_texts"])).to_tensor()
    np.testing.assert_array_equal(np.where(target_ids == 3, 0, target_ids)[:, :-1], tokens)
    texts = [text.decode() for text in tokenizer.detokenize(target_ids).numpy()]
    # The library keeps a space before what it leaves out.
    assert [without_sentinels(text) for text in texts] == [text.strip() for text in answers["texts"]]

    prefixes = t5_folder.own_ids(tokenizer, answers["prefixes"])
    prefixes[:, 0] = 2  # what begins, where the library has its padding
    logits = np.array(found.model({"source_ids": source_ids, "target_ids": prefixes}))
    # What was added has no share: log-probabilities are those of the library.
    assert not np.array(tf.nn.softmax(logits))[..., 2].any()
    order = np.delete(t5_folder.order(tokenizer), 2)
    expected = np.array(answers["logits"])[..., order] / 1e5
    np.testing.assert_allclose(np.delete(logits, 2, axis=-1), expected, atol=5e-5)

    # Each search on one of them: both would take their time.
    kind = "beam" if name == "first" else "greedy"
    search = decoding.BeamSearch(NUM_STEPS, alpha=0.0) if kind == "beam" else decoding.Greedy(NUM_STEPS)
    ids, _ = decoding.generate_n_best(found.model, {"source_ids": source_ids}, search)
    expected = t5_folder.own_ids(tokenizer, answers[kind]["ids"])
    np.testing.assert_array_equal(np.array(ids)[:, 0, : expected.shape[1]], expected)


def without_sentinels(text):
    """As the library writes a text without special tokens."""
    return re.sub(" ?<extra_id_[0-9]+>", "", text)


CONFIG = t5_folder.read("config.json")


def model_of(folder):
    return t5.read(SourceFolder(folder)).model


def own_weights(model):
    return {path: np.array(ops.convert_to_numpy(value)) for path, value in weight_paths(model).items()}


def changed(name="first", **values):
    return {"config.json": t5_folder.read("config.json", name) | values}


@pytest.mark.parametrize("name", ["tf_model.h5", "half, with copies", "spiece.model as tokenizer.json"])
def test_the_same_weights_in_other_files_are_the_same_model(tmp_path, run, name):
    tensors, files, atol = t5_folder.weights(), {}, 0
    if name == "tf_model.h5":
        t5_folder.save_keras_file(tensors, tmp_path / name)
        tensors, files = {}, {name: (tmp_path / name).read_bytes()}
    elif "half" in name:
        for copy in ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"):
            tensors[copy] = tensors["shared.weight"]
        unused = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
        tensors[unused] = np.zeros((8, 2), "float32")
        tensors = {x: w.astype("float16") for x, w in tensors.items()}
        atol = 1e-2
    else:
        whole = (t5_folder.FOLDER / "second" / "tokenizer.json").read_bytes()
        files = {"spiece.model": None, "tokenizer.json": whole}
    source = t5_folder.make(tmp_path / "source", tensors=tensors, **files)
    found, expected = own_weights(model_of(source)), own_weights(Translator.from_run(run).model)
    assert found.keys() == expected.keys()
    for path, value in found.items():
        np.testing.assert_allclose(value, expected[path], atol=atol, err_msg=path)


def test_a_decoder_of_fewer_layers_keeps_the_first_of_them(tmp_path, run):
    tensors = {x: w for x, w in t5_folder.weights().items() if "decoder.block.1." not in x}
    source = t5_folder.make(tmp_path / "source", tensors=tensors, **changed(num_decoder_layers=1))
    own, whole = own_weights(model_of(source)), own_weights(Translator.from_run(run).model)
    assert len(own) < len(whole) and not [path for path in own if path.startswith("decoder/layer_1/")]
    for path in own.keys() & whole.keys():  # the one table of positions counts as the last layer's
        np.testing.assert_array_equal(own[path], whole[path], err_msg=path)


@pytest.mark.parametrize(
    ("name", "values", "is_scaled"),
    [
        ("first", {}, True),
        ("second", {}, False),
        ("second", {"tie_word_embeddings": True, "scale_decoder_outputs": False}, False),  # transformers 5
        ("second", {"tie_word_embeddings": True}, True),
        ("first", {"model_type": "mt5"}, False),
    ],
)
def test_what_becomes_logits_is_scaled_where_a_folder_says_so(tmp_path, name, values, is_scaled):
    model = model_of(t5_folder.make(tmp_path / "source", name, **changed(name, **values)))
    assert model.logits_scale == (pytest.approx(12**-0.5) if is_scaled else None)
    assert model.tie_logits == (name == "first")


def test_a_run_says_where_it_came_from_and_translates(run, capsys):
    facts = json.loads((run / "imported.json").read_text())
    assert facts["model_type"] == "t5" and not facts["left_out"]
    assert {"spiece.model", "model.safetensors"} < set(facts["sha256"])
    capsys.readouterr()
    answers = t5_folder.read("answers.json")
    predict.main(["--run", str(run), "--beam", "1", answers["source_texts"][0], ""])
    assert capsys.readouterr().out.splitlines() == [answers["greedy"]["texts"][0], ""]


@pytest.mark.parametrize("name", ["first", "second"])
def test_ctranslate2_decodes_the_same_pieces(tmp_path, name):
    ctranslate2 = pytest.importorskip("ctranslate2", reason="ctranslate2 is not installed")
    run, output = imported(tmp_path, name), tmp_path / "converted"
    export.main(["--run", str(run), "--output", str(output), "--format", "ctranslate2"])
    tokenizer, answers = tokenizers.load(run / "tokenizer" / "source"), t5_folder.read("answers.json", name)

    def pieces(rows):
        return [[piece.decode() for piece in tokenizer.id_to_piece(row).numpy()] for row in rows]

    found = ctranslate2.Translator(str(output), intra_threads=1).translate_batch(
        pieces(tokenizer.tokenize(answers["source_texts"])),
        beam_size=1,
        max_decoding_length=NUM_STEPS,
        min_decoding_length=0,
        suppress_sequences=[["<pad>"], ["<s>"]],
    )
    expected = t5_folder.own_ids(tokenizer, answers["greedy"]["ids"])
    expected = pieces([[x for x in row if x not in (0, 3)] for row in expected])
    for text, result, row in zip(answers["source_texts"], found, expected, strict=True):
        assert not text or result.hypotheses[0] == row  # of nothing it makes nothing


@pytest.mark.slow
@pytest.mark.parametrize("name", ["first", "second"])
def test_a_run_is_measured_trained_further_exported_and_verified(tmp_path, capsys, name, compiled):
    run = imported(tmp_path, name)
    (tmp_path / "x").write_text("green: two dogs sleeps\n" * 8)
    (tmp_path / "y").write_text("zwei Hunde schläft\n" * 8)
    files = [str(tmp_path / side) for side in ("x", "y")]
    evaluate.main(["--run", str(run), "--files", *files, "--beam", "1"])
    assert "BLEU" in capsys.readouterr().out
    own = ["--config", str(run / "config.yaml"), "--output", str(tmp_path / "tuned")]
    own += ["--data.train", json.dumps(files), "--data.max_length", "16", "--fit.epochs", "1"]
    own += ["--checkpoints.monitor", "loss", "--fit.jit_compile", "off"]
    train.main([*own, "--initial.run", str(run)])
    before, after = (own_weights(Translator.from_run(x).model) for x in (run, tmp_path / "tuned"))
    assert any((before[path] != after[path]).any() for path in before)

    export.main(["--run", str(run), "--output", str(tmp_path / "exported"), "--beam", "1"])
    verify.main([str(tmp_path / "exported")])
    answers = t5_folder.read("answers.json", name)
    served = tf.saved_model.load(tmp_path / "exported" / "1").signatures["translate"]
    found = served(text=tf.constant(answers["source_texts"]))["translation"].numpy()
    for number, ids in enumerate(answers["greedy"]["ids"]):
        # Nothing is made of an empty text, and the library's were cut.
        if answers["source_texts"][number] and 0 in ids:
            assert without_sentinels(found[number].decode()) == answers["greedy"]["texts"][number]


def without(name):
    return {x: w for x, w in t5_folder.weights().items() if x != name}


def whole(**changes):
    """The second's tokenizer.json in the place of spiece.model, with another model."""
    found = t5_folder.read("tokenizer.json", "second")
    model = found["model"] | {x: v for x, v in changes.items() if x in found["model"]}
    return {"spiece.model": None, "tokenizer.json": found | changes | {"model": model}}


QUERY = "decoder.block.1.layer.1.EncDecAttention.q.weight"
TABLE = "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
SIZE = CONFIG["vocab_size"]
# What is wrong -> (tensors, files, what the refusal says).
FOLDERS = {
    "a missing tensor": (without(QUERY), {}, f"must hold the tensor {QUERY}"),
    "no table": (without(TABLE), {}, f"must hold the tensor {TABLE}"),
    "no embedding": (without("shared.weight"), {}, "must hold the tensor shared.weight"),
    "a surplus tensor": (
        t5_folder.weights() | {"decoder.block.2.layer.2.layer_norm.weight": np.zeros(12, "float32")},
        {},
        "Received: 1 more, the first of them 'decoder.block.2.layer.2.layer_norm.weight'",
    ),
    "a wrong shape": (
        t5_folder.weights() | {QUERY: np.zeros((12, 10), "float32")},
        {},
        rf"{QUERY} must have the shape \(10, 12\), by config.json. Received: \(12, 10\)",
    ),
    "too many pieces": (None, changed(vocab_size=SIZE - 3), f"at most as many .*{SIZE - 3}, sentinels incl"),
    "another size": (None, changed(vocab_size=SIZE + 8), "The tensor shared.weight must have the shape"),
    "no tokenizer": (
        None,
        {"spiece.model": None},
        "holds spiece.model or tokenizer.json. Received: .*neither",
    ),
    "a model that is none": (
        None,
        {"spiece.model": b"x" * 9},
        "spiece.model must be a model of SentencePiece",
    ),
    "Marian's pieces": (
        None,
        {"spiece.model": (t5_folder.FOLDER.parent / "marian/shared/source.spm").read_bytes()},
        "spiece.model must begin with the pieces <pad>, </s>, <unk>. Received: '?<unk>, <s>, </s>",
    ),
    "sentinels without number": (
        None,
        {"tokenizer_config.json": {"extra_ids": "3"}},
        "extra_ids of tokenizer_config.json must be a number from 0 to 10000. Received: '3'",
    ),
    "a token of the user's": (
        None,
        {"tokenizer_config.json": {"extra_ids": 3, "added_tokens_decoder": {"63": {"content": "<more>"}}}},
        "T5's pieces and sentinels alone. Received: '<more>' as number 63",
    ),
    "byte-level pieces": (None, whole(type="BPE"), "must have a Unigram model .*Received: 'BPE'"),
    "a vocabulary of texts": (None, whole(vocab=["a"]), "vocab of tokenizer.json must be pairs"),
    "a score that is none": (None, whole(vocab=[["<pad>", 1e300]]), "vocab of tokenizer.json must be pairs"),
    "no unknown piece": (None, whole(unk_id=None), "tokenizer.json must hold T5's pieces"),
    "tokens besides": (
        None,
        whole(added_tokens=[{"id": 200, "content": "<more>"}]),
        "added_tokens of tokenizer.json must be in its vocab. Received: .*<more>",
    ),
    "other normalisation": (
        None,
        whole(normalizer={"type": "Lowercase"}),
        "tokenizer.json must have the normalizer Precompiled, in base 64. Received: .*Lowercase",
    ),
    "a table that is none": (
        None,
        whole(normalizer={"type": "Precompiled", "precompiled_charsmap": "?"}),
        "tokenizer.json must have the normalizer Precompiled",
    ),
    "another beginning": (
        None,
        changed(decoder_start_token_id=3),
        "`decoder_start_token_id` of config.json must be 0. Received: 3",
    ),
    "another end": (None, changed(eos_token_id=2), "`eos_token_id` of config.json must be 1. Received: 2"),
    "a number of layers that is none": (
        None,
        changed(num_decoder_layers="1"),
        "must have num_decoder_layers, of the type int",
    ),
    "an unknown network": (
        None,
        changed(feed_forward_proj="gated-tanh"),
        "`feed_forward_proj` of config.json",
    ),
    "buckets that do not halve": (
        None,
        changed(relative_attention_num_buckets=6),
        "`num_buckets` must be a multiple of 4. Received: num_buckets=6",
    ),
    "no sizes": (None, changed(d_kv=None), "config.json must have d_kv, of the type int. Received: None"),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_that_is_none_is_refused_in_a_line_and_leaves_nothing(tmp_path, fails, name):
    tensors, files, message = FOLDERS[name]
    source = t5_folder.make(tmp_path / "source", tensors=tensors, **files)
    said = fails(import_weights.main, source, "--output", tmp_path / "run")
    assert re.search(message, said), said
    assert [path.name for path in tmp_path.iterdir()] == ["source"]

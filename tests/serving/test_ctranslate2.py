"""CTranslate2 on a folder that was written here: it must compute what the model computes."""

import json
import sys

import keras
import numpy as np
import pytest

from keras_transformer import decoding, models, tokenizers
from keras_transformer.special_ids import END_ID, PAD_ID, START_ID
from serving import ctranslate2_format, export

ctranslate2 = pytest.importorskip("ctranslate2", reason="ctranslate2 is not installed")

MAX_LENGTH = 19
SEED = 4
SENTENCES = ["3 février 1987", "March 5, 2031", "среда, 5 марта 2031 г.", "2031년 3월 5일"] * 5
SIZES = dict(num_layers=2, hidden_dim=16, num_heads=2, intermediate_dim=23)
VARIANTS = {
    "norm after, shared, sinusoid, relu": dict(share_embeddings=True),
    "norm after, separate, learned, swish, logits with a bias": dict(
        max_length=MAX_LENGTH, activation="swish", embedding_scale=1.5, use_logits_bias=True
    ),
    "norm first, separate, sinusoid, gelu, logits of their own": dict(
        norm_first=True, activation="gelu", tie_logits=False, logits_scale=0.5
    ),
    "as T5": dict(
        norm_first=True,
        key_dim=5,
        normalization="rms_norm",
        use_bias=False,
        activation="geglu_tanh",
        positions={"name": "relative_bias", "num_buckets": 8, "max_distance": 12},
        share_embeddings=True,
        embedding_scale=1.0,
        logits_scale=0.25,
    ),
    "norm first, shared, learned, relu": dict(norm_first=True, share_embeddings=True, max_length=MAX_LENGTH),
}


@pytest.fixture(scope="module")
def tokenizer():
    return tokenizers.SentencePieceTokenizer.train(SENTENCES, vocabulary_size=307)


@pytest.fixture(scope="module")
def other_tokenizer():
    return tokenizers.SentencePieceTokenizer.train(SENTENCES, vocabulary_size=311)


def make_model(source_tokenizer, target_tokenizer, **options):
    """A tiny model in which every weight is random, biases and norms too."""
    keras.utils.set_random_seed(SEED)
    model = models.Transformer(
        source_tokenizer.vocabulary_size, target_tokenizer.vocabulary_size, **{**SIZES, **options}
    )
    model.build()
    rng = np.random.default_rng(SEED)
    model.set_weights([weight + rng.normal(0, 0.3, weight.shape) for weight in model.get_weights()])
    # A long vector for the end token, so that some answers end.
    embedding = model.target_embedding
    matrix = embedding.embeddings if model.tie_logits else embedding.reverse_embeddings
    table = np.array(keras.ops.convert_to_numpy(matrix))
    if model.tie_logits:
        table[END_ID] *= 2.5
    else:
        table[:, END_ID] *= 5
    matrix.assign(table)
    return model


# Between the first, which has the defaults, and the last, which has hardly one of them, lies nothing new.
USUAL = list(VARIANTS.values())
for place in (1, 2, 4):
    USUAL[place] = pytest.param(USUAL[place], marks=pytest.mark.slow)


@pytest.fixture(scope="module", params=USUAL, ids=VARIANTS.keys())
def written(request, tokenizer, other_tokenizer, tmp_path_factory):
    """A model, its two tokenizers, and the folder that was written of them."""
    target = tokenizer if request.param.get("share_embeddings") else other_tokenizer
    model = make_model(tokenizer, target, **request.param)
    folder = tmp_path_factory.mktemp("ctranslate2") / "new" / "model"
    assert ctranslate2_format.write(model, tokenizer, target, folder) == folder
    return model, tokenizer, target, folder


def load(folder):
    return ctranslate2.Translator(str(folder), intra_threads=1)


def random_rows(vocabulary_size, count=50):
    """Id rows of all lengths from 1 to MAX_LENGTH - 1, without special ids."""
    rng = np.random.default_rng(7)
    lengths = 1 + np.arange(count) % (MAX_LENGTH - 1)
    return [rng.integers(4, vocabulary_size, length).tolist() for length in lengths]


def pieces(tokenizer, rows):
    return [[piece.decode("utf-8") for piece in tokenizer.id_to_piece(row).numpy()] for row in rows]


def padded(rows):
    width = max(map(len, rows))
    return np.array([row + [PAD_ID] * (width - len(row)) for row in rows], "int32")


def test_greedy_search_gives_the_same_tokens(written):
    model, source, target, folder = written
    rows = random_rows(source.vocabulary_size)
    inputs = {"source_ids": padded([[*row, END_ID] for row in rows])}
    ids, _ = decoding.generate(model, inputs, decoding.Greedy(max_length=MAX_LENGTH))
    ids = keras.ops.convert_to_numpy(ids)
    results = load(folder).translate_batch(
        pieces(source, rows),
        beam_size=1,
        max_decoding_length=MAX_LENGTH,
        min_decoding_length=0,
        suppress_sequences=[["<pad>"], ["<s>"]],
    )
    expected = [[id for id in row if id not in (PAD_ID, END_ID)] for row in ids.tolist()]
    assert [result.hypotheses[0] for result in results] == pieces(target, expected)
    assert len(set(map(tuple, expected))) > 15, "the test needs answers that depend on the source"
    assert END_ID in ids, "the test needs answers that end"


def test_the_probability_of_each_given_token_is_the_same(written):
    compare_probabilities(*written)


def test_the_decoder_may_have_fewer_layers_than_the_encoder(tokenizer, tmp_path):
    model = make_model(tokenizer, tokenizer, share_embeddings=True, num_decoder_layers=1)
    ctranslate2_format.write(model, tokenizer, tokenizer, tmp_path / "model")
    compare_probabilities(model, tokenizer, tokenizer, tmp_path / "model")


def compare_probabilities(model, source, target, folder):
    source_rows = random_rows(source.vocabulary_size)
    target_rows = random_rows(target.vocabulary_size)[::-1]
    inputs = {
        "source_ids": padded([[*row, END_ID] for row in source_rows]),
        "target_ids": padded([[START_ID, *row] for row in target_rows]),
    }
    log_probs = keras.ops.convert_to_numpy(keras.ops.log_softmax(model(inputs)))
    results = load(folder).score_batch(pieces(source, source_rows), pieces(target, target_rows))
    for row, target_row, result in zip(log_probs, target_rows, results, strict=True):
        labels = [*target_row, END_ID]
        expected = row[np.arange(len(labels)), labels]
        np.testing.assert_allclose(result.log_probs, expected, atol=1e-4)


def test_int8_is_smaller_and_close_and_leaves_the_model_as_it_was(tokenizer, tmp_path):
    model = make_model(tokenizer, tokenizer, share_embeddings=True)
    before = model.get_weights()
    rows = pieces(tokenizer, random_rows(tokenizer.vocabulary_size))
    sizes, scores = [], []
    for quantization in (None, "int8"):
        folder = tmp_path / str(quantization)
        ctranslate2_format.write(model, tokenizer, tokenizer, folder, quantization, max_length=MAX_LENGTH)
        sizes.append((folder / "model.bin").stat().st_size)
        scores.append(np.concatenate([result.log_probs for result in load(folder).score_batch(rows, rows)]))
    assert sizes[1] < 0.5 * sizes[0]
    assert 0 < np.abs(scores[1] - scores[0]).mean() < 0.1
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_the_folder_holds_what_ctranslate2_reads_and_everybody_may_read_it(written):
    model, _, _, folder = written
    names = {"shared_vocabulary.json"} if model.share_embeddings else set()
    names = names or {"source_vocabulary.json", "target_vocabulary.json"}
    assert {path.name for path in folder.iterdir()} == {"model.bin", "config.json", "tokenizer", *names}
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    assert folder.stat().st_mode & 0o755 == 0o755
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert config["layer_norm_epsilon"] == model.encoder.norm_epsilon


def test_a_source_beyond_the_table_of_positions_is_an_error_there(tokenizer, tmp_path):
    model = make_model(tokenizer, tokenizer)
    folder = ctranslate2_format.write(model, tokenizer, tokenizer, tmp_path / "model", max_length=7)
    rows = pieces(tokenizer, [[5] * 6, [5] * 7])
    assert load(folder).translate_batch(rows[:1], max_decoding_length=7)
    with pytest.raises(RuntimeError, match="position"):
        load(folder).translate_batch(rows[1:], max_decoding_length=7)


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(positions="rotary"), "positions that are added.*Received: positions='rotary'"),
        (
            dict(positions={"name": "relative_bias", "bidirectional": True}, qk_norm="rms_norm"),
            "Received: qk_norm='rms_norm', positions={'name': 'relative_bias', 'bidirectional': True}",
        ),
        (dict(num_key_value_heads=1, sliding_window=3), "Received: num_key_value_heads=1, sliding_window=3"),
        (dict(activation="bilinear"), "relu, gelu and swish.*Received: activation=bilinear"),
        (dict(activation="tanh"), "relu, gelu and swish.*Received: activation=tanh"),
    ],
)
def test_a_model_that_ctranslate2_has_not_is_refused(tokenizer, tmp_path, options, message):
    model = make_model(tokenizer, tokenizer, **options)
    with pytest.raises(ValueError, match=message):
        ctranslate2_format.write(model, tokenizer, tokenizer, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_keras_quantized_is_refused(tokenizer, tmp_path):
    model = make_model(tokenizer, tokenizer)
    model.decoder.layers[0].self_attention.layer.query_dense.quantize("int8")
    with pytest.raises(ValueError, match="must not be quantized by Keras.*self_attention/attention/query"):
        ctranslate2_format.write(model, tokenizer, tokenizer, tmp_path / "model")


def test_what_is_no_transformer_or_has_no_weights_is_refused(tokenizer, tmp_path):
    for model in (keras.Sequential(), models.Transformer(307, 307, **SIZES)):
        with pytest.raises(ValueError, match="a built `models.Transformer`. Received: "):
            ctranslate2_format.write(model, tokenizer, tokenizer, tmp_path / "model")


def test_a_tokenizer_of_another_kind_or_size_is_refused(tokenizer, other_tokenizer, tmp_path):
    model = make_model(tokenizer, tokenizer)
    with pytest.raises(ValueError, match="target tokenizer must have the model's 307 ids.*with 311"):
        ctranslate2_format.write(model, tokenizer, other_tokenizer, tmp_path / "model")
    characters = tokenizers.CharacterTokenizer.train(SENTENCES)
    with pytest.raises(
        ValueError, match="source tokenizer must be a SentencePieceTokenizer, a PieceTokenizer, a WordT"
    ):
        ctranslate2_format.write(model, characters, tokenizer, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_quantization_is_refused(tokenizer, tmp_path):
    model = make_model(tokenizer, tokenizer)
    with pytest.raises(ValueError, match="`quantization`.*Received: 'int3'.*int8"):
        ctranslate2_format.write(model, tokenizer, tokenizer, tmp_path / "model", "int3")
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_never_overwritten(tokenizer, tmp_path):
    model = make_model(tokenizer, tokenizer)
    with pytest.raises(ValueError, match="never overwritten. Received: .*, which exists"):
        ctranslate2_format.write(model, tokenizer, tokenizer, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_while_writing_leaves_nothing(tokenizer, tmp_path, monkeypatch):
    def full_disk(spec, folder):
        (tmp_path / folder / "model.bin").write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(ctranslate2.specs.TransformerSpec, "save", full_disk)
    model = make_model(tokenizer, tokenizer)
    with pytest.raises(OSError, match="No space left"):
        ctranslate2_format.write(model, tokenizer, tokenizer, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_without_the_package_the_error_names_the_extra(tokenizer, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ctranslate2", None)
    model = make_model(tokenizer, tokenizer)
    with pytest.raises(ValueError, match=r"pip install \"\.\[ctranslate2\]\" in a clone\. Received: "):
        ctranslate2_format.write(model, tokenizer, tokenizer, tmp_path / "model")


@pytest.fixture(scope="module")
def subword_run(tokenizer, tmp_path_factory):
    """A run folder whose both sides are sub-words."""
    folder = tmp_path_factory.mktemp("runs") / "subwords"
    model = make_model(tokenizer, tokenizer)
    for side in ("source", "target"):
        tokenizer.save(folder / "tokenizer" / side)
    model.save(folder / "model.keras")
    (folder / "config.yaml").write_text(f"data: {{max_length: {MAX_LENGTH}}}\n")
    return folder


@pytest.mark.parametrize("quantization", ["float32", "int8"])
def test_the_command_writes_a_folder_that_ctranslate2_loads(subword_run, tmp_path, capsys, quantization):
    output = tmp_path / "new" / "model"
    arguments = ["--run", str(subword_run), "--output", str(output), "--format", "ctranslate2"]
    export.main([*arguments, "--quantization", quantization])
    assert capsys.readouterr().out.startswith(f"exported: {output} (")
    assert (output / "tokenizer" / "source" / "sentencepiece.model").is_file()
    found = ctranslate2.Translator(str(output), compute_type="int8" if quantization == "int8" else "float32")
    assert found.translate_batch([["\u2581"]], beam_size=1, max_decoding_length=5)[0].hypotheses
    with pytest.raises(ValueError, match="never overwritten"):
        export.main(arguments)


@pytest.mark.parametrize(
    "options, message",
    [
        (["--version", "3"], "Received: version"),
        (["--beam", "2", "--max_rows", "5"], "Received: search, limits"),
        (["--keep", "1", "--head", "0"], "Received: head, keep"),
    ],
)
def test_options_that_mean_nothing_there_are_refused(subword_run, tmp_path, options, message):
    arguments = ["--run", str(subword_run), "--output", str(tmp_path / "new"), "--format", "ctranslate2"]
    with pytest.raises(ValueError, match=message):
        export.main([*arguments, *options])
    assert not (tmp_path / "new").exists()


def test_a_run_that_ctranslate2_cannot_represent_is_refused_and_nothing_is_left(run_folder, tmp_path):
    # Its target tokenizer is of characters.
    arguments = ["--run", str(run_folder), "--output", str(tmp_path / "new"), "--format", "ctranslate2"]
    with pytest.raises(ValueError, match="target tokenizer must be a SentencePieceTokenizer"):
        export.main(arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_quantization_of_a_saved_model_is_refused(run_folder, tmp_path):
    arguments = ["--run", str(run_folder), "--output", str(tmp_path / "new"), "--quantization", "int8"]
    with pytest.raises(ValueError, match="is of the format ctranslate2. Received: format saved_model"):
        export.main(arguments)


def test_weights_that_are_not_finite_or_do_not_stay_so_are_refused(tokenizer, tmp_path):
    model = make_model(tokenizer, tokenizer, share_embeddings=True)
    norm = model.encoder.layers[0].feed_forward.norm
    norm.gamma.assign(np.full(16, 1e5))
    with pytest.raises(
        ValueError, match="finite also as float16. Received: encoder/layer_0/ffn/layer_norm/gamma"
    ):
        ctranslate2_format.write(model, tokenizer, tokenizer, tmp_path / "a", "float16")
    norm.gamma.assign(np.full(16, np.nan))
    with pytest.raises(ValueError, match="must be finite.*feed_forward/norm/gamma"):
        ctranslate2_format.write(model, tokenizer, tokenizer, tmp_path / "a", "int8")
    assert list(tmp_path.iterdir()) == []

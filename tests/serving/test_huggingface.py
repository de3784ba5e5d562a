"""A folder for the library transformers, which was written here: imported again it is the same translator.

That an import is the library's own model, tests/training/test_import_marian.py shows by answers of it.
"""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import load_file

from keras_transformer import decoding, models, tokenizers
from keras_transformer.pipelines.translator import Translator
from keras_transformer.saving.layer_paths import weight_paths
from serving import export, huggingface_format
from tests import marian_folder
from training.imports import marian
from training.imports.source_folder import SourceFolder


@pytest.fixture(scope="module", autouse=True)
def eager():
    """Nothing is compiled: each graph would be made for one question."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


MAX_LENGTH, NUM_STEPS = 17, 4
TEXTS = ["3 février 1987", "March 5, 2031", "среда, 5 марта 2031 г.", "2031년 3월 5일", " 5  March 🙂"]
SIZES = dict(num_layers=2, hidden_dim=6, num_heads=2, intermediate_dim=11)
OTHERS = dict(
    num_decoder_layers=1,
    share_embeddings=False,
    positions={"name": "sinusoid", "layout": "halves"},
    activation="silu",
    use_bias=False,
    use_logits_bias=True,
    embedding_scale=1.0,
)


@pytest.fixture(scope="module")
def tokenizer():
    return tokenizers.SentencePieceTokenizer.train(TEXTS * 5, vocabulary_size=307)


@pytest.fixture(scope="module")
def other_tokenizer():
    return tokenizers.SentencePieceTokenizer.train(TEXTS * 5, vocabulary_size=311)


def translator(source, target, **options):
    """One in which every weight is random, biases and norms too."""
    options = {**SIZES, "share_embeddings": source is target, **options}
    model = models.Transformer(source.vocabulary_size, target.vocabulary_size, **options)
    model.build()
    draw = np.random.default_rng(4)
    model.set_weights([weight + draw.normal(0, 0.3, weight.shape) for weight in model.get_weights()])
    return Translator(model, source, target, decoding.Greedy(NUM_STEPS), MAX_LENGTH)


def written(found, folder):
    sides = found.source_tokenizer, found.target_tokenizer
    return huggingface_format.write(found.model, *sides, folder, MAX_LENGTH)


def imported(folder):
    made = marian.read(SourceFolder(folder))
    assert made.config.data.max_length == MAX_LENGTH
    sides = made.tokenizers["source"], made.tokenizers["target"]
    return Translator(made.model, *sides, decoding.Greedy(NUM_STEPS), MAX_LENGTH)


def weights(model):
    return {path: keras.ops.convert_to_numpy(value) for path, value in weight_paths(model).items()}


@pytest.mark.parametrize(
    "name",
    [
        "one vocabulary, sines between cosines",
        pytest.param("two vocabularies, sines first", marks=pytest.mark.slow),
    ],
)
def test_what_is_imported_again_has_the_same_logits_and_texts(name, tokenizer, other_tokenizer, tmp_path):
    sides, options = (tokenizer, tokenizer), {}
    if name.startswith("two"):
        sides, options = (tokenizer, other_tokenizer), OTHERS
    before = translator(*sides, norm_epsilon=1e-5, **options)  # the one that the other library knows
    after = imported(written(before, tmp_path / "new" / "folder"))
    texts = tf.constant(TEXTS)
    source_ids = before.source_ids(texts)
    np.testing.assert_array_equal(after.source_ids(texts), source_ids)
    target_ids = before.target_tokenizer.tokenize(texts).to_tensor()
    np.testing.assert_array_equal(after.target_tokenizer.tokenize(texts).to_tensor(), target_ids)
    assert list(after.target_tokenizer.detokenize(target_ids).numpy()) == list(
        before.target_tokenizer.detokenize(target_ids).numpy()
    )
    inputs = {"source_ids": source_ids, "target_ids": tf.pad(target_ids, [[0, 0], [1, 0]], constant_values=2)}
    expected = keras.ops.convert_to_numpy(before.model(inputs))
    assert np.abs(expected).max() > 1
    np.testing.assert_allclose(after.model(inputs), expected, atol=2e-5)
    if sides[0] is sides[1]:  # once is enough
        assert after.translate(TEXTS[:2]) == before.translate(TEXTS[:2])


@pytest.mark.parametrize("name", [pytest.param("shared", marks=pytest.mark.slow), "separate"])
def test_an_imported_folder_is_written_as_it_was_read(name, tmp_path):
    first = marian.read(SourceFolder(marian_folder.FOLDER / name))
    sides = first.tokenizers["source"], first.tokenizers["target"]
    folder = huggingface_format.write(first.model, *sides, tmp_path / "folder", 64)
    tensors, stored = load_file(folder / "model.safetensors"), marian_folder.weights(name)
    assert tensors.keys() == stored.keys()
    for tensor, value in stored.items():
        if value.shape == tensors[tensor].shape:  # all but what has a row for each id: the start is one more
            np.testing.assert_array_equal(tensors[tensor], value, err_msg=tensor)
    config, before = json.loads((folder / "config.json").read_text()), marian_folder.read("config.json", name)
    same = before.keys() & config.keys() - {"vocab_size", "decoder_vocab_size"}
    assert {x for x in same if before[x] != config[x]} <= {x for x in same if x.endswith("_id")}
    assert (folder / "target.spm").read_bytes() == (marian_folder.FOLDER / name / "target.spm").read_bytes()
    again = marian.read(SourceFolder(folder))
    assert repr(again.config) == repr(first.config)
    before, after = weights(first.model), weights(again.model)
    assert before.keys() == after.keys()
    for path, value in before.items():
        np.testing.assert_array_equal(after[path], value, err_msg=path)
    pieces = [marian_folder.pieces(made.tokenizers["target"]) for made in (first, again)]
    assert pieces[0] == pieces[1]


REFUSED = {
    "norm_first": True,
    "reads_source_end": False,
    "normalization": "rms_norm",
    "norm_epsilon": 1e-3,
    "activation": "swiglu",
    "key_dim": 4,
    "num_key_value_heads": 1,
    "sliding_window": 3,
    "qk_norm": "rms_norm",
    "embedding_scale": 2.0,
    "logits_scale": 0.5,
    "tie_logits": False,
}


@pytest.fixture(scope="module")
def small(tokenizer):
    return translator(tokenizer, tokenizer, num_layers=1)


@pytest.mark.parametrize("name", REFUSED)
def test_what_marians_layout_has_not_is_refused_in_a_line(name, small, monkeypatch, tmp_path):
    monkeypatch.setattr(small.model, name, REFUSED[name])  # the description is what is looked at
    with pytest.raises(ValueError, match=f"A Marian folder of .* must have .*Received: {name}="):
        written(small, tmp_path / "folder")
    assert not list(tmp_path.iterdir())


def test_norms_behind_the_stacks_are_refused(tokenizer, tmp_path):
    with pytest.raises(ValueError, match="must have no norm behind a stack.*Received: final_norm=True"):
        written(translator(tokenizer, tokenizer, num_layers=1, final_norm=True), tmp_path / "folder")


@pytest.mark.parametrize("name", ["alibi", "learned"])
def test_other_positions_are_refused(name, tokenizer, tmp_path):
    options = {"max_length": MAX_LENGTH} if name == "learned" else {"positions": name}
    found = translator(tokenizer, tokenizer, num_layers=1, **options)
    with pytest.raises(ValueError, match=f"sinusoids as positions.* Received: positions=.*{name}"):
        written(found, tmp_path / "folder")
    assert not list(tmp_path.iterdir())


def test_the_command_writes_a_run_and_refuses_other_tokenizers(run_folder, tokenizer, tmp_path, capsys):
    run, folder = tmp_path / "run", tmp_path / "folder"
    options = ["--output", str(folder), "--format", "huggingface"]
    with pytest.raises(ValueError, match="target tokenizer must be a SentencePieceTokenizer or a Marian"):
        export.main(["--run", str(run_folder), *options])
    assert not list(tmp_path.iterdir())
    for side in ("source", "target"):
        tokenizer.save(run / "tokenizer" / side)
    translator(tokenizer, tokenizer).model.save(run / "model.keras")
    (run / "pipeline.json").write_text(json.dumps({"kind": "transformer", "max_length": MAX_LENGTH}))
    export.main(["--run", str(run), *options])
    assert capsys.readouterr().out.startswith(f"exported: {folder} (")
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "source.spm",
        "target.spm",
        "tokenizer_config.json",
        "vocab.json",
    ]
    with pytest.raises(ValueError, match="never overwritten"):
        export.main(["--run", str(run), *options])

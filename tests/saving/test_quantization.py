"""Quantized and low-rank layers inside layers and models: the same numbers again from a file."""

import re

import keras
import numpy as np
import pytest

from keras_transformer import layers, models
from keras_transformer.saving import model_files
from keras_transformer.saving.layer_paths import layer_paths, weight_paths
from tests import checks
from tests.source_code import ROOT

pytestmark = pytest.mark.usefixtures("quick_collections")

D = 8
SIZES = {"num_layers": 1, "hidden_dim": D, "num_heads": 2, "intermediate_dim": 11}
TARGET_IDS = np.array([[2, 6, 4], [2, 7, 8]], "int32")
SOURCE_IDS = np.array([[5, 9, 4, 4], [8, 3, 0, 0]], "int32")
PAIRS, TEXTS = {"source_ids": SOURCE_IDS, "target_ids": TARGET_IDS}, {"target_ids": TARGET_IDS}
HIDDEN = checks.numbers(2, 3, D)


def language_model():
    return checks.built(lambda: models.CausalLM(13, **SIZES), (TEXTS,))


def transformer():
    return checks.built(lambda: models.Transformer(11, 13, **SIZES), (PAIRS,))


def recurrent():
    return checks.built(lambda: models.RNNSeq2Seq(11, 13, hidden_dim=D), (PAIRS,))


def convolutional():
    return checks.built(lambda: models.ConvSeq2Seq(11, 13, num_layers=1, hidden_dim=D), (PAIRS,))


def from_file(model, tmp_path):
    model.save(tmp_path / "model.keras")
    return keras.models.load_model(tmp_path / "model.keras")


def answer(model, inputs):
    """What the model says, compiled: on JAX one program is sooner ready than all its operations."""
    return checks.as_array(checks.compiled(lambda inputs: model(inputs), xla=False)(inputs))


def modes(model):
    return {path: layer.quantization_mode for path, layer in layer_paths(model).items()}


def all_projections(model):
    kinds = (keras.layers.Dense, keras.layers.EinsumDense)
    return {path: layer for path, layer in layer_paths(model).items() if isinstance(layer, kinds)}


@pytest.mark.parametrize(
    ("make", "inputs", "mode", "tolerance"),
    [
        (language_model, TEXTS, "int8", 0.1),
        pytest.param(language_model, TEXTS, "int4", 0.5, marks=pytest.mark.slow),
        pytest.param(language_model, TEXTS, "float8", 0.1, marks=pytest.mark.slow),
        pytest.param(recurrent, PAIRS, "int8", 0.1, marks=pytest.mark.slow),
        pytest.param(convolutional, PAIRS, "int8", 0.1, marks=pytest.mark.slow),
    ],
)
def test_a_quantized_model_comes_back_from_its_file(make, inputs, mode, tolerance, tmp_path):
    model = make()
    expected = answer(model, inputs)
    model.quantize(mode)
    actual = answer(model, inputs)
    error = np.sqrt(np.mean((actual - expected) ** 2)) / expected.std()
    assert 0 < error < tolerance, error
    found = modes(model)
    assert {found[path] for path in all_projections(model)} == {mode}
    embeddings = {found[path] for path in found if path.endswith("embedding")}
    assert embeddings == {None if mode == "float8" else mode}  # Keras has no float8 of them
    loaded = from_file(model, tmp_path)
    assert modes(loaded) == found
    np.testing.assert_array_equal(answer(loaded, inputs), actual)


def test_projections_and_embeddings_of_int8_hold_int8():
    model = language_model()
    model.quantize("int8")
    held = weight_paths(model)
    kernels = [f"{path}/kernel" for path in all_projections(model)]
    embeddings = [path for path in held if path.endswith("/embeddings")]
    assert len(kernels) == 6 and len(embeddings) == 1  # one attention of 4, one network of 2
    assert {held[path].dtype for path in kernels + embeddings} == {"int8"}


def attention(x):
    return layers.MultiHeadAttention(2, 3, use_gate=True, name="outer")(x)


def sublayer(x):
    return layers.Sublayer(layers.FeedForward(5), name="outer")(x)


def decoder(x):
    return layers.Decoder(1, 2, 5, name="outer")(x, x)


@pytest.mark.parametrize("make", [attention, sublayer, pytest.param(decoder, marks=pytest.mark.slow)])
def test_a_quantized_layer_comes_back_from_a_functional_model(make, tmp_path):
    x = keras.Input((None, D))
    model = checks.randomized(keras.Model(x, make(x)))
    model.quantize("int8")
    loaded = from_file(model, tmp_path)
    assert "int8" in modes(loaded).values() and modes(loaded) == modes(model)
    np.testing.assert_array_equal(answer(loaded, HIDDEN), answer(model, HIDDEN))


def test_keras_does_not_know_yet_what_is_inside_a_layer(tmp_path):
    x = keras.Input((None, D))
    model = keras.Model(x, keras.layers.MultiHeadAttention(2, 3)(x, x))
    model.quantize("int8")
    with pytest.raises(ValueError, match="objects could not be loaded"):
        from_file(model, tmp_path)


@pytest.mark.parametrize(
    "config",
    [
        keras.quantizers.Int8QuantizationConfig(activation_quantizer=None),
        keras.quantizers.Int4QuantizationConfig(block_size=2),
    ],
    ids=["weights_only", "groups"],
)
def test_how_it_was_quantized_comes_back(config, tmp_path):
    x = keras.Input((None, D))
    model = checks.randomized(keras.Model(x, attention(x)))
    model.quantize(config=config)
    loaded = from_file(model, tmp_path)
    restored = loaded.get_layer("outer").query_dense.quantization_config
    assert restored.get_config() == config.get_config()
    np.testing.assert_array_equal(answer(loaded, HIDDEN), answer(model, HIDDEN))


def test_a_quantized_embedding_keeps_its_scale_its_mask_and_its_logits_dtype():
    ids = SOURCE_IDS
    layer = checks.built(lambda: layers.TokenEmbedding(11, D, mask_zero=True, dtype="mixed_bfloat16"), (ids,))
    hidden = keras.ops.cast(HIDDEN, "bfloat16")
    expected, logits = checks.as_array(layer(ids)), checks.as_array(layer(hidden, reverse=True))
    layer.quantize("int8")
    np.testing.assert_allclose(checks.as_array(layer(ids)), expected, atol=0.05)
    assert layer(hidden, reverse=True).dtype == keras.ops.cast(logits, "float32").dtype
    np.testing.assert_allclose(checks.as_array(layer(hidden, reverse=True)), logits, atol=0.1)
    from keras.src.backend import get_keras_mask

    np.testing.assert_array_equal(checks.as_array(get_keras_mask(layer(ids))), ids != 0)
    with pytest.raises(ValueError, match="Ids must lie in 0 <= id < 11"):
        layer(ids + 10)


@pytest.mark.parametrize("quantized", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_low_rank_changes_train_alone_and_are_in_the_file(quantized, tmp_path):
    model = language_model()
    if quantized:
        model.quantize("int8")
    before = {path: weight.numpy() for path, weight in weight_paths(model).items()}
    projections = all_projections(model)
    model.freeze([path for path in layer_paths(model) if not any(p.startswith(path) for p in projections)])
    for layer in projections.values():
        layer.enable_lora(2)
    eager = keras.backend.backend() == "tensorflow"
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), run_eagerly=eager)
    model.train_on_batch(TEXTS, np.ones((2, 3), "int32"))
    for layer in projections.values():
        assert np.abs(layer.lora_kernel_b.numpy()).max() > 0, layer.path
    for path, weight in weight_paths(model).items():
        if path in before and not path.endswith("bias"):  # the projections' own are trained
            np.testing.assert_array_equal(weight.numpy(), before[path], err_msg=path)
    loaded = from_file(model, tmp_path)
    assert len(loaded.weights) == len(before)  # the sums: Keras keeps no low-rank matrices
    tolerance = 0.2 if quantized else 1e-5  # Keras quantizes the sums anew
    np.testing.assert_allclose(answer(loaded, TEXTS), answer(model, TEXTS), atol=tolerance)


@pytest.mark.slow
def test_the_guide_to_training_does_what_it_says(tmp_path, monkeypatch):
    page = (ROOT / "docs/training.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs/numbers").mkdir(parents=True)
    model = transformer()
    model.save("runs/numbers/model.keras")
    names = {}
    exec(compile(program, "docs/training.md", "exec"), names)
    assert set(modes(names["model"]).values()) == {None, "int8"}
    expected = answer(model, PAIRS)
    np.testing.assert_allclose(answer(names["model"], PAIRS), expected, atol=0.1 * np.abs(expected).max())
    # Programs read it, too, which trust no file.
    again = model_files.load_model("runs/int8.keras")
    np.testing.assert_array_equal(answer(again, PAIRS), answer(names["model"], PAIRS))

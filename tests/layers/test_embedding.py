"""Token embedding: scaled on the way in, tied on the way out."""

import keras
import numpy as np
import pytest

from keras_transformer import layers
from tests import checks

V, D = 13, 7
IDS = np.array([[3, 5, 12, 1], [7, 0, 0, 0], [2, 2, 11, 0]], "int32")


def make(**kwargs):
    return layers.TokenEmbedding(V, D, **kwargs)


def matrix(layer):
    (weights,) = layer.get_weights()
    assert weights.shape == (V, D)
    return weights


@pytest.mark.parametrize("check", checks.STANDARD)
def test_standard_checks(check, tmp_path):
    check(make, (IDS,), tmp_path)


def test_vectors_are_rows_times_the_root_of_the_width():
    layer = checks.shared(make, (IDS,))
    expected = matrix(layer)[IDS] * 7**0.5
    np.testing.assert_allclose(checks.as_array(layer(IDS)), expected, atol=1e-6)


def test_another_scale_than_the_root_of_the_width():
    layer = checks.built(lambda: layers.TokenEmbedding(V, D, scale=0.5), (IDS,))
    (vectors,) = (w.numpy() for w in layer.weights)
    np.testing.assert_allclose(checks.as_array(layer(IDS)), vectors[IDS] * 0.5, atol=1e-6)
    assert layer.get_config()["scale"] == 0.5


def test_first_embeddings_have_unit_variance():
    layer = layers.TokenEmbedding(503, 101)
    embedded = checks.as_array(layer(np.arange(503)[None]))
    assert 0.95 < embedded.std() < 1.05


def test_reverse_is_the_transpose_without_scale():
    layer = checks.shared(make, (IDS,))
    hidden = checks.numbers(2, 5, D)
    logits = checks.as_array(layer(hidden, reverse=True))
    np.testing.assert_allclose(logits, hidden @ matrix(layer).T, atol=1e-5)


def untied(**kwargs):
    return layers.TokenEmbedding(V, D, tie_weights=False, logits_scale=0.5, use_logits_bias=True, **kwargs)


def test_logits_may_have_a_matrix_of_their_own():
    layer = checks.shared(untied, (IDS,))
    vectors, reverse, bias = layer.get_weights()
    assert reverse.shape == (D, V) and np.abs(vectors - reverse.T).max() > 0.1
    hidden = checks.numbers(2, 5, D)
    logits = checks.as_array(layer(hidden, reverse=True))
    np.testing.assert_allclose(logits, 0.5 * hidden @ reverse + bias, atol=1e-5)
    np.testing.assert_allclose(checks.as_array(layer(IDS)), vectors[IDS] * 7**0.5, atol=1e-5)


def with_head(**kwargs):
    return layers.TokenEmbedding(V, D, logits_scale=0.25, use_logits_bias=True, **kwargs)


@pytest.mark.parametrize("check", [checks.config_round_trip, checks.file_round_trip])
@pytest.mark.parametrize("head", [with_head, untied])
def test_what_logits_have_besides_is_saved(check, head, tmp_path):
    check(head, (IDS,), tmp_path)


@pytest.mark.parametrize("policy", checks.POLICIES)
def test_logits_may_be_scaled_and_have_a_bias(policy):
    layer = checks.shared(with_head, (IDS,), dtype=policy)
    vectors, bias = layer.get_weights()
    assert bias.shape == (V,)
    hidden = checks.numbers(2, 5, D)
    logits = layer(keras.ops.cast(hidden, layer.compute_dtype), reverse=True)
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"
    np.testing.assert_allclose(checks.as_array(logits), 0.25 * hidden @ vectors.T + bias, atol=1e-2)
    # Ids find the same vectors as without.
    np.testing.assert_allclose(checks.as_array(layer(IDS)), vectors[IDS] * 7**0.5, atol=2e-2)


@pytest.mark.filterwarnings("ignore:.*does not have a `quantize` method")
@pytest.mark.parametrize("head", [with_head, untied])
def test_a_quantized_embedding_keeps_what_its_logits_have(head, tmp_path):
    ids = keras.Input((None,), dtype="int32")
    layer = head()
    model = keras.Model(ids, layer(layer(ids), reverse=True))
    checks.randomized(layer)
    expected = checks.as_array(model(IDS))
    model.quantize("int8")
    found = checks.as_array(model(IDS))
    np.testing.assert_allclose(found, expected, atol=0.1)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(checks.as_array(loaded(IDS)), found)


@pytest.mark.parametrize("policy", checks.POLICIES)
def test_logits_are_float32_under_every_policy(policy):
    layer = checks.shared(make, (IDS,), dtype=policy)
    hidden = checks.numbers(2, 5, D)
    logits = layer(keras.ops.cast(hidden, layer.compute_dtype), reverse=True)
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"
    expected = hidden @ matrix(layer).T
    atol = 1e-2 * np.abs(expected).max()
    np.testing.assert_allclose(checks.as_array(logits), expected, atol=atol)


def test_symbolic_logits_are_float32():
    layer = make(dtype="mixed_float16")
    logits = layer(keras.Input((None, D)), reverse=True)
    assert logits.dtype == "float32"
    assert tuple(logits.shape) == (None, None, V)


def test_both_directions_train_the_same_matrix():
    class Both(keras.layers.Layer):
        def __init__(self, reverse_only, **kwargs):
            super().__init__(**kwargs)
            self.embedding, self.reverse_only = make(), reverse_only

        def build(self, shape):
            self.embedding.build(shape)

        def call(self, ids):
            embedded = self.embedding(ids)
            hidden = keras.ops.stop_gradient(embedded) if self.reverse_only else embedded
            return self.embedding(hidden, reverse=True)

    found = []
    for reverse_only in (True, False):
        layer = checks.built(lambda r=reverse_only: Both(r), (IDS,))
        assert len(layer.trainable_weights) == 1
        (gradient,) = checks.weight_gradients(layer, (IDS,), checks.numbers(*IDS.shape, V))
        found.append(checks.as_array(gradient))
    unused = 4
    assert unused not in IDS
    assert np.abs(found[0]).min(axis=-1).all(), "as logits, every row is trained"
    difference = np.abs(found[1] - found[0]).max(axis=-1)
    assert difference[unused] < 1e-5 < difference[3], "as input, rows that were looked up"


@pytest.mark.parametrize("wrong", [-1, V, V + 5])
def test_ids_outside_the_vocabulary_are_refused(wrong):
    layer = checks.shared(make, (IDS,))
    ids = IDS.copy()
    ids[1, 1] = wrong
    with pytest.raises(ValueError, match=rf"\b{V}\b.*{wrong}"):
        layer(ids)


def test_wrong_ids_do_not_stop_a_graph():
    layer = checks.shared(make, (IDS,))
    embedded = checks.as_array(checks.compiled(lambda ids: layer(ids), xla=False)(IDS))
    np.testing.assert_allclose(embedded, checks.as_array(layer(IDS)), atol=1e-6)


@pytest.mark.parametrize("name", ["scale", "logits_scale"])
def test_scales_are_positive(name):
    with pytest.raises(ValueError, match=f"`{name}` must be a positive number.*{name}=-1"):
        layers.TokenEmbedding(V, D, **{name: -1})


@pytest.mark.parametrize("name", ["vocabulary_size", "hidden_dim"])
@pytest.mark.parametrize("size", [0, -3, 1.5])
def test_sizes_are_positive_integers(name, size):
    sizes = {"vocabulary_size": V, "hidden_dim": D, name: size}
    with pytest.raises(ValueError, match=f"`{name}` must be a positive integer.*{name}={size}"):
        layers.TokenEmbedding(**sizes)


def pooled(embedding):
    """Mean over the positions that the implicit mask leaves."""
    ids = keras.Input((None,), dtype="int32")
    return keras.Model(ids, keras.layers.GlobalAveragePooling1D()(embedding(ids)))


def test_no_implicit_mask_unless_asked():
    layer = checks.shared(make, (IDS,))
    expected = checks.as_array(layer(IDS)).mean(axis=1)
    np.testing.assert_allclose(checks.as_array(pooled(layer)(IDS)), expected, atol=1e-5)


def test_implicit_mask_if_asked():
    layer = checks.shared(make, (IDS,), mask_zero=True)
    embedded, real = checks.as_array(layer(IDS)), (IDS != 0)[..., None]
    expected = (embedded * real).sum(axis=1) / real.sum(axis=1)
    np.testing.assert_allclose(checks.as_array(pooled(layer)(IDS)), expected, atol=1e-5)

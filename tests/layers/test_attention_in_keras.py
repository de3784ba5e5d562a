"""Attention as a drop-in: the same as Keras's layer, and at home in Keras models."""

import inspect

import keras
import numpy as np
import pytest

from keras_transformer import layers
from tests import checks, reference

B, T, S, H, D, K, V = 3, 5, 7, 2, 11, 4, 6
QUERY = checks.numbers(B, T, D, seed=1)
VALUE = checks.numbers(B, S, 13, seed=2)
KEY = checks.numbers(B, S, 17, seed=3)

VALUE_MASK = np.arange(S) < np.array([[7], [3], [1]])
KEY_MASK = np.arange(S) >= np.array([[0], [2], [0]])
# Every query keeps one key, whatever the other masks of these tests hide.
ATTENTION_MASK = np.random.default_rng(4).random((B, T, S)) < 0.5
ATTENTION_MASK[:, :, 0] = True


def make(**kwargs):
    return layers.MultiHeadAttention(H, K, **kwargs)


# The same as Keras's layer

KERAS_CASES = {
    "self": ({}, {"value": QUERY}),
    "cross": ({}, {"value": VALUE}),
    "cross_with_key": ({}, {"value": VALUE, "key": KEY}),
    "causal": ({}, {"value": QUERY, "use_causal_mask": True}),
    "causal_cross": ({}, {"value": VALUE, "use_causal_mask": True}),
    "value_mask": ({}, {"value": VALUE, "value_mask": VALUE_MASK}),
    "key_mask": ({}, {"value": VALUE, "key": KEY, "key_mask": KEY_MASK[::-1]}),
    "attention_mask": ({}, {"value": VALUE, "attention_mask": ATTENTION_MASK}),
    "attention_mask_of_integers": (
        {},
        {"value": VALUE, "attention_mask": ATTENTION_MASK.astype("int32")},
    ),
    "attention_mask_of_positions": ({}, {"value": VALUE, "attention_mask": ATTENTION_MASK[0]}),
    "attention_mask_for_the_batch": ({}, {"value": VALUE, "attention_mask": ATTENTION_MASK[:1]}),
    "attention_mask_of_heads": (
        {},
        {"value": VALUE, "attention_mask": np.stack([ATTENTION_MASK, ATTENTION_MASK | True], 1)},
    ),
    "all_masks": (
        {},
        {
            "value": VALUE,
            "value_mask": VALUE_MASK,
            "attention_mask": ATTENTION_MASK,
            "use_causal_mask": True,
        },
    ),
    "gate": ({"use_gate": True}, {"value": VALUE, "value_mask": VALUE_MASK}),
    "window": ({"sliding_window": 2}, {"value": QUERY}),
    "causal_window": ({"sliding_window": 3}, {"value": QUERY, "use_causal_mask": True}),
    "value_dim": ({"value_dim": V}, {"value": VALUE}),
    "value_dim_and_gate": ({"value_dim": V, "use_gate": True}, {"value": VALUE}),
    "output_shape": ({"output_shape": 19}, {"value": VALUE}),
    "output_shape_in_a_tuple": ({"output_shape": (19,)}, {"value": VALUE}),
    "no_bias": ({"use_bias": False}, {"value": VALUE}),
    "attention_axes": ({"attention_axes": (1,)}, {"value": VALUE}),
    "dropout_at_inference": ({"dropout": 0.3}, {"value": VALUE, "training": False}),
}


@pytest.mark.parametrize("case", KERAS_CASES)
def test_equals_the_layer_of_keras(case):
    constructor, call = KERAS_CASES[case]
    ours, theirs = make(**constructor), keras.layers.MultiHeadAttention(H, K, **constructor)
    for layer in (ours, theirs):
        layer(QUERY, **call, return_attention_scores=True)
    assert [w.shape for w in ours.weights] == [w.shape for w in theirs.weights]
    ours.set_weights(checks.randomized(theirs).get_weights())
    expected, scores = theirs(QUERY, **call, return_attention_scores=True)
    output, weights = ours(QUERY, **call, return_attention_scores=True)
    np.testing.assert_allclose(checks.as_array(weights), checks.as_array(scores), atol=1e-5)
    outputs = [output, ours(QUERY, **call)]
    # Without scores Keras takes another path, which on JAX wants a value as wide as the key.
    if not (keras.backend.backend() == "jax" and "value_dim" in constructor):
        outputs.append(theirs(QUERY, **call))
    for each in outputs:
        np.testing.assert_allclose(checks.as_array(each), checks.as_array(expected), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("method", ["__init__", "call"])
def test_arguments_are_those_of_keras(method):
    def arguments(cls):
        return inspect.signature(getattr(cls, method)).parameters

    ours = arguments(layers.MultiHeadAttention)
    theirs = arguments(keras.layers.MultiHeadAttention)
    assert [name for name in ours if name in theirs] == list(theirs)
    for name, parameter in theirs.items():
        if (method, name) != ("call", "value"):  # ours defaults to the query
            assert ours[name].default == parameter.default, name


def test_first_weights_are_drawn_like_those_of_keras():
    theirs = keras.layers.MultiHeadAttention(H, 101)
    ours = layers.MultiHeadAttention(H, 101)
    x = checks.numbers(B, T, 103)
    theirs(x, x), ours(x)
    for mine, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(mine.std(), other.std(), rtol=0.1)


def test_config_of_keras_is_accepted():
    theirs = keras.layers.MultiHeadAttention(H, K, use_gate=True, output_shape=19, dropout=0.1)
    theirs(QUERY, VALUE)
    checks.randomized(theirs)
    ours = layers.MultiHeadAttention.from_config(theirs.get_config())
    ours(QUERY, VALUE)
    ours.set_weights(theirs.get_weights())
    np.testing.assert_allclose(
        checks.as_array(ours(QUERY, VALUE)), checks.as_array(theirs(QUERY, VALUE)), atol=1e-5
    )


# In Keras models: implicit masks

IDS = np.array([[3, 5, 2, 7, 1], [4, 6, 0, 0, 0], [9, 0, 0, 0, 0]], "int32")
MEMORY_IDS = np.array([[8, 1, 1, 0, 0, 0, 0], [2, 3, 4, 5, 6, 7, 8], [5, 4, 0, 0, 0, 0, 0]], "int32")


def embedding():
    layer = keras.layers.Embedding(11, D, mask_zero=True)
    layer.build((None, None))
    return layer


@pytest.mark.parametrize("arguments", [1, 2])
def test_functional_self_attention_honours_the_implicit_mask(arguments):
    embed, layer = embedding(), checks.shared(make, (QUERY,))
    ids = keras.Input((None,), dtype="int32")
    x = embed(ids)
    model = keras.Model(ids, layer(*[x] * arguments))
    expected = reference.multi_head_attention(
        layer.get_weights(),
        *[embed.get_weights()[0][IDS]] * 2,
        mask=(IDS != 0)[:, None, None, :] & (IDS != 0)[:, None, :, None],
    )[0]
    for actual in (model(IDS), model.predict(IDS, verbose=0)):
        np.testing.assert_allclose(checks.as_array(actual), expected, atol=1e-5)


def test_functional_cross_attention_honours_both_implicit_masks():
    embed, layer = embedding(), checks.shared(make, (QUERY, QUERY))
    ids, memory_ids = (keras.Input((None,), dtype="int32") for _ in range(2))
    model = keras.Model([ids, memory_ids], layer(embed(ids), embed(memory_ids)))
    vectors = embed.get_weights()[0]
    expected = reference.multi_head_attention(
        layer.get_weights(),
        vectors[IDS],
        vectors[MEMORY_IDS],
        mask=(MEMORY_IDS != 0)[:, None, None, :] & (IDS != 0)[:, None, :, None],
    )[0]
    actual = checks.as_array(model([IDS, MEMORY_IDS]))
    np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_implicit_mask_goes_on_to_the_next_layer():
    layer, average = checks.shared(make, (QUERY,)), keras.layers.GlobalAveragePooling1D()
    ids = keras.Input((None,), dtype="int32")
    x = embedding()(ids)
    for attended in (layer(x), layer(x, x)):
        model = keras.Model(ids, average(attended))
        alone = checks.as_array(model(IDS[1:2, :2]))
        np.testing.assert_allclose(checks.as_array(model(IDS))[1:2], alone, atol=1e-5)


def test_works_in_sequential_and_subclassed_models():
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.embed, self.attention = keras.layers.Embedding(11, D, mask_zero=True), make()

        def call(self, ids):
            x = self.embed(ids)
            return self.attention(x, x)

    subclassed = Subclassed()
    sequential = keras.Sequential([keras.layers.Embedding(11, D, mask_zero=True), make()])
    subclassed(IDS), sequential(IDS)
    sequential.set_weights(checks.randomized(subclassed).get_weights())
    expected = checks.as_array(subclassed(IDS))
    np.testing.assert_allclose(checks.as_array(sequential(IDS)), expected, atol=1e-5)
    np.testing.assert_allclose(expected[1, :2], checks.as_array(subclassed(IDS[1:2, :2]))[0], atol=1e-5)


def test_symbolic_shapes_are_true():
    layer = make(output_shape=19, dtype="mixed_float16")
    query, value = keras.Input((T, D)), keras.Input((S, 13))
    output, scores = layer(query, value, return_attention_scores=True)
    assert tuple(output.shape) == (None, T, 19)
    assert tuple(scores.shape) == (None, H, T, S)
    assert output.dtype == scores.dtype == "float16"
    model = keras.Model([query, value], [output, scores])
    shapes = [tuple(x.shape) for x in model([QUERY, VALUE])]
    assert shapes == [(B, T, 19), (B, H, T, S)]


def test_the_kernel_of_the_backend_obeys_the_masks(monkeypatch):
    kernel = keras.src.ops.dot_product_attention
    asked = []

    def on_any_device(*heads, flash_attention=None, **options):  # CPUs have none
        asked.append(flash_attention)
        return kernel(*heads, **options)

    monkeypatch.setattr(keras.src.ops, "dot_product_attention", on_any_device)
    plain = checks.built(make, (QUERY, VALUE))
    flash = checks.built(make, (QUERY, VALUE), flash_attention=True)
    asked.clear()
    nothing = VALUE_MASK & [[True], [False], [True]]
    for masks in ({}, {"value_mask": nothing}, {"attention_mask": np.stack([ATTENTION_MASK] * H, 1)}):
        actual = checks.as_array(flash(QUERY, VALUE, **masks))
        np.testing.assert_allclose(actual, checks.as_array(plain(QUERY, VALUE, **masks)), atol=1e-5)
    assert asked == [True] * 3
    with pytest.raises(ValueError, match="attention scores is not supported when flash"):
        flash(QUERY, VALUE, return_attention_scores=True)


def test_files_have_the_names_that_they_always_had(tmp_path):
    import h5py  # Keras depends on it

    x = keras.Input((T, D))
    model = keras.Model(x, make(use_gate=True, dropout=0.1, name="it")(x))
    model.save_weights(tmp_path / "it.weights.h5")
    with h5py.File(tmp_path / "it.weights.h5") as file:
        (layer,) = [part for name, part in file["layers"].items() if "attention" in name]
        found = {name for name in layer if name != "vars" and len(layer[name]["vars"]) == 2}
    assert found == {"query_dense", "key_dense", "gate_dense", "value_dense", "output_dense"}


def test_configurations_from_before_keras_was_the_base_are_taken():
    old = {"num_heads": H, "key_dim": K, "value_dim": K, "output_shape": 19, "attention_axes": 1}
    old |= {"flash_attention": None, "rotary": None, "position_bias": None, "activity_regularizer": None}
    layer = layers.MultiHeadAttention.from_config(old)
    assert tuple(layer(QUERY).shape) == (B, T, 19)

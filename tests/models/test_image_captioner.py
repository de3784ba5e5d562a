"""The captioner with both decoders: the whole formula, what looks where, and what it learns."""

import keras
import numpy as np
import pytest

from keras_transformer import decoding, losses, models
from tests import checks, recurrent_reference, reference
from tests.models import zoo_checks
from tests.models.small_transformers import TARGET_IDS, VOCABULARY, B, T

H, W, C, D = 5, 7, 2, 6
GRID = (3, 4)  # 5 and 7 halved, rounded up
IMAGES = np.random.default_rng(0).uniform(size=(B, H, W, C)).astype("float32")
INPUTS = {"image": IMAGES, "target_ids": TARGET_IDS}


def captioner(decoder, **kwargs):
    sizes = {"num_layers": 1, "hidden_dim": D, "filters": (3, 5), "channels": C, "decoder": decoder}
    if decoder == "transformer":
        sizes |= {"num_heads": 2, "intermediate_dim": 11}
    return models.ImageCaptioner(VOCABULARY, **{**sizes, "dropout": 0.0, **kwargs})


def gru(**kwargs):
    return captioner("gru", **kwargs)


def transformer(**kwargs):
    return captioner("transformer", **kwargs)


both = pytest.mark.parametrize("make", [gru, transformer])


@zoo_checks.each(checks.STANDARD, gru, transformer)
def test_standard_checks(check, make, tmp_path):
    check(make, (INPUTS,), tmp_path)


@zoo_checks.each(zoo_checks.ALL, gru, transformer)
def test_zoo_checks(check, make):
    check(make, INPUTS)


# The formula


def arrays(layer):
    return [weight.numpy().astype("float64") for weight in layer.weights]


@both
def test_model_equals_the_reference(make):
    model = checks.built(lambda: make(num_layers=2), (INPUTS,))
    # The encoder has its own test.
    grid = checks.as_array(model.encoder(IMAGES)).astype("float64")
    kernel, bias = arrays(model.memory_dense)
    memory = reference.layer_norm(arrays(model.memory_norm), grid @ kernel + bias)
    memory = (memory + reference.grid_sinusoid(*GRID, D)).reshape(B, -1, D)
    np.testing.assert_allclose(checks.as_array(model.encode(IMAGES)), memory, atol=1e-4)
    (vectors,) = arrays(model.target_embedding)
    hidden = vectors[TARGET_IDS] * D**0.5
    if make is gru:
        kernel, bias = arrays(model.first_states)
        begin = np.tanh(memory.mean(axis=1) @ kernel + bias)
        rows = []
        for row in range(B):
            states = [[begin[row, :D]], [begin[row, D:]]]
            mask = np.ones(len(memory[row]), bool)
            vectors_of_row, _ = recurrent_reference.decode(
                model.decoder, hidden[row], memory[row], mask, states
            )
            rows.append(vectors_of_row)
        hidden = np.stack(rows)
    else:
        hidden = hidden + reference.sinusoid(range(T), D)
        for layer in model.decoder.layers:
            hidden = reference.decoder_layer(reference.sublayer_weights(layer), hidden, memory)
    np.testing.assert_allclose(checks.as_array(model(INPUTS)), hidden @ vectors.T, atol=1e-4)


@both
@pytest.mark.parametrize("num_layers", [1, 3])
def test_number_of_parameters(make, num_layers):
    model = make(num_layers=num_layers)
    model.build()
    norm = 2 * D
    if make is gru:
        cell = 3 * D * (D + D) + 2 * 3 * D
        additive, output, feed = 2 * D * D + D, 2 * D * D, 3 * D * D
        decoder = num_layers * (cell + D * D + D) + additive + output + feed  # D * D + D: first state
    else:
        decoder = num_layers * (2 * 4 * (D * D + D) + 2 * D * 11 + 11 + D + 3 * norm)
    memory = 5 * D + D + norm
    assert model.count_params() == model.encoder.count_params() + memory + decoder + VOCABULARY * D


@both
def test_call_is_decode_of_encode(make):
    model = checks.shared(make, (INPUTS,))
    memory = model.encode(IMAGES)
    assert tuple(memory.shape) == (B, GRID[0] * GRID[1], D) and model.grid_shape(H, W) == GRID
    logits = model.decode(TARGET_IDS, memory)
    np.testing.assert_allclose(checks.as_array(logits), checks.as_array(model(INPUTS)), atol=1e-5)


# Images


@both
def test_bytes_are_what_they_are_as_fractions(make):
    pixels = (255 * IMAGES).round().astype("uint8")
    fractions = pixels.astype("float32") / 255
    model = checks.shared(make, (INPUTS,))
    expected = checks.as_array(model({**INPUTS, "image": fractions}))
    actual = checks.as_array(model({**INPUTS, "image": pixels}))
    np.testing.assert_allclose(actual, expected, atol=1e-5)
    ids, _ = decoding.generate(model, {"image": pixels}, decoding.Greedy(2))
    expected, _ = decoding.generate(model, {"image": fractions}, decoding.Greedy(2))
    np.testing.assert_array_equal(checks.as_array(ids), checks.as_array(expected))


@both
def test_place_of_what_is_seen_matters(make):
    model = checks.shared(make, (INPUTS,))
    for axis in (1, 2):
        turned = checks.as_array(model({**INPUTS, "image": np.flip(IMAGES, axis)}))
        assert np.abs(turned - checks.as_array(model(INPUTS))).max() > 1e-3


@both
def test_images_of_any_size_are_read(make):
    model = checks.shared(make, (INPUTS,))
    for height, width in ((1, 1), (4, 9)):
        image = np.zeros((B, height, width, C), "float32")
        assert tuple(model({**INPUTS, "image": image}).shape) == (B, T, VOCABULARY)


# Attention


@both
def test_attention_of_a_search_is_a_distribution_over_the_grid_at_each_word(make):
    model = checks.built(lambda: make(num_layers=2), (INPUTS,))
    search = decoding.BeamSearch(4, width=3, n_best=2)
    ids, _, attention = decoding.generate_with_attention(model, {"image": IMAGES}, search)
    layers_and_heads = (1, 1) if make is gru else (2, 2)
    assert tuple(attention.shape) == (B, 2, 4, *layers_and_heads, GRID[0] * GRID[1])
    sums = checks.as_array(attention).sum(axis=-1)
    expected = np.broadcast_to((checks.as_array(ids) != 0)[..., None, None], sums.shape)
    np.testing.assert_allclose(sums, expected, atol=1e-5)


# Training


@pytest.mark.parametrize("make", [gru, transformer])
@pytest.mark.slow
def test_it_learns_to_say_where_the_light_is(make):
    rng = np.random.default_rng(1)
    places = rng.integers(0, 4, 96)
    images = rng.uniform(0, 0.1, (96, 4, 4, 1)).astype("float32")
    for image, place in zip(images, places, strict=True):
        row, column = 2 * (place // 2), 2 * (place % 2)
        image[row : row + 2, column : column + 2] += 0.9
    labels = np.stack([4 + places // 2, 6 + places % 2, np.full(96, 3)], axis=1).astype("int32")
    target = np.concatenate([np.full((96, 1), 2, "int32"), labels[:, :-1]], axis=1)
    model = make(channels=1, hidden_dim=16, filters=(4, 8))
    model.compile(keras.optimizers.Adam(0.01), losses.SmoothedCrossEntropy(), jit_compile=False)
    inputs = {"image": images[:64], "target_ids": target[:64]}
    model.fit(inputs, labels[:64], batch_size=32, epochs=20, verbose=0)
    ids, _ = decoding.generate(model, {"image": images[64:]}, decoding.Greedy(3))
    assert (checks.as_array(ids) == labels[64:]).mean() > 0.95


@both
def test_dropout_acts_in_training_only(make):
    # The same statistics of the batch for both: only dropout may differ.
    model, plain = (checks.built(lambda rate=rate: make(dropout=rate), (INPUTS,)) for rate in (0.5, 0.0))
    expected = checks.as_array(plain(INPUTS))
    np.testing.assert_allclose(checks.as_array(model(INPUTS)), expected, atol=1e-6)
    image = model.encode(IMAGES)
    first, second = (checks.as_array(model.decode(TARGET_IDS, image, training=True)) for _ in range(2))
    assert np.abs(first - second).max() > 1e-2
    first, second = (checks.as_array(model.encode(IMAGES, training=True)) for _ in range(2))
    assert np.abs(first - second).max() > 1e-2


@both
def test_model_is_built_without_data(make):
    model = make()
    model.build()
    checks.randomized(model)
    expected = checks.as_array(checks.built(make, (INPUTS,))(INPUTS))
    np.testing.assert_allclose(checks.as_array(model(INPUTS)), expected, atol=1e-6)


@both
def test_layers_can_be_frozen(make):
    model = make()
    model.freeze(["encoder"])
    assert not model.encoder.trainable_weights and model.decoder.trainable_weights


# Bad input


def test_decoders_that_are_not_there_are_refused():
    with pytest.raises(ValueError, match="`decoder` must be one of.*'lstm'"):
        captioner("lstm")
    with pytest.raises(ValueError, match="`num_heads` must be None where decoder='gru'.*num_heads=2"):
        gru(num_heads=2)
    with pytest.raises(ValueError, match="`intermediate_dim` must be None.*intermediate_dim=11"):
        gru(intermediate_dim=11)


@both
@pytest.mark.parametrize("name", ["vocabulary_size", "num_layers", "hidden_dim"])
def test_sizes_are_positive(make, name):
    sizes = {"num_layers": 1, "hidden_dim": D, name: 0}
    with pytest.raises(ValueError, match=f"`{name}`"):
        models.ImageCaptioner(sizes.pop("vocabulary_size", 13), make.__name__, filters=(3,), **sizes).build()


@both
def test_rules_about_a_source_of_tokens_are_refused(make):
    with pytest.raises(ValueError, match="`max_ratio` needs a source of tokens.*inputs=.'image'"):
        decoding.generate(make(), {"image": IMAGES}, decoding.Greedy(4, max_ratio=2.0))

"""The masked language model and the classifiers that go on from it."""

import keras
import numpy as np
import pytest

from keras_transformer import layers, losses, metrics, models
from keras_transformer.token_masking import masked_tokens
from tests import checks, reference
from tests.models import zoo_checks

B, T, D, VOCABULARY, CLASSES = 3, 5, 6, 13, 4
IDS = np.array([[2, 11, 4, 9, 3], [2, 7, 3, 0, 0], [2, 5, 8, 3, 0]], "int32")
SEGMENTS = np.array([[0, 0, 1, 1, 1], [0, 1, 1, 0, 0], [0, 0, 0, 1, 0]], "int32")
INPUTS = {"token_ids": IDS, "segment_ids": SEGMENTS}
SIZES = {"num_layers": 1, "hidden_dim": D, "num_heads": 2, "intermediate_dim": 11, "max_length": 7}


def encoder(dtype=None, **kwargs):
    return layers.TextEncoder(VOCABULARY, **{**SIZES, **kwargs}, dtype=dtype)


def masked_lm(dtype=None, **kwargs):
    return models.MaskedLM(encoder(dtype, **kwargs), dtype=dtype)


def sequence_classifier(dtype=None, **kwargs):
    return models.SequenceClassifier(encoder(dtype, **kwargs), CLASSES, dtype=dtype)


def token_classifier(dtype=None, **kwargs):
    return models.TokenClassifier(encoder(dtype, **kwargs), CLASSES, dtype=dtype)


every = pytest.mark.parametrize("make", [masked_lm, sequence_classifier, token_classifier])


@zoo_checks.each(checks.STANDARD, masked_lm, sequence_classifier, token_classifier)
def test_standard_checks(check, make, tmp_path):
    check(make, (INPUTS,), tmp_path)


def test_the_activation_between_encoder_and_logits_can_be_another():
    model = models.MaskedLM(encoder(), activation="relu")
    model.build()
    hidden = np.maximum(np.array(model.dense(model.encode({"token_ids": IDS}))), 0)
    np.testing.assert_array_equal(model.dense(model.encode({"token_ids": IDS})), hidden)
    again = models.MaskedLM.from_config(model.get_config())
    assert again.activation == "relu" and masked_lm().activation == "gelu"


def test_config_of_the_encoder():
    layer = encoder(norm_first=True, activation="relu", num_segments=3)
    again = layers.TextEncoder.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()


def test_model_equals_the_reference():
    model = checks.shared(masked_lm, (INPUTS,))
    part = model.encoder
    tokens, segments, positions = (
        layer.weights[0].numpy().astype("float64")
        for layer in (part.token_embedding, part.segment_embedding, part.positions)
    )
    hidden = D**0.5 * (tokens[IDS] + segments[SEGMENTS]) + positions[:T]
    hidden = reference.layer_norm([w.numpy() for w in part.norm.weights], hidden)
    mask = (IDS != 0)[:, None, None, :]
    (layer,) = part.encoder.layers
    attention, network, norms = reference.sublayer_weights(layer)

    def gelu(x):  # Hendrycks & Gimpel 2016, with the error function
        from math import erf

        return x * 0.5 * (1 + np.vectorize(erf)(x / 2**0.5))

    hidden = reference.sublayer(
        norms[0], hidden, lambda h: reference.multi_head_attention(attention[0], h, h, mask=mask)[0]
    )
    w1, b1, w2, b2 = network[0]
    hidden = reference.sublayer(norms[1], hidden, lambda h: gelu(h @ w1 + b1) @ w2 + b2)
    np.testing.assert_allclose(checks.as_array(model.encode(INPUTS))[IDS != 0], hidden[IDS != 0], atol=1e-4)
    kernel, bias = (w.numpy() for w in model.dense.weights)
    hidden = reference.layer_norm([w.numpy() for w in model.norm.weights], gelu(hidden @ kernel + bias))
    expected = hidden @ tokens.T + model.bias.numpy()
    np.testing.assert_allclose(checks.as_array(model(INPUTS))[IDS != 0], expected[IDS != 0], atol=1e-4)


@every
def test_rows_of_a_batch_do_not_meet(make):
    model = checks.shared(make, (INPUTS,))
    checks.batch_invariance(
        lambda ids, segments: model({"token_ids": ids, "segment_ids": segments}), IDS, SEGMENTS
    )


@every
def test_padding_does_not_matter(make):
    model = checks.shared(make, (INPUTS,))
    longer = {name: np.pad(ids, [(0, 0), (0, 2)]) for name, ids in INPUTS.items()}
    expected, actual = checks.as_array(model(INPUTS)), checks.as_array(model(longer))
    if make is sequence_classifier:
        np.testing.assert_allclose(actual, expected, atol=1e-5)
    else:
        np.testing.assert_allclose(actual[:, :T][IDS != 0], expected[IDS != 0], atol=1e-5)


def test_every_token_sees_both_sides():
    model = checks.shared(masked_lm, (INPUTS,))
    ids = IDS[:1]
    logits = checks.as_array(model({"token_ids": ids}))
    for t in range(T):
        other = ids.copy()
        other[0, t] = 12
        changed = checks.as_array(model({"token_ids": other})) != logits
        assert changed.any(axis=-1).all()


def test_left_out_segments_are_all_the_first():
    model = checks.shared(masked_lm, (INPUTS,))
    zeros = model({"token_ids": IDS, "segment_ids": np.zeros_like(IDS)})
    np.testing.assert_array_equal(checks.as_array(model({"token_ids": IDS})), checks.as_array(zeros))
    assert np.abs(checks.as_array(model(INPUTS)) - checks.as_array(zeros)).max() > 1e-3


def test_only_the_first_token_is_pooled():
    model = checks.shared(sequence_classifier, (INPUTS,))
    hidden = checks.as_array(model.encode(INPUTS)).astype("float64")[:, 0]
    (w1, b1), (w2, b2) = ([w.numpy() for w in layer.weights] for layer in (model.pooler, model.classifier))
    expected = np.tanh(hidden @ w1 + b1) @ w2 + b2
    np.testing.assert_allclose(checks.as_array(model(INPUTS)), expected, atol=1e-5)


def test_number_of_parameters():
    model = masked_lm()
    model.build()
    attention, network, norm = 4 * (D * D + D), D * 11 + 11 + 11 * D + D, 2 * D
    layer = attention + network + 2 * norm
    head = D * D + D + norm + VOCABULARY
    assert model.count_params() == (VOCABULARY + 2 + 7) * D + norm + layer + head


# Training


def compiled(model, loss=None, **kwargs):
    model.compile(
        keras.optimizers.Adam(0.01),
        loss or losses.SmoothedCrossEntropy(),
        metrics=[metrics.TokenAccuracy()],
        jit_compile=False,
        **kwargs,
    )
    return model


def test_loss_is_the_mean_over_the_hidden_tokens():
    model = compiled(masked_lm(dropout=0.0, attention_dropout=0.0), run_eagerly=True)
    ids, labels = masked_tokens(IDS, VOCABULARY, rate=0.5, seed=1)
    labels = checks.as_array(labels)
    assert 0 < np.count_nonzero(labels) < np.count_nonzero(IDS >= 4)
    inputs = {"token_ids": checks.as_array(ids), "segment_ids": SEGMENTS}
    _, expected = reference.smoothed_cross_entropy(labels, checks.as_array(model(inputs)))
    loss = model.evaluate(inputs, labels, verbose=0, return_dict=True)["loss"]
    assert loss == pytest.approx(expected, rel=1e-5)
    if keras.backend.backend() == "tensorflow":
        model.train_on_batch(inputs, labels)
        assert float(model.step_statistics.weight.result()) == np.count_nonzero(labels)


def test_batch_without_hidden_tokens_changes_nothing():
    model = compiled(masked_lm(), run_eagerly=True)
    before = model.predict(INPUTS, verbose=0)
    logs = model.train_on_batch(INPUTS, np.zeros_like(IDS), return_dict=True)
    assert logs["loss"] == 0
    np.testing.assert_allclose(model.predict(INPUTS, verbose=0), before, atol=1e-6)


@pytest.fixture(scope="module")
def trained():
    """A model of texts in which each token comes twice, and how its loss went."""
    keras.utils.set_random_seed(1)
    half = np.random.default_rng(0).integers(4, 12, (320, 3)).astype("int32")
    ids = np.concatenate([half, half], axis=1)
    hidden, labels = (checks.as_array(x) for x in masked_tokens(ids, VOCABULARY, rate=0.3, seed=1))
    sizes = {"hidden_dim": 16, "dropout": 0.0, "attention_dropout": 0.0}
    model = compiled(masked_lm(**sizes))
    history = model.fit({"token_ids": hidden}, labels, batch_size=32, epochs=20, verbose=0).history
    return model, history["loss"]


@pytest.mark.slow
def test_fit_learns_to_look_at_the_other_half(trained):
    model, loss = trained
    assert loss[0] > 2 and loss[-1] < 1.2
    ids = np.array([[5, 9, 4, 12, 9, 12]], "int32")  # 12 is the mask
    logits = checks.as_array(model({"token_ids": ids}))
    assert logits.argmax(axis=-1)[0, [3, 5]].tolist() == [5, 4]


def test_fine_tuning_begins_with_a_copy(tmp_path):
    model = masked_lm(hidden_dim=16, dropout=0.0, attention_dropout=0.0)
    model.build()
    before = model.encoder.get_weights()
    classifier = models.SequenceClassifier.from_masked_lm(model, 2)
    inputs = {"token_ids": np.random.default_rng(1).integers(4, 12, (32, 6)).astype("int32")}
    np.testing.assert_array_equal(
        checks.as_array(classifier.encode(inputs)), checks.as_array(model.encode(inputs))
    )
    labels = (inputs["token_ids"][:, 0] > 7).astype("int32")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    classifier.compile(keras.optimizers.Adam(0.01), loss, run_eagerly=True)
    first = classifier.train_on_batch(inputs, labels)
    for _ in range(6):
        last = classifier.train_on_batch(inputs, labels)
    assert last < first
    for mine, other in zip(model.encoder.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, other)
    classifier.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(checks.as_array(loaded(inputs)), checks.as_array(classifier(inputs)))


def test_frozen_encoder_stays_as_it_is(tmp_path):
    model = token_classifier()
    model.encoder.trainable = False  # before it has layers
    model.build()
    compiled(model, run_eagerly=True)
    before = model.encoder.get_weights(), model.classifier.get_weights()
    model.train_on_batch(INPUTS, np.where(IDS >= 4, IDS % 3 + 1, 0))
    for mine, other in zip(model.encoder.get_weights(), before[0], strict=True):
        np.testing.assert_array_equal(mine, other)
    assert (model.classifier.get_weights()[0] != before[1][0]).any()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert len(loaded.trainable_variables) == len(model.trainable_variables) == 2


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="`num_classes` must be an integer above 1.*num_classes=1"):
        models.TokenClassifier(encoder(), 1)
    with pytest.raises(ValueError, match="7 positions.*8"):
        masked_lm()({"token_ids": np.ones((1, 8), "int32")})

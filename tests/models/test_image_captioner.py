"""The captioner with both decoders: one pass and step by step, what looks where, and what it learns."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_transformer import decoding, losses, models
from tests import checks

B, H, W, C, T, D, VOCABULARY = 3, 5, 7, 2, 5, 6, 13
IMAGES = np.random.default_rng(0).uniform(size=(B, H, W, C)).astype("float32")
IDS = np.array([[2, 11, 4, 9, 5], [2, 7, 8, 0, 0], [2, 12, 0, 0, 0]], "int32")
INPUTS = {"image": IMAGES, "target_ids": IDS}


def captioner(decoder, **kwargs):
    sizes = {"num_layers": 1, "hidden_dim": D, "filters": (3, 5), "channels": C, "decoder": decoder}
    if decoder == "transformer":
        sizes |= {"num_heads": 2, "intermediate_dim": 11}
    return models.ImageCaptioner(VOCABULARY, **{**sizes, **kwargs})


def gru(**kwargs):
    return captioner("gru", **kwargs)


def transformer(**kwargs):
    return captioner("transformer", **kwargs)


both = pytest.mark.parametrize("make", [gru, transformer])


@both
@pytest.mark.parametrize("check", checks.STANDARD)
def test_standard_checks(check, make, tmp_path):
    check(make, (INPUTS,), tmp_path)


@both
def test_call_is_decode_of_encode(make):
    model = checks.built(make, (INPUTS,))
    memory = model.encode(IMAGES)
    assert tuple(memory.shape) == (B, np.prod(model.grid_shape(H, W)), D) == (B, 12, D)
    logits = model.decode(IDS, memory)
    np.testing.assert_allclose(checks.as_array(logits), checks.as_array(model(INPUTS)), atol=1e-5)


@both
def test_changed_future_leaves_the_logits_of_the_past(make):
    model = checks.built(make, (INPUTS,))
    logits = checks.as_array(model(INPUTS))
    for t in range(T):
        other = IDS.copy()
        other[:, t] = 10
        changed = np.abs(checks.as_array(model({**INPUTS, "target_ids": other})) - logits) > 1e-6
        assert not changed[:, :t].any()
        assert changed[:, t:].any(axis=-1)[:, 0].all()


@both
def test_padding_of_the_target_does_not_matter(make):
    model = checks.built(make, (INPUTS,))
    longer = {**INPUTS, "target_ids": np.pad(IDS, [(0, 0), (0, 3)])}
    actual, real = checks.as_array(model(longer))[:, :T], IDS != 0
    np.testing.assert_allclose(actual[real], checks.as_array(model(INPUTS))[real], atol=1e-5)


@both
def test_rows_of_a_batch_do_not_meet(make):
    model = checks.built(make, (INPUTS,))
    checks.batch_invariance(lambda image, ids: model({"image": image, "target_ids": ids}), IMAGES, IDS)


@both
def test_place_of_what_is_seen_matters(make):
    model = checks.built(make, (INPUTS,))
    for axis in (1, 2):
        turned = checks.as_array(model({**INPUTS, "image": np.flip(IMAGES, axis)}))
        assert np.abs(turned - checks.as_array(model(INPUTS))).max() > 1e-3


@both
@pytest.mark.parametrize("num_layers", [1, 2])
def test_step_by_step_equals_one_pass(make, num_layers):
    model = checks.built(lambda: make(num_layers=num_layers), (INPUTS,))
    ids = np.where(IDS == 0, 6, IDS)
    state = model.initial_state({"image": ops.convert_to_tensor(IMAGES)}, max_length=7)
    expected = model({"image": IMAGES, "target_ids": ids})
    checks.cached_equals_uncached(expected, model.decode_step, state, [ids[:, t] for t in range(T)])


@both
def test_attention_is_a_distribution_over_the_grid(make):
    model = checks.built(lambda: make(num_layers=2), (INPUTS,))
    state = model.initial_state({"image": ops.convert_to_tensor(IMAGES)}, max_length=2)
    _, state = model.decode_step(ops.convert_to_tensor([2, 2, 2]), state, 0)
    weights = checks.as_array(model.attention(state))
    assert weights.shape == ((B, 1, 1, 12) if make is gru else (B, 2, 2, 12))
    np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-5)


@both
@pytest.mark.parametrize("search", [decoding.Greedy(4), decoding.BeamSearch(4, width=3)])
def test_searches_decode_captions_alike_in_any_batch(make, search):
    model = checks.built(make, (INPUTS,))
    ids, scores = decoding.generate(model, {"image": IMAGES}, search)
    assert tuple(ids.shape) == (B, 4)
    for row in range(B):
        alone, score = decoding.generate(model, {"image": IMAGES[row : row + 1]}, search)
        np.testing.assert_array_equal(checks.as_array(alone)[0], checks.as_array(ids)[row])
        np.testing.assert_allclose(checks.as_array(score)[0], checks.as_array(scores)[row], atol=1e-4)


@both
def test_widest_beam_finds_the_best_of_all_captions(make):
    model = checks.built(
        lambda: models.ImageCaptioner(6, make.__name__, num_layers=1, hidden_dim=4, filters=(3,), channels=C),
        ({**INPUTS, "target_ids": IDS % 6},),
    )
    search = decoding.BeamSearch(2, width=9, alpha=0.0)
    found, scores = decoding.generate(model, {"image": IMAGES}, search)
    tokens = (1, 3, 4, 5)  # padding and the start token are never chosen
    captions = [[3, 0]] + [[a, b] for a in tokens if a != 3 for b in tokens]
    best = np.full(B, -np.inf)
    for caption in captions:
        target = np.tile([[2, caption[0]]], (B, 1)).astype("int32")
        logits = checks.as_array(model({"image": IMAGES, "target_ids": target})).astype("float64")
        values = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
        total = values[:, 0, caption[0]] + (values[:, 1, caption[1]] if caption[1] else 0)
        best = np.maximum(best, total)
    np.testing.assert_allclose(checks.as_array(scores), best, atol=1e-4)


@both
def test_graph_decodes_the_same_with_no_xla_op(make):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("an export is TensorFlow's")
    import tensorflow as tf

    model, search = checks.built(make, (INPUTS,)), decoding.Greedy(4)
    function = tf.function(
        lambda image: decoding.generate(model, {"image": image}, search)[0],
        input_signature=[tf.TensorSpec((None, None, None, C), tf.float32)],
    )
    graph = function.get_concrete_function().graph.as_graph_def()
    nodes = [*graph.node, *(node for part in graph.library.function for node in part.node_def)]
    assert not {node.op for node in nodes if "Xla" in node.op or "PyFunc" in node.op}
    expected, _ = decoding.generate(model, {"image": IMAGES}, search)
    np.testing.assert_array_equal(function(IMAGES).numpy(), checks.as_array(expected))


@both
def test_model_is_built_without_data(make):
    model = make()
    model.build()
    checks.randomized(model)
    expected = checks.as_array(checks.built(make, (INPUTS,))(INPUTS))
    np.testing.assert_allclose(checks.as_array(model(INPUTS)), expected, atol=1e-6)


@both
def test_fit_learns_to_say_where_the_light_is(make):
    rng = np.random.default_rng(1)
    places = rng.integers(0, 4, 96)
    images = rng.uniform(0, 0.1, (96, 4, 4, 1)).astype("float32")
    for image, place in zip(images, places, strict=True):
        row, column = 2 * (place // 2), 2 * (place % 2)
        image[row : row + 2, column : column + 2] += 0.9
    labels = np.stack([4 + places // 2, 6 + places % 2, np.full(96, 3)], axis=1).astype("int32")
    target = np.concatenate([np.full((96, 1), 2, "int32"), labels[:, :-1]], axis=1)
    model = make(channels=1, hidden_dim=16, filters=(4, 8), dropout=0.0)
    model.compile(keras.optimizers.Adam(0.02), losses.SmoothedCrossEntropy(), jit_compile=False)
    inputs = {"image": images[:64], "target_ids": target[:64]}
    model.fit(inputs, labels[:64], batch_size=16, epochs=12, verbose=0)
    ids, _ = decoding.generate(model, {"image": images[64:]}, decoding.Greedy(3))
    assert (checks.as_array(ids) == labels[64:]).mean() > 0.95


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="`decoder` must be one of.*'lstm'"):
        captioner("lstm")
    with pytest.raises(ValueError, match="`num_heads` must be None where decoder='gru'.*num_heads=2"):
        gru(num_heads=2)

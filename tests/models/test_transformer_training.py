"""The Transformer in use: `fit`, saving in the middle, and decoding what it learned."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_transformer import decoding, losses, metrics, schedules
from tests import checks, reference
from tests.models.small_transformers import (
    INPUTS,
    LABELS,
    SOURCE_IDS,
    B,
    D,
    T,
    both,
    inputs_of,
    small,
)


def compiled_model(run_eagerly=False):
    model = small(dropout=0.0)
    model.compile(
        optimizer=keras.optimizers.Adam(
            schedules.TransformerSchedule(hidden_dim=D, warmup_steps=30), 0.9, 0.98, 1e-9
        ),
        loss=losses.SmoothedCrossEntropy(label_smoothing=0.1),
        metrics=[metrics.Perplexity(), metrics.TokenAccuracy()],
        run_eagerly=run_eagerly,
    )
    return model


@pytest.fixture(scope="module")
def trained():
    """A model that knows three sentences by heart, of three lengths, and the history of its training."""
    keras.utils.set_random_seed(1)
    model = compiled_model()
    many = {name: np.tile(ids, (50, 1)) for name, ids in INPUTS.items()}
    labels = np.tile(LABELS, (50, 1))
    history = model.fit(many, labels, batch_size=B, epochs=6, shuffle=False, verbose=0).history
    return model, history


def test_fit_learns_three_sentences_by_heart(trained):
    model, history = trained
    assert history["loss"][-1] < history["loss"][0]
    assert history["token_accuracy"][-1] == 1.0
    assert history["perplexity"][-1] < 2
    ids, _ = decoding.generate(model, {"source_ids": SOURCE_IDS}, decoding.Greedy(max_length=T))
    np.testing.assert_array_equal(checks.as_array(ids), LABELS)


def test_fit_and_evaluate_agree_on_the_loss():
    model = compiled_model(run_eagerly=True)
    logs = model.evaluate(INPUTS, LABELS, batch_size=B, return_dict=True, verbose=0)
    logits = checks.as_array(model(INPUTS))
    _, loss = reference.smoothed_cross_entropy(LABELS, logits, 0.1)
    _, plain = reference.smoothed_cross_entropy(LABELS, logits)
    assert logs["loss"] == pytest.approx(loss, rel=1e-5)
    assert logs["perplexity"] == pytest.approx(np.exp(plain), rel=1e-5)


def test_training_goes_on_after_saving_in_the_middle(tmp_path):
    model = compiled_model(run_eagerly=True)
    for _ in range(2):
        model.train_on_batch(INPUTS, LABELS)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert int(loaded.optimizer.iterations) == 2
    for _ in range(2):
        before = model.train_on_batch(INPUTS, LABELS, return_dict=True)
        after = loaded.train_on_batch(INPUTS, LABELS, return_dict=True)
        assert after["loss"] == pytest.approx(before["loss"], rel=1e-6)
    for mine, other in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_allclose(mine.numpy(), other.numpy(), atol=1e-6, err_msg=mine.path)


# Decoding


@both
def test_step_by_step_equals_one_pass(make):
    model = checks.shared(make, (INPUTS,))
    ids = np.array([[2, 16, 4, 9, 5], [2, 7, 8, 3, 3], [2, 11, 4, 4, 4]], "int32")
    state = model.initial_state({"source_ids": ops.convert_to_tensor(SOURCE_IDS)}, max_length=9)
    steps = [ids[:, t] for t in range(T)]
    expected = model(inputs_of(SOURCE_IDS, ids))
    checks.cached_equals_uncached(expected, model.decode_step, state, steps)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_step_in_half_precision_keeps_its_state_and_float32_logits(policy):
    model = checks.shared(small, (INPUTS,), dtype=policy)
    state = model.initial_state({"source_ids": ops.convert_to_tensor(SOURCE_IDS)}, max_length=5)
    before = [leaf.dtype for leaf in keras.tree.flatten(state)]
    logits, state = model.decode_step(ops.convert_to_tensor([2, 2, 2]), state, 0)
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"
    assert [leaf.dtype for leaf in keras.tree.flatten(state)] == before


def greedy_by_hand(model, source_ids, max_length):
    """Greedy search with one full pass for each token; what is not known yet is padding."""
    ids = np.zeros((len(source_ids), max_length + 1), "int32")
    ids[:, 0] = 2
    for t in range(max_length):
        logits = checks.as_array(model(inputs_of(source_ids, ids[:, :-1])))
        ids[:, t + 1] = logits[:, t].argmax(axis=-1)
    ids = ids[:, 1:]
    ended_before = np.cumsum(ids == 3, axis=1) - (ids == 3) > 0
    return np.where(ended_before, 0, ids)


def test_generate_is_the_argmax_of_full_passes(trained):
    model, _ = trained
    expected = greedy_by_hand(model, SOURCE_IDS, 6)
    ids, _ = decoding.generate(model, {"source_ids": SOURCE_IDS}, decoding.Greedy(6))
    np.testing.assert_array_equal(checks.as_array(ids), expected)


def test_scores_are_the_log_probabilities_of_a_full_pass(trained):
    model, _ = trained
    ids, scores = decoding.generate(model, {"source_ids": SOURCE_IDS}, decoding.Greedy(6))
    ids = checks.as_array(ids)
    target_ids = np.pad(ids[:, :-1], [(0, 0), (1, 0)], constant_values=2)
    values, _ = reference.smoothed_cross_entropy(
        ids, checks.as_array(model(inputs_of(SOURCE_IDS, target_ids)))
    )
    expected = -np.where(ids != 0, values, 0).sum(axis=1)
    np.testing.assert_allclose(checks.as_array(scores), expected, atol=1e-4)


def test_generate_is_the_same_in_any_batch_and_with_any_padding(trained):
    (model, _), search = trained, decoding.Greedy(6)
    ids, scores = map(checks.as_array, decoding.generate(model, {"source_ids": SOURCE_IDS}, search))
    for row, length in enumerate((SOURCE_IDS != 0).sum(axis=1)):
        alone = {"source_ids": SOURCE_IDS[row : row + 1, :length]}
        alone_ids, alone_scores = map(checks.as_array, decoding.generate(model, alone, search))
        np.testing.assert_array_equal(alone_ids[0], ids[row])
        np.testing.assert_allclose(alone_scores[0], scores[row], atol=1e-5)


@pytest.mark.parametrize("xla", [False, True])
def test_generate_gives_the_same_tokens_in_a_graph(trained, xla):
    (model, _), search = trained, decoding.Greedy(6)
    expected, _ = decoding.generate(model, {"source_ids": SOURCE_IDS}, search)
    function = checks.compiled(lambda source: decoding.generate(model, {"source_ids": source}, search), xla)
    ids, _ = function(ops.convert_to_tensor(SOURCE_IDS))
    np.testing.assert_array_equal(checks.as_array(ids), checks.as_array(expected))


def test_room_that_grows_on_the_way_changes_nothing(trained):
    model, _ = trained
    inputs = {"source_ids": ops.convert_to_tensor(SOURCE_IDS)}
    wide, narrow = model.initial_state(inputs, max_length=7), model.initial_state(inputs, max_length=2)
    tokens = ops.convert_to_tensor(SOURCE_IDS[:, 0])
    for index in range(7):
        if index in (2, 5):
            narrow = {**narrow, "target": model.grow(narrow["target"], index + 3)}
        expected, wide = model.decode_step(tokens, wide, index)
        logits, narrow = model.decode_step(tokens, narrow, index)
        np.testing.assert_allclose(checks.as_array(logits), checks.as_array(expected), atol=1e-5)
        tokens = ops.cast(ops.argmax(logits, axis=-1), "int32")


def test_hypotheses_of_a_source_share_its_memory_and_nothing_else(trained):
    model, _ = trained
    count = len(SOURCE_IDS)
    inputs = {"source_ids": ops.convert_to_tensor(SOURCE_IDS)}
    state = model.initial_state(inputs, max_length=3)
    shared = {
        **state,
        "target": keras.tree.map_structure(lambda x: ops.repeat(x, 2, axis=0), state["target"]),
    }
    tokens = np.arange(4, 4 + 2 * count).astype("int32") % 3 + 4
    states = [state, state]
    for index in range(3):
        both, shared = model.decode_step(ops.convert_to_tensor(tokens), shared, index)
        for number in range(2):
            alone, states[number] = model.decode_step(
                ops.convert_to_tensor(tokens[number::2]), states[number], index
            )
            np.testing.assert_allclose(checks.as_array(both)[number::2], checks.as_array(alone), atol=1e-5)
            np.testing.assert_allclose(
                checks.as_array(model.attention(shared))[number::2],
                checks.as_array(model.attention(states[number])),
                atol=1e-5,
            )
        tokens = (tokens + 1) % 3 + 4

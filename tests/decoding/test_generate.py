"""Models and searches together: results, attention and alignments of a small Transformer."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_transformer import decoding
from tests import checks
from tests.decoding.scripted import PAD, START
from tests.models.small_transformers import INPUTS, SOURCE_IDS, B, S, both, small

SOURCE = {"source_ids": SOURCE_IDS}
LENGTHS = (SOURCE_IDS != 0).sum(axis=1)
L = 7
SEARCHES = {
    "greedy": decoding.Greedy(L),
    "sampling": decoding.Sampling(L, num_samples=3, top_p=0.9),
    "beam": decoding.BeamSearch(L, width=5, n_best=3, coverage_penalty=0.2),
}
each_search = pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)


@pytest.fixture(scope="module")
def model():
    # With this seed some results end, and some are cut.
    return checks.randomized(checks.built(lambda: small(num_layers=2), (INPUTS,)), seed=54)


@each_search
def test_n_best_begins_with_what_generate_returns(model, search):
    ids, scores = map(checks.as_array, decoding.generate_n_best(model, SOURCE, search))
    assert ids.shape == (B, 1 if search == SEARCHES["greedy"] else 3, L)
    assert scores.shape == ids.shape[:2]
    first_ids, first_scores = map(checks.as_array, decoding.generate(model, SOURCE, search))
    np.testing.assert_array_equal(first_ids, ids[:, 0])
    np.testing.assert_array_equal(first_scores, scores[:, 0])


@each_search
def test_results_need_no_gradients(model, search):
    for result in decoding.generate_with_attention(model, SOURCE, search):
        assert not getattr(result, "requires_grad", False)  # PyTorch's, which NumPy then refuses


@both
def test_result_does_not_depend_on_the_batch_or_the_padding(make):
    model = checks.built(make, (INPUTS,))
    ids, scores = map(checks.as_array, decoding.generate_n_best(model, SOURCE, SEARCHES["beam"]))
    for row, length in enumerate(LENGTHS):
        alone = {"source_ids": SOURCE_IDS[row : row + 1, :length]}
        alone_ids, alone_scores = map(
            checks.as_array, decoding.generate_n_best(model, alone, SEARCHES["beam"])
        )
        np.testing.assert_array_equal(alone_ids[0], ids[row])
        np.testing.assert_allclose(alone_scores[0], scores[row], atol=1e-4)


def test_prefix_is_handed_on(model):
    prefix_ids = np.array([[5, 16], [7, 9], [16, 16]])
    for search in SEARCHES.values():
        ids, _ = decoding.generate_n_best(model, SOURCE, search, prefix_ids=prefix_ids)
        assert (checks.as_array(ids)[..., :2] == prefix_ids[:, None]).all()


def test_ratio_sees_the_real_length_of_each_source(model):
    search = decoding.BeamSearch(L, width=2, min_ratio=0.5, max_ratio=0.5)
    ids, _ = decoding.generate(model, SOURCE, search)
    np.testing.assert_array_equal((checks.as_array(ids) != PAD).sum(axis=1), np.ceil(LENGTHS * 0.5))


def test_learned_positions_are_enough_for_a_result_that_long():
    model = checks.built(lambda: small(max_length=19), (INPUTS,))
    ids, _ = decoding.generate(model, SOURCE, decoding.BeamSearch(19, width=2, min_length=19))
    assert (checks.as_array(ids) != PAD).all()
    with pytest.raises(ValueError, match="Only 19 positions.*max_length=20"):
        decoding.generate(model, SOURCE, decoding.Greedy(20))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's own signature")
@pytest.mark.slow  # exports do, in tests/serving
@pytest.mark.parametrize("name", ["sampling", "beam"])
def test_one_graph_serves_any_batch_size_and_source_length(model, name):
    import tensorflow as tf

    # AutoGraph rewrites what it can reach: once, for it must change nothing.
    @tf.function(input_signature=[tf.TensorSpec([None, None], "int32")], autograph=name == "beam")
    def run(source_ids):
        return tuple(decoding.generate_with_attention(model, {"source_ids": source_ids}, SEARCHES[name]))

    for source_ids in (SOURCE_IDS, SOURCE_IDS[1:2, :5]):
        expected = decoding.generate_with_attention(model, {"source_ids": source_ids}, SEARCHES[name])
        for mine, other in zip(run(source_ids), expected, strict=True):
            np.testing.assert_allclose(checks.as_array(mine), checks.as_array(other), atol=1e-4)


# Attention


def teacher_forced(model, ids):
    """Attention (B, L, layers, heads, S) of steps that are given the ids (B, L)."""
    state = model.initial_state({"source_ids": ops.convert_to_tensor(SOURCE_IDS)}, L)
    seen, steps = np.pad(ids[:, :-1], [(0, 0), (1, 0)], constant_values=START), []
    for t in range(L):
        _, state = model.decode_step(ops.convert_to_tensor(seen[:, t]), state, t)
        steps.append(checks.as_array(model.attention(state)))
    return np.stack(steps, axis=1)


@each_search
def test_attention_is_that_of_steps_with_the_result(model, search):
    ids, scores, attention = decoding.generate_with_attention(model, SOURCE, search)
    ids, attention = checks.as_array(ids), checks.as_array(attention)
    plain_ids, plain_scores = decoding.generate_n_best(model, SOURCE, search)
    np.testing.assert_array_equal(ids, checks.as_array(plain_ids))
    np.testing.assert_allclose(checks.as_array(scores), checks.as_array(plain_scores), atol=1e-5)
    assert attention.shape == (*ids.shape, 2, 2, S)
    for n in range(ids.shape[1]):
        expected = np.where((ids[:, n] != PAD)[..., None, None, None], teacher_forced(model, ids[:, n]), 0)
        np.testing.assert_allclose(attention[:, n], expected, atol=1e-5)


@each_search
def test_attention_sums_to_one_over_the_real_source_and_is_zero_after_the_end(model, search):
    ids, _, attention = map(checks.as_array, decoding.generate_with_attention(model, SOURCE, search))
    is_real = (ids != PAD)[..., None, None]
    np.testing.assert_allclose(
        attention.sum(axis=-1), np.broadcast_to(is_real, attention.shape[:-1]), atol=1e-5
    )
    for row, length in enumerate(LENGTHS):
        assert (attention[row, ..., length:] == 0).all()


def test_attention_can_be_a_part_of_it(model):
    _, _, attention = decoding.generate_with_attention(model, SOURCE, SEARCHES["beam"])
    _, _, last_layer = decoding.generate_with_attention(
        model, SOURCE, SEARCHES["beam"], attention=lambda state: model.attention(state)[:, -1]
    )
    np.testing.assert_allclose(
        checks.as_array(last_layer), checks.as_array(attention)[..., -1, :, :], atol=1e-6
    )


# Alignments

WEIGHTS = checks.numbers(2, 3, 5, 2, 4, 7) ** 2  # B, N, L, layers, heads, S


@pytest.mark.parametrize(
    "choice, expected",
    [
        ({}, WEIGHTS.mean(axis=(3, 4))),
        ({"layer": 1}, WEIGHTS[..., 1, :, :].mean(axis=-2)),
        ({"head": -1}, WEIGHTS[..., -1, :].mean(axis=-2)),
        ({"layer": 0, "head": 2}, WEIGHTS[..., 0, 2, :]),
        ({"layer": -1, "head": 0}, WEIGHTS[..., -1, 0, :]),
    ],
    ids=str,
)
def test_alignment_is_of_one_layer_and_head_or_their_mean(choice, expected):
    soft = decoding.soft_alignment(ops.convert_to_tensor(WEIGHTS), **choice)
    np.testing.assert_allclose(checks.as_array(soft), expected, rtol=1e-5)
    hard = checks.as_array(decoding.hard_alignment(ops.convert_to_tensor(WEIGHTS), **choice))
    assert hard.dtype == np.int32
    np.testing.assert_array_equal(hard, expected.argmax(axis=-1))

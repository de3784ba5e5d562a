"""Programs that are kept: compiled once, for the weights as they are now, and no longer than the model is."""

import contextlib
import gc
import weakref

import keras
import numpy as np
import pytest
from keras import ops

from keras_transformer import decoding, models
from keras_transformer.decoding import programs
from tests import checks

SOURCE_IDS = np.array([[5, 6, 7, 8, 9], [7, 3, 0, 0, 0], [9, 9, 4, 3, 0]], "int32")
LABELS = np.array([[5, 6, 3], [7, 3, 0], [8, 3, 0]], "int32")
SOURCE = {"source_ids": SOURCE_IDS}
S, VOCABULARY = 5, 11
SEARCH = decoding.Greedy(5)
compiles = pytest.mark.skipif(keras.backend.backend() == "torch", reason="PyTorch compiles nothing here")


class Bigrams(models.base.AutoregressiveModel):
    """The smallest model: what follows depends on the last token, and on the tokens of the source."""

    def __init__(self, max_length=None):
        super().__init__()
        self.max_length = max_length
        self.followers = keras.layers.Embedding(VOCABULARY, VOCABULARY)
        self.sources = keras.layers.Embedding(VOCABULARY, VOCABULARY)

    def call(self, inputs, training=None):
        return self.followers(inputs["target_ids"]) + self._read(inputs)[:, None]

    def _read(self, inputs):
        is_real = ops.cast(inputs["source_ids"] != 0, "float32")[..., None]
        return ops.sum(ops.cast(self.sources(inputs["source_ids"]), "float32") * is_real, axis=1)

    def initial_state(self, inputs, max_length):
        weights = ops.ones(ops.shape(inputs["source_ids"]))[:, None, None]
        return {"source": [self._read(inputs), weights], "target": (), "attention": weights}

    def decode_step(self, token_ids, state, index):
        logits = self.followers(token_ids) + state["source"][0]
        return logits, {"target": (), "attention": state["source"][1]}

    def attention(self, state):
        return state["attention"]


def made(seed=1, **options):
    return checks.randomized(
        checks.built(lambda: Bigrams(**options), ({**SOURCE, "target_ids": LABELS},)), seed
    )


@contextlib.contextmanager
def counted_steps(monkeypatch):
    """A list that grows when the model's Python code runs: when a program is made."""
    calls, step = [], Bigrams.decode_step
    with monkeypatch.context() as patch:
        patch.setattr(Bigrams, "decode_step", lambda *args: calls.append(1) or step(*args))
        yield calls


def results(model, **options):
    return [checks.as_array(x) for x in decoding.generate(model, SOURCE, SEARCH, **options)]


@compiles
def test_a_second_call_runs_no_python_of_the_model(monkeypatch):
    model = made()
    decoding.generate(model, SOURCE, SEARCH)
    decoding.generate_with_attention(model, SOURCE, SEARCH)
    with counted_steps(monkeypatch) as calls:
        for function in (decoding.generate, decoding.generate_n_best, decoding.generate_with_attention):
            function(model, SOURCE, decoding.Greedy(5))  # equal, and another object
        assert not calls
        decoding.generate(model, SOURCE, decoding.Greedy(5, min_length=3))
        assert calls


@compiles
def test_a_second_score_runs_no_python_of_the_model(monkeypatch):
    model = made()
    expected = [checks.as_array(x) for x in decoding.score(model, SOURCE, LABELS)]
    monkeypatch.setattr(Bigrams, "_read", None)
    for found, same in zip(decoding.score(model, SOURCE, LABELS), expected, strict=True):
        np.testing.assert_array_equal(checks.as_array(found), same)


@compiles
def test_few_programs_serve_all_numbers_of_rows_and_lengths(monkeypatch):
    model = made()
    expected, scores = results(model)
    longer = np.pad(SOURCE_IDS, [(0, 0), (0, 2)])
    decoding.generate_with_attention(model, SOURCE, SEARCH)
    with counted_steps(monkeypatch) as calls:
        for rows, ids in ((3, longer), (4, SOURCE_IDS[[0, 1, 2, 0]])):
            found, found_scores = decoding.generate(model, {"source_ids": ids}, SEARCH)
            assert found.shape[0] == rows
            np.testing.assert_array_equal(checks.as_array(found)[:3], expected)
            np.testing.assert_allclose(checks.as_array(found_scores)[:3], scores, atol=1e-5)
        _, _, attention = decoding.generate_with_attention(model, {"source_ids": longer}, SEARCH)
        assert attention.shape[0] == 3 and attention.shape[-1] == S + 2
    assert not calls


def test_a_model_that_is_trained_further_gives_its_new_answers():
    model = made()
    before, scored = results(model), checks.as_array(decoding.score(model, SOURCE, LABELS)[1])
    checks.randomized(model, seed=7)
    after, scored_after = results(model), checks.as_array(decoding.score(model, SOURCE, LABELS)[1])
    other = made(seed=7)
    np.testing.assert_array_equal(after[0], results(other)[0])
    np.testing.assert_allclose(after[1], results(other)[1], atol=1e-5)
    assert np.abs(after[1] - before[1]).max() > 1e-2
    assert np.abs(scored_after - scored).max() > 1e-2


def test_a_model_of_other_layers_or_policies_is_compiled_anew():
    model = made()
    before = results(model)
    model.followers.quantize("int8")  # other variables
    after = results(model)
    assert 1e-5 < np.abs(after[1] - before[1]).max() < 1
    model.sources.dtype_policy = keras.DTypePolicy("mixed_bfloat16")
    assert 1e-5 < np.abs(results(model)[1] - after[1]).max() < 1


@compiles
def test_programs_go_with_their_model():
    model = made()
    ensemble = decoding.Ensemble([model])
    for each in (model, ensemble):
        decoding.generate(each, SOURCE, SEARCH)
        decoding.generate_with_attention(each, SOURCE, SEARCH)
        decoding.score(each, SOURCE, LABELS)
    references = [weakref.ref(model), weakref.ref(ensemble), weakref.ref(model.variables[0])]
    del model, ensemble, each
    gc.collect()
    assert [reference() for reference in references] == [None] * 3


@compiles
def test_no_more_programs_are_kept_than_a_bound(monkeypatch):
    monkeypatch.setattr(programs, "MAX_PROGRAMS", 2)
    model = made()
    for pad_id in (0, 1, 2, 0):
        decoding.score(model, SOURCE, LABELS, pad_id=pad_id)
    assert len(programs._kept[model].by_key) == 2


@compiles
def test_another_seed_needs_no_other_program(monkeypatch):
    model = made()
    asked = [decoding.Sampling(5, seed=seed, temperature=3.0) for seed in (0, 1, 2, None, None)]
    decoding.generate(model, SOURCE, asked[0])
    with counted_steps(monkeypatch) as calls:
        texts = [checks.as_array(decoding.generate(model, SOURCE, search)[0]) for search in asked]
        again = checks.as_array(decoding.generate(model, SOURCE, asked[0], seed=2)[0])
    assert not calls
    assert len({text.tobytes() for text in texts}) == 5
    np.testing.assert_array_equal(again, texts[2])


@pytest.mark.parametrize("xla", [False, True])
def test_inside_a_graph_of_the_callers_it_is_a_part_of_that(xla):
    model = made()
    expected = results(model)
    inside = checks.compiled(lambda ids: decoding.generate(model, {"source_ids": ids}, SEARCH), xla)
    found = inside(SOURCE_IDS)
    np.testing.assert_array_equal(checks.as_array(found[0]), expected[0])
    np.testing.assert_allclose(checks.as_array(found[1]), expected[1], atol=1e-5)


def test_a_model_that_was_never_called_is_built_first():
    for function in (decoding.generate, decoding.score):
        model = Bigrams()
        asked = SEARCH if function is decoding.generate else LABELS
        first, again = ([checks.as_array(x) for x in function(model, SOURCE, asked)] for _ in range(2))
        for one, other in zip(first, again, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5)


def test_a_score_can_be_differentiated():
    model = made()
    if keras.backend.backend() == "jax":
        pytest.skip("JAX has no gradient of variables that are not arguments")
    if keras.backend.backend() == "torch":
        decoding.score(model, SOURCE, LABELS)[1].sum().backward()
        assert all(weight.value.grad is not None for weight in model.trainable_variables)
        return
    import tensorflow as tf

    with tf.GradientTape() as tape:
        _, sums = decoding.score(model, SOURCE, LABELS)
    assert all(gradient is not None for gradient in tape.gradient(sums, model.trainable_variables))


# What does not fit together


@pytest.mark.parametrize("rows", [1, 2])
def test_inputs_of_different_numbers_of_rows_are_refused(rows):
    model, source = made(), {"source_ids": SOURCE_IDS[:rows]}
    with pytest.raises(ValueError, match=f"same number of rows.*{rows} of source_ids, 3 of target_ids"):
        decoding.score(model, source, LABELS)
    with pytest.raises(ValueError, match=f"same number of rows.*{rows} of source_ids, 3 of prefix_ids"):
        decoding.generate(model, source, SEARCH, prefix_ids=LABELS[:, :2])


def test_more_tokens_than_learned_positions_are_refused_whatever_was_compiled_before():
    model = made(max_length=S)
    longer = {"source_ids": np.pad(SOURCE_IDS, [(0, 0), (0, 1)])}
    for _ in range(2):
        decoding.score(model, SOURCE, LABELS)
        with pytest.raises(ValueError, match=f"Only {S} positions.*{S + 1} tokens"):
            decoding.generate(model, longer, SEARCH)
        with pytest.raises(ValueError, match=f"Only {S} positions.*{S + 1} tokens"):
            decoding.score(model, longer, LABELS)


def test_a_batch_of_no_rows_has_no_results():
    model, nothing = made(), {"source_ids": SOURCE_IDS[:0]}
    ids, scores = decoding.generate(model, nothing, SEARCH)
    assert tuple(ids.shape) == (0, 5) and tuple(scores.shape) == (0,)
    assert tuple(decoding.score(model, nothing, LABELS[:0])[1].shape) == (0,)


def test_a_seed_is_for_a_search_that_draws():
    with pytest.raises(ValueError, match="`seed` is for a search that draws.*seed=3"):
        decoding.generate(made(), SOURCE, SEARCH, seed=3)
    with pytest.raises(ValueError, match="`seed` must be an integer >= 0.*seed=-1"):
        decoding.generate(made(), SOURCE, decoding.Sampling(5), seed=-1)


def test_a_row_with_a_seed_of_its_own_does_not_look_at_its_neighbours():
    model, search = made(), decoding.Sampling(5, min_length=5, temperature=9.0)

    def drawn(rows, seed):
        inputs = {"source_ids": SOURCE_IDS[rows]}
        return checks.as_array(
            decoding.generate(model, inputs, search, seed=np.array(seed, "int32"))[0]
        ).tolist()

    one, other, same, third = drawn([1, 1, 1, 2], [4, 5, 4, 4])
    assert one == same != other
    assert drawn([2, 0, 1], [4, 4, 5])[::2] == [third, other]
    assert drawn([1], 4) == [one]  # as the first of those with one seed for all
    with pytest.raises(ValueError, match="same number of rows. Received: 2 of source_ids, 3 of seed"):
        drawn([0, 1], [1, 2, 3])

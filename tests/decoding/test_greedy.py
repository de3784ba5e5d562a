"""Greedy search: a scripted step function spells words, so that the expected result can be read."""

import contextlib

import keras
import numpy as np
import pytest
from keras import ops

from keras_transformer import decoding
from tests import checks

# Padding _, unknown ?, start ^, end $, then letters.
ALPHABET = "_?^$abcdefghijklmnopqrstuvwxyz"
PAD, UNKNOWN, START, END = range(4)


def ids_of(word):
    return [ALPHABET.index(letter) for letter in word]


def words_of(ids):
    return ["".join(ALPHABET[i] for i in row) for row in checks.as_array(ids)]


def logits_for(next_ids, confidence=9.0):
    """(B, V), highest at the next id of each row."""
    return confidence * ops.one_hot(next_ids, len(ALPHABET), dtype="float32")


def speller(*scripts):
    """A step function that spells one script for each row, and its state: how far each row is."""
    letters = ops.convert_to_tensor(np.array([ids_of(script) for script in scripts], "int32"))

    def step(token_ids, state, index):
        spelled = state["target"]
        next_ids = ops.squeeze(ops.take_along_axis(state["source"], spelled[:, None], axis=1), 1)
        return logits_for(next_ids), {"target": spelled + 1}

    return step, {"source": letters, "target": ops.zeros((len(scripts),), "int32")}


def spell(*scripts, max_length):
    step, state = speller(*scripts)
    ids, scores, *_ = decoding.Greedy(max_length=max_length)(step, state, len(scripts))
    return ids, scores


def test_spells_a_word():
    ids, _ = spell("hello$", max_length=6)
    assert words_of(ids) == ["hello$"]


def test_result_is_as_long_as_allowed_and_of_type_int32():
    ids, scores = spell("hi$zzzz", "sun$zzz", max_length=7)
    assert tuple(ids.shape) == (2, 7)
    assert tuple(scores.shape) == (2,)
    assert keras.backend.standardize_dtype(ids.dtype) == "int32"
    assert keras.backend.standardize_dtype(scores.dtype) == "float32"


def test_after_the_end_only_padding():
    ids, _ = spell("a$xyzuvw", "apple$xy", "$abcdefg", max_length=8)
    assert words_of(ids) == ["a$______", "apple$__", "$_______"]


def test_row_without_an_end_is_cut_at_the_length():
    ids, _ = spell("endless", "short$z", max_length=4)
    assert words_of(ids) == ["endl", "shor"]


def test_length_one():
    ids, _ = spell("abc", "$bc", max_length=1)
    assert words_of(ids) == ["a", "$"]


def test_first_token_is_start_and_each_next_the_last_output():
    # Each step answers with the letter after the one it is given: the start token leads to "b".
    def step(token_ids, state, index):
        first = ops.equal(token_ids, START)
        return logits_for(ops.where(first, ALPHABET.index("b"), token_ids + 1)), state

    ids, *_ = decoding.Greedy(max_length=5)(step, (), 2)
    assert words_of(ids) == ["bcdef", "bcdef"]


def test_index_counts_the_positions_from_zero():
    script = ops.convert_to_tensor(ids_of("count"))

    def step(token_ids, state, index):
        next_id = ops.take(script, index)
        return logits_for(ops.broadcast_to(next_id, ops.shape(token_ids))), state

    ids, *_ = decoding.Greedy(max_length=5)(step, (), 3)
    assert words_of(ids) == ["count"] * 3


def test_row_does_not_depend_on_its_neighbours():
    alone_ids, alone_score = spell("hello$zzz", max_length=9)
    for scripts in (("hello$zzz", "a$zzzzzzz"), ("hello$zzz", "marathons"), ("hello$zzz",) * 3):
        ids, scores = spell(*scripts, max_length=9)
        assert words_of(ids)[0] == words_of(alone_ids)[0]
        assert float(scores[0]) == pytest.approx(float(alone_score[0]), abs=1e-6)


def test_score_is_the_sum_of_log_probabilities_up_to_the_end():
    # One logit of 9 among zeros, at every step; the end token counts, the padding does not.
    log_probability = 9 - np.log(np.exp(9) + len(ALPHABET) - 1)
    _, scores = spell("$zzzz", "ab$zz", "abcd$", "abcde", max_length=5)
    expected = log_probability * np.array([1, 3, 5, 5])
    np.testing.assert_allclose(checks.as_array(scores), expected, atol=2e-5)


def test_score_follows_the_logits_of_each_step():
    confidences = ops.convert_to_tensor(np.array([1.0, 2.0, 3.0], "float32"))

    def step(token_ids, state, index):
        next_ids = ops.full(ops.shape(token_ids), 5, dtype="int32")
        return logits_for(next_ids) / 9.0 * ops.take(confidences, index) - 100.0, state

    _, scores, *_ = decoding.Greedy(max_length=3)(step, (), 1)
    others = len(ALPHABET) - 1
    expected = sum(c - np.log(np.exp(c) + others) for c in (1.0, 2.0, 3.0))
    assert float(scores[0]) == pytest.approx(expected, rel=1e-5)


def test_takes_the_likeliest_of_close_calls():
    logits = np.zeros((2, len(ALPHABET)), "float32")
    logits[0, [7, 9, 5]] = [1.0, 1.001, 0.999]
    logits[1, [7, 9, 5]] = [-1.0, -1.001, 2.0]

    ids, *_ = decoding.Greedy(max_length=2)(
        lambda token_ids, state, index: (ops.convert_to_tensor(logits), state), (), 2
    )
    np.testing.assert_array_equal(checks.as_array(ids), [[9, 9], [5, 5]])


@contextlib.contextmanager
def loops_in_python():
    """Runs `ops.while_loop` step by step, so that calls can be counted."""
    if keras.backend.backend() == "jax":
        import jax

        with jax.disable_jit():
            yield
    else:
        yield  # eager already


@pytest.mark.parametrize("scripts, steps", [(("ab$zzzzz", "abcd$zzz"), 5), (("abcdefgh",), 8)])
def test_stops_when_all_rows_have_ended(scripts, steps):
    step, state = speller(*scripts)
    calls = []

    def counted(token_ids, state, index):
        calls.append(int(index))
        return step(token_ids, state, index)

    with loops_in_python():
        decoding.Greedy(max_length=8)(counted, state, len(scripts))
    assert calls == list(range(steps))


def test_state_of_any_structure_is_carried_along():
    def step(token_ids, state, index):
        (counts, [letters]), total = state["nested"], state["total"]
        next_ids = ops.squeeze(ops.take_along_axis(letters, counts[:, None], axis=1), 1)
        return logits_for(next_ids), {
            "nested": (counts + 1, [letters]),
            "total": total + ops.cast(counts, "float32"),
        }

    letters = ops.convert_to_tensor(np.array([ids_of("tree$"), ids_of("deep$")], "int32"))
    state = {"nested": (ops.zeros((2,), "int32"), [letters]), "total": ops.zeros((2,))}
    ids, *_ = decoding.Greedy(max_length=5)(step, state, 2)
    assert words_of(ids) == ["tree$", "deep$"]


def record_of(*scripts, max_length):
    step, state = speller(*scripts)
    search = decoding.Greedy(max_length=max_length)
    *_, recorded = search(step, state, len(scripts), record=lambda state: state["spelled"])
    return checks.as_array(recorded)


def test_records_the_state_of_each_step():
    np.testing.assert_array_equal(record_of("abcd", max_length=4), [[1, 2, 3, 4]])


def test_record_of_a_row_does_not_depend_on_its_neighbours():
    alone = record_of("ab$zzz", max_length=6)
    np.testing.assert_array_equal(record_of("ab$zzz", "abcdef", max_length=6)[:1], alone)


@pytest.mark.parametrize("xla", [False, True])
def test_same_words_in_a_graph(xla):
    def search(letters):
        def step(token_ids, state, index):
            return logits_for(ops.take(state, index, axis=1)), state

        ids, scores, *_ = decoding.Greedy(max_length=6)(step, letters, 2)
        return ids, scores

    letters = ops.convert_to_tensor(np.array([ids_of("ab$zzz"), ids_of("abcdef")], "int32"))
    ids, scores = checks.compiled(search, xla)(letters)
    assert words_of(ids) == ["ab$___", "abcdef"]
    np.testing.assert_allclose(checks.as_array(scores), checks.as_array(search(letters)[1]), atol=1e-5)


@pytest.mark.parametrize("max_length", [0, -1, 2.5])
def test_max_length_is_a_positive_integer(max_length):
    match = f"`max_length` must be a positive integer.*max_length={max_length}"
    with pytest.raises(ValueError, match=match):
        decoding.Greedy(max_length=max_length)


class Speller:
    """What `generate` knows of a model: a first state from the inputs, and a step."""

    def initial_state(self, inputs, max_length):
        self.max_length = max_length
        return inputs["source_ids"]

    def decode_step(self, token_ids, state, index):
        return logits_for(ops.take(state, index, axis=1)), state


def test_generate_asks_the_model_for_state_and_steps():
    model = Speller()
    source = np.array([ids_of("copy$"), ids_of("me$zz"), ids_of("three")], "int32")
    ids, scores = decoding.generate(model, {"source_ids": source}, decoding.Greedy(max_length=5))
    assert words_of(ids) == ["copy$", "me$__", "three"]
    assert tuple(scores.shape) == (3,)
    assert model.max_length == 5

"""Greedy search: a scripted step function spells words, so that the expected result can be read."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_transformer import decoding
from tests import checks
from tests.decoding.scripted import (
    ALPHABET,
    PAD,
    START,
    UNKNOWN,
    TableModel,
    constant,
    counted,
    ids_of,
    logits_for,
    loops_in_python,
    speller,
    words_of,
)

NO_STATE = {"source": (), "target": ()}


def spell(*scripts, max_length):
    step, state = speller(*scripts)
    ids, scores, attention = decoding.Greedy(max_length=max_length)(step, state, len(scripts))
    assert attention is None
    return ids[:, 0], scores[:, 0]


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
        return logits_for(ops.where(first, ALPHABET.index("b"), token_ids + 1)), {"target": ()}

    ids, *_ = decoding.Greedy(max_length=5)(step, NO_STATE, 2)
    assert words_of(ids) == ["bcdef", "bcdef"]


def test_index_counts_the_positions_from_zero():
    script = ops.convert_to_tensor(ids_of("count"))

    def step(token_ids, state, index):
        next_id = ops.take(script, index)
        return logits_for(ops.broadcast_to(next_id, ops.shape(token_ids))), {"target": ()}

    ids, *_ = decoding.Greedy(max_length=5)(step, NO_STATE, 3)
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
        return logits_for(next_ids) / 9.0 * ops.take(confidences, index) - 100.0, {"target": ()}

    _, scores, *_ = decoding.Greedy(max_length=3)(step, NO_STATE, 1)
    others = len(ALPHABET) - 1
    expected = sum(c - np.log(np.exp(c) + others) for c in (1.0, 2.0, 3.0))
    assert float(scores[0, 0]) == pytest.approx(expected, rel=1e-5)


def test_takes_the_likeliest_of_close_calls():
    logits = np.zeros((2, len(ALPHABET)), "float32")
    logits[0, [7, 9, 5]] = [1.0, 1.001, 0.999]
    logits[1, [7, 9, 5]] = [-1.0, -1.001, 2.0]
    ids, *_ = decoding.Greedy(max_length=2)(*constant(logits), 2)
    np.testing.assert_array_equal(checks.as_array(ids), [[[9, 9]], [[5, 5]]])


@pytest.mark.parametrize("scripts, steps", [(("ab$zzzzz", "abcd$zzz"), 5), (("abcdefgh",), 8)])
def test_stops_when_all_rows_have_ended(scripts, steps):
    step, state = speller(*scripts)
    step, calls = counted(step)
    with loops_in_python():
        decoding.Greedy(max_length=8)(step, state, len(scripts))
    assert calls == list(range(steps))


def test_state_of_any_structure_is_carried_along():
    def step(token_ids, state, index):
        (counts, [others]), total = state["target"]["nested"], state["target"]["total"]
        next_ids = ops.squeeze(ops.take_along_axis(others, counts[:, None], axis=1), 1)
        target = {"nested": (counts + 1, [others]), "total": total + ops.cast(counts, "float32")}
        return logits_for(next_ids), {"target": target, "not handed on": total}

    letters = ops.convert_to_tensor(np.array([ids_of("tree$"), ids_of("deep$")], "int32"))
    target = {"nested": (ops.zeros((2,), "int32"), [letters]), "total": ops.zeros((2,))}
    ids, *_ = decoding.Greedy(max_length=5)(step, {"source": None, "target": target}, 2)
    assert words_of(ids) == ["tree$", "deep$"]


def test_state_grows_by_doubling():
    model = TableModel(7, keys=[5, 11], end=-9.0)
    search, rooms = decoding.Greedy(max_length=37, min_length=35), []

    def grow(target, length):
        rooms.append((target["past"].shape[1], length))
        return model.grow(target, length)

    state = model.state(search.lengths[0])
    ids, scores, _ = search(model.step, state, 2, grow=grow)
    assert rooms == [(16, 32), (32, 37)]
    expected_ids, expected_scores, _ = model.search(search)
    np.testing.assert_array_equal(checks.as_array(ids), expected_ids)
    np.testing.assert_allclose(checks.as_array(scores), expected_scores, atol=1e-4)
    assert (expected_ids[..., :35] != PAD).all()


def spelled_with_attention(*scripts, max_length):
    """Attention (B, N, L, 3) that counts the steps: one more than the letters of the step before."""
    step, state = speller(*scripts)

    def read(state):
        return ops.cast(ops.repeat(state["target"][:, None], 3, axis=1), "float32")

    search = decoding.Greedy(max_length=max_length)
    return checks.as_array(search(step, state, len(scripts), attention=read, keep_attention=True).attention)


def test_keeps_the_attention_of_each_step_and_zeros_after_the_end():
    kept = spelled_with_attention("abcd", "a$zz", max_length=4)
    assert kept.shape == (2, 1, 4, 3)
    np.testing.assert_array_equal(kept[0, 0], np.repeat([[1], [2], [3], [4]], 3, axis=1))
    np.testing.assert_array_equal(kept[1, 0], np.repeat([[1], [2], [0], [0]], 3, axis=1))


def test_attention_of_a_row_does_not_depend_on_its_neighbours():
    alone = spelled_with_attention("ab$zzz", max_length=6)
    np.testing.assert_array_equal(spelled_with_attention("ab$zzz", "abcdef", max_length=6)[:1], alone)


def test_attention_to_be_kept_must_be_given():
    step, state = speller("ab")
    with pytest.raises(
        ValueError, match="`keep_attention` needs `attention`: give it .*attention=None, keep_"
    ):
        decoding.Greedy(max_length=2)(step, state, 1, keep_attention=True)


@pytest.mark.parametrize("xla", [False, True])
def test_same_words_in_a_graph(xla):
    def search(letters):
        step, state = speller("??????", "??????")
        return decoding.Greedy(max_length=6)(step, {**state, "source": letters}, 2)[:2]

    letters = ops.convert_to_tensor(np.array([ids_of("ab$zzz"), ids_of("abcdef")], "int32"))
    ids, scores = checks.compiled(search, xla)(letters)
    assert words_of(ids) == ["ab$___", "abcdef"]
    np.testing.assert_allclose(checks.as_array(scores), checks.as_array(search(letters)[1]), atol=1e-5)


def test_special_ids_are_the_searchs_own():
    # Letters a, b, c and d in place of padding, start and end; the start token leads to "z".
    def step(token_ids, state, index):
        script = ops.convert_to_tensor(ids_of("zy$cx"))
        is_first = ops.logical_and(index == 0, token_ids != ALPHABET.index("b"))
        next_id = ops.where(is_first, UNKNOWN, ops.take(script, index))
        return logits_for(next_id), {"target": ()}

    special = {name: ALPHABET.index(letter) for name, letter in [("pad_id", "a"), ("start_id", "b")]}
    search = decoding.Greedy(max_length=5, **special, end_id=ALPHABET.index("c"))
    ids, *_ = search(step, NO_STATE, 1)
    assert words_of(ids) == ["zy$ca"]


@pytest.mark.parametrize("max_length", [0, -1, 2.5])
def test_max_length_is_a_positive_integer(max_length):
    match = f"`max_length` must be a positive integer.*max_length={max_length}"
    with pytest.raises(ValueError, match=match):
        decoding.Greedy(max_length=max_length)


class Speller:
    """What `generate` knows of a model: a first state from the inputs, more room for it, and a step."""

    def initial_state(self, inputs, max_length):
        self.rooms = [max_length]
        return {"source": inputs["source_ids"], "target": ()}

    def grow(self, target_state, max_length):
        self.rooms.append(max_length)
        return target_state

    def decode_step(self, token_ids, state, index):
        return logits_for(ops.take(state["source"], index, axis=1)), {"target": ()}

    attention = None


def test_generate_asks_the_model_for_state_and_steps():
    model = Speller()
    source = np.array([ids_of("copy$"), ids_of("me$zz"), ids_of("three")], "int32")
    ids, scores = decoding.generate(model, {"source_ids": source}, decoding.Greedy(max_length=5))
    assert words_of(ids) == ["copy$", "me$__", "three"]
    assert tuple(scores.shape) == (3,)
    assert model.rooms[-1] == 5


def test_generate_makes_room_as_the_text_grows():
    model = Speller()
    decoding.generate(model, {"source_ids": np.array([ids_of("a" * 41)])}, decoding.Greedy(max_length=41))
    assert model.rooms == [16, 32, 41]

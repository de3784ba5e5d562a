"""A search's history: which hypotheses it followed, and the same results as without."""

import numpy as np
import pytest

from keras_transformer import decoding
from tests import checks
from tests.decoding.scripted import ALPHABET, EACH_SEARCH, TableModel, bigrams
from tests.decoding.test_beam import GARDEN_PATH


class Bigrams:
    """As `generate` sees a model."""

    max_length = None

    def __init__(self, probabilities):
        self.step, self.state = bigrams(probabilities)

    def initial_state(self, inputs, max_length):
        return {"source": (), "target": (), **self.state}

    def decode_step(self, token_ids, state, index):
        return self.step(token_ids, state, index)

    def grow(self, state, length):
        return state

    attention = None


def test_a_history_can_be_read():
    search = decoding.BeamSearch(max_length=3, width=2, n_best=2, alpha=0)
    ids, scores, history = decoding.generate_with_history(
        Bigrams(GARDEN_PATH), {"prompt_ids": np.zeros((1, 1), "int32")}, search
    )
    tokens = ["".join(ALPHABET[i] for i in step) for step in history.tokens[0]]
    # "a" and "b"; "b" ends, "a" goes on; it ends, too.
    assert tokens[0] == "ab" and sorted(tokens[1])[0] == "$" and sorted(tokens[2])[0] == "$"
    assert tokens[2].count("_") == 1  # the one that has ended keeps its place
    np.testing.assert_allclose(np.exp(history.scores[0, 0]), [0.6, 0.4], rtol=1e-4)
    ended = tokens[1].index("$")
    assert history.parents[0, 1, ended] == 1 and history.parents[0, 2, ended] == ended
    assert checks.as_array(scores)[0, 0] == pytest.approx(history.scores[0, 1, ended])


class Table(TableModel):
    """As `generate` sees a model."""

    max_length = None
    attention = None

    def initial_state(self, inputs, max_length):
        return self.state(max_length)

    def decode_step(self, *arguments):
        return self.step(*arguments)


@EACH_SEARCH
def test_what_is_written_down_is_what_is_found(make):
    model, search = Table(9, keys=(3, 8)), make(max_length=5)
    seed = {"seed": 7} if isinstance(search, decoding.Sampling) else {}
    given = {"source_ids": np.full((2, 5), 4, "int32")}
    ids, scores, history = decoding.generate_with_history(model, given, search, **seed)
    ids, scores = checks.as_array(ids), checks.as_array(scores)
    if not seed:  # `generate` draws by what is in a row, a search alone by its number
        expected = model.search(search)
        np.testing.assert_array_equal(ids, expected[0])
        np.testing.assert_allclose(scores, expected[1], rtol=1e-5)
    assert history.tokens.shape == history.parents.shape == history.scores.shape
    for row in range(2):
        ends = {follow(history, row, place) for place in range(search.num_hypotheses)}
        found = [[x for x in one if x] for one in ids[row].tolist()]
        assert set(map(tuple, found)) <= ends
        expected = [model.log_probability(row, one) for one in found]
        np.testing.assert_allclose(scores[row], expected, rtol=1e-4)


def follow(history, row, place):
    """The tokens of the hypothesis that stands in a place at the end."""
    tokens = []
    for step in reversed(range(history.tokens.shape[1])):
        tokens.insert(0, int(history.tokens[row, step, place]))
        place = history.parents[row, step, place]
    return tuple(token for token in tokens if token)


def test_a_prompt_is_written_down_token_by_token():
    from tests.models.every_model import MODELS

    model, prompt = MODELS["CausalLM"](), np.array([[7, 9, 5]])
    search = decoding.BeamSearch(4, width=2)
    ids, scores, history = decoding.generate_with_history(model, {"prompt_ids": prompt}, search)
    assert history.tokens[0, :3].tolist() == [[7, 0], [9, 0], [5, 0]]
    assert checks.as_array(ids)[0, 0, :3].tolist() == [7, 9, 5]
    assert checks.as_array(scores)[0, 0] in history.scores[0, -1]

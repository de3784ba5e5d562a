"""The recurrent decoder: the formula, one step and all steps, and who sees whom."""

import numpy as np
import pytest
from keras import ops

from keras_transformer import layers
from tests import checks, recurrent_reference

B, T, S, E, D, K, OUT = 3, 5, 7, 4, 6, 3, 5
X, MEMORY = checks.numbers(B, T, E, seed=1), checks.numbers(B, S, K, seed=2)
MASK = np.arange(S) < np.array([[7], [1], [4]])


def gru(**kwargs):
    attention = layers.RecurrentAttention(
        layers.AdditiveScore(dtype=kwargs.get("dtype")), dtype=kwargs.get("dtype")
    )
    return layers.RecurrentDecoder(1, D, OUT, attention, **kwargs)


def two_lstm(**kwargs):
    attention = layers.RecurrentAttention(
        layers.GeneralScore(dtype=kwargs.get("dtype")), 2, dtype=kwargs.get("dtype")
    )
    return layers.RecurrentDecoder(2, D, OUT, attention, cell="lstm", **kwargs)


def without_attention(**kwargs):
    return layers.RecurrentDecoder(2, D, OUT, layers.FinalState(dtype=kwargs.get("dtype")), **kwargs)


every_kind = pytest.mark.parametrize("make", [gru, two_lstm, without_attention])


@pytest.mark.parametrize("make", [gru, two_lstm])
@pytest.mark.parametrize("check", checks.STANDARD)
def test_standard_checks(check, make, tmp_path):
    check(make, (X, MEMORY, MASK), tmp_path)


@every_kind
def test_layer_equals_the_reference(make):
    decoder = checks.shared(make, (X, MEMORY))
    actual = checks.as_array(decoder(X, MEMORY, MASK))
    for row in range(B):
        states = recurrent_reference.zeros(decoder)
        expected, _ = recurrent_reference.decode(decoder, X[row], MEMORY[row], MASK[row], states)
        np.testing.assert_allclose(actual[row], expected, atol=1e-5)


@every_kind
def test_step_by_step_equals_one_pass(make):
    decoder = checks.shared(make, (X, MEMORY))
    zeros = [cell.initial_states(B) for cell in decoder.cells]
    state = decoder.initial_state(ops.convert_to_tensor(MEMORY), zeros, ops.convert_to_tensor(MASK))

    def step(x, state, index):
        return decoder.step(decoder.project(x), state)

    steps = [X[:, t] for t in range(T)]
    checks.cached_equals_uncached(decoder(X, MEMORY, MASK), step, state, steps)


@every_kind
def test_future_inputs_do_not_change_the_past(make):
    decoder = checks.shared(make, (X, MEMORY))
    checks.causality(lambda x: decoder(x, np.tile(MEMORY, (T, 1, 1))), X)


def test_what_was_attended_to_reaches_the_next_step():
    decoder = checks.built(gru, (X, MEMORY))
    fed = checks.as_array(decoder(X, MEMORY))
    decoder.feed_dense.kernel.assign(np.zeros(decoder.feed_dense.kernel.shape))
    unfed = checks.as_array(decoder(X, MEMORY))
    np.testing.assert_array_equal(fed[:, 0], unfed[:, 0])
    assert (np.abs(fed - unfed)[:, 1:].max(axis=-1) > 1e-4).all()


def test_memory_is_projected_once_for_all_steps(monkeypatch):
    decoder, calls = checks.built(gru, (X, MEMORY)), []
    project = decoder.attention.score.project
    monkeypatch.setattr(decoder.attention.score, "project", lambda keys: calls.append(1) or project(keys))
    decoder(X, MEMORY)
    assert len(calls) == 1


def test_dropout_acts_between_layers_in_training_only():
    decoder = checks.built(lambda: two_lstm(dropout=0.5), (X, MEMORY))
    plain = checks.as_array(decoder(X, MEMORY))
    np.testing.assert_array_equal(checks.as_array(decoder(X, MEMORY)), plain)
    first, second = (checks.as_array(decoder(X, MEMORY, training=True)) for _ in range(2))
    assert np.abs(first - plain).max() > 1e-3 and np.abs(first - second).max() > 1e-3
    single = checks.built(lambda: gru(dropout=0.5), (X, MEMORY))
    np.testing.assert_array_equal(
        checks.as_array(single(X, MEMORY, training=True)), checks.as_array(single(X, MEMORY))
    )


def test_number_of_parameters():
    decoder = checks.shared(two_lstm, (X, MEMORY))
    cells = 4 * D * (E + D + 1) + 4 * D * (D + D + 1)
    attention = K * D + D * D + D  # W_a, W_p, v_p
    assert decoder.count_params() == cells + 4 * D * OUT + attention + OUT * (K + D)


@pytest.mark.parametrize("name", ["num_layers", "hidden_dim", "output_dim"])
def test_sizes_are_positive(name):
    sizes = {"num_layers": 1, "hidden_dim": D, "output_dim": OUT, name: 0}
    with pytest.raises(ValueError, match=f"`{name}` must be a positive integer.*{name}=0"):
        layers.RecurrentDecoder(**sizes, attention=layers.FinalState())

"""The recurrent encoder: equal to Keras's own layers, and blind to padding."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_transformer import layers
from tests import checks

B, S, E, D = 3, 7, 5, 6
X = checks.numbers(B, S, E, seed=1)
MASK = np.arange(S) < np.array([[7], [2], [4]])
NOTHING = MASK & np.array([[True], [False], [True]])


def gru(**kwargs):
    return layers.RecurrentEncoder(1, D, **kwargs)


def two_lstm(**kwargs):
    return layers.RecurrentEncoder(2, D, cell="lstm", **kwargs)


def one_way(**kwargs):
    return layers.RecurrentEncoder(2, D, bidirectional=False, **kwargs)


every_kind = pytest.mark.parametrize("make", [gru, two_lstm, one_way])


@pytest.mark.parametrize("make", [gru, two_lstm])
@pytest.mark.parametrize("check", checks.STANDARD)
def test_standard_checks(check, make, tmp_path):
    check(make, (X, NOTHING), tmp_path)


def keras_weights(cell):
    """The weights of one of our cells, as Keras's layer of the same name has them."""
    kernel, bias = cell.input_dense.get_weights()
    recurrent = cell.recurrent_dense.get_weights()
    if len(recurrent) == 2:
        return [kernel, recurrent[0], np.stack([bias, recurrent[1]])]
    return [kernel, recurrent[0], bias]


@pytest.mark.parametrize("cell, layer_class", [("gru", keras.layers.GRU), ("lstm", keras.layers.LSTM)])
def test_encoder_equals_the_bidirectional_layer_of_keras(cell, layer_class):
    ours = checks.built(lambda: layers.RecurrentEncoder(1, D, cell=cell), (X, MASK))
    theirs = keras.layers.Bidirectional(
        layer_class(D // 2, return_sequences=True, return_state=True, use_cudnn=False)
    )
    theirs.build(X.shape)
    theirs.set_weights([weight for cell in ours.cells[0] for weight in keras_weights(cell)])
    expected, *states = (checks.as_array(x) for x in theirs(X, mask=ops.convert_to_tensor(MASK)))
    memory, (finals,) = ours.encode(ops.convert_to_tensor(X), ops.convert_to_tensor(MASK))
    np.testing.assert_allclose(checks.as_array(memory)[MASK], expected[MASK], atol=1e-5)
    count = len(states) // 2  # states of one direction
    for number, final in enumerate(finals):
        both = np.concatenate([states[number], states[count + number]], axis=-1)
        np.testing.assert_allclose(checks.as_array(final), both, atol=1e-5)


@every_kind
def test_padding_never_enters_a_state(make):
    encoder = checks.shared(make, (X, MASK))
    checks.pad_invariance(lambda x, mask: encoder(x, mask=ops.convert_to_tensor(mask)), X, MASK)
    finals = encoder.encode(ops.convert_to_tensor(X), ops.convert_to_tensor(MASK))[1]
    loud = np.concatenate([np.where(MASK[..., None], X, 1e3), X[:, :2]], axis=1)
    mask = ops.convert_to_tensor(np.pad(MASK, [(0, 0), (0, 2)]))
    others = encoder.encode(ops.convert_to_tensor(loud), mask)[1]
    for final, other in zip(keras.tree.flatten(finals), keras.tree.flatten(others), strict=True):
        np.testing.assert_allclose(checks.as_array(other), checks.as_array(final), atol=1e-6)


@every_kind
def test_memory_is_zero_at_padding_and_a_row_of_padding_leaves_no_trace(make):
    encoder = checks.shared(make, (X, MASK))
    memory, finals = encoder.encode(ops.convert_to_tensor(X), ops.convert_to_tensor(NOTHING))
    assert not checks.as_array(memory)[~NOTHING].any()
    assert not any(checks.as_array(final)[1].any() for final in keras.tree.flatten(finals))


@every_kind
def test_rows_of_a_batch_do_not_meet(make):
    encoder = checks.shared(make, (X, MASK))
    checks.batch_invariance(lambda x, mask: encoder(x, mask=ops.convert_to_tensor(mask)), X, MASK)


def test_final_states_are_the_outputs_at_both_ends():
    encoder = checks.shared(gru, (X, MASK))
    memory, (((final,)),) = encoder.encode(ops.convert_to_tensor(X), ops.convert_to_tensor(MASK))
    memory, last = checks.as_array(memory), MASK.sum(axis=1) - 1
    expected = np.concatenate([memory[np.arange(B), last, : D // 2], memory[:, 0, D // 2 :]], axis=-1)
    np.testing.assert_allclose(checks.as_array(final), expected, atol=1e-6)


def test_one_way_sees_the_past_and_both_ways_see_all():
    checks.causality(checks.shared(one_way, (X,)), X)
    assert checks.influence(checks.shared(gru, (X,)), X).all()


def test_dropout_acts_between_layers_in_training_only():
    encoder = checks.built(lambda: two_lstm(dropout=0.5), (X,))
    plain = checks.as_array(encoder(X))
    np.testing.assert_array_equal(checks.as_array(encoder(X)), plain)
    assert np.abs(checks.as_array(encoder(X, training=True)) - plain).max() > 1e-3
    single = checks.built(lambda: gru(dropout=0.5), (X,))
    np.testing.assert_array_equal(checks.as_array(single(X, training=True)), checks.as_array(single(X)))


@pytest.mark.parametrize("cell, gates, biases", [("gru", 3, 2), ("lstm", 4, 1)])
def test_number_of_parameters(cell, gates, biases):
    encoder = checks.built(lambda: layers.RecurrentEncoder(2, D, cell=cell), (X,))
    half = D // 2
    layer = [2 * gates * half * (width + half + biases) for width in (E, D)]
    assert encoder.count_params() == sum(layer)


def test_forget_gate_begins_open():
    encoder = two_lstm()
    encoder.build(X.shape)
    bias = encoder.cells[0][0].input_dense.bias.numpy()
    np.testing.assert_array_equal(bias, np.repeat([0, 1, 0, 0], D // 2))


@pytest.mark.parametrize(
    "arguments, match",
    [
        ((0, D), "`num_layers` must be a positive integer.*num_layers=0"),
        ((1, 0), "`hidden_dim` must be a positive integer.*hidden_dim=0"),
        ((1, 7), "`hidden_dim` must be even.*hidden_dim=7"),
        ((1, D, "rnn"), "`cell` must be one of.*cell='rnn'"),
    ],
)
def test_options_are_checked(arguments, match):
    with pytest.raises(ValueError, match=match):
        layers.RecurrentEncoder(*arguments)

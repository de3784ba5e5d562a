"""Decoding inside a graph: operations that several searches need are there once, and no constant is large."""

import pytest
import tensorflow as tf

from keras_transformer import decoding
from keras_transformer.pipelines.shared_decoding import SharedDecoding
from keras_transformer.special_ids import END_ID, PAD_ID

SIZE = 1_009  # of the vocabulary


class Counter:
    """Counts up from the source's id, and ends at 20; its state has the room that is asked for."""

    max_length = None
    attention = None

    def initial_state(self, inputs, max_length):
        count = tf.shape(inputs["source_ids"])[0]
        target = {"first": inputs["source_ids"][:, 0], "room": tf.zeros([count, max_length])}
        return {"source": {"ids": inputs["source_ids"]}, "target": target}

    def decode_step(self, token_ids, state, index):
        following = state["target"]["first"] + index + 1
        following = tf.where(following >= 20, END_ID, following)
        return 9.0 * tf.one_hot(following, SIZE), {"target": state["target"]}

    def grow(self, target, max_length):
        more = tf.zeros([tf.shape(target["room"])[0], max_length - target["room"].shape[1]])
        return {"first": target["first"], "room": tf.concat([target["room"], more], 1)}


@pytest.fixture(scope="module")
def asked():
    """The graph of four signatures with two searches, and what they answer to the ids 4 and 18."""
    shared, searches = (
        SharedDecoding(Counter()),
        [decoding.Greedy(40), decoding.BeamSearch(40, width=2, n_best=2)],
    )

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32)], autograph=False)
    def graph(source_ids):
        return [
            shared.n_best({"source_ids": source_ids}, search)[0][:, 0] for search in (*searches, *searches)
        ]

    answers = graph(tf.constant([[4], [18]]))
    return graph.get_concrete_function().graph.as_graph_def(), answers


def test_each_room_has_one_step_and_each_search_one_function(asked):
    names = [function.signature.name for function in asked[0].library.function]
    assert sum("decode_step" in name for name in names) == 3  # 16, 32 and 40 positions
    assert sum("initial_state" in name for name in names) == 1
    assert sum("inference_run" in name for name in names) == 2


def test_each_search_counts_up(asked):
    for ids in asked[1]:
        rows = [row[: row.index(PAD_ID)] for row in ids.numpy().tolist()]
        assert rows == [[*range(5, 20), END_ID], [19, END_ID]]


def test_no_constant_has_as_many_numbers_as_the_vocabulary_has_ids(asked):
    nodes = [node for function in asked[0].library.function for node in function.node_def]
    sizes = [tf.make_ndarray(node.attr["value"].tensor).size for node in nodes if node.op == "Const"]
    assert max(sizes) < SIZE

"""The state of a step: what is written, where, and that XLA writes the same."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_transformer.layers import heads_state
from tests import checks

B, H, L, K = 3, 2, 7, 5
HEADS = np.arange(B * H * L * K, dtype="float32").reshape(B, H, L, K)


def expected(new, index):
    heads = HEADS.copy()
    heads[:, :, index : index + new.shape[2]] = new
    return heads


@pytest.mark.parametrize("count, index", [(1, 0), (1, 6), (3, 2)])
def test_new_positions_are_written_and_no_others(count, index):
    new = -np.ones((B, H, count, K), "float32")
    found = heads_state.write(ops.convert_to_tensor(HEADS), ops.convert_to_tensor(new), index)
    np.testing.assert_array_equal(checks.as_array(found), expected(new, index))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow alone writes in two ways")
@pytest.mark.parametrize("xla", [False, True])
def test_a_graph_writes_the_same_at_an_index_that_only_it_knows(xla):
    import tensorflow as tf

    @tf.function(jit_compile=xla, autograph=False)
    def loop(heads, new):
        return tf.while_loop(
            lambda i, _: i < 4, lambda i, x: (i + 1, heads_state.write(x, new, i)), (1, heads)
        )

    new = -np.ones((B, H, 1, K), "float32")
    wanted = HEADS.copy()
    wanted[:, :, 1:4] = -1
    np.testing.assert_array_equal(loop(tf.constant(HEADS), tf.constant(new))[1], wanted)
    graph = loop.get_concrete_function(tf.constant(HEADS), tf.constant(new)).graph.as_graph_def()
    ops_inside = {node.op for function in graph.library.function for node in function.node_def}
    assert ("TensorStridedSliceUpdate" in ops_inside) != xla  # the one in place
    assert not [op for op in ops_inside if op.startswith("Xla")]

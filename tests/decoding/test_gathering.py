"""Gathers of what is in range: the same as those of `keras.ops`, and few operations."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_transformer.decoding import gathering
from tests import checks

RNG = np.random.default_rng(3)


def test_values_along_rows_are_those_of_take_along_axis():
    x, places = RNG.normal(size=(5, 7)).astype("float32"), RNG.integers(0, 7, (5, 3)).astype("int32")
    found = gathering.along(ops.convert_to_tensor(x), ops.convert_to_tensor(places))
    np.testing.assert_array_equal(checks.as_array(found), np.take_along_axis(x, places, axis=1))


def test_rows_keep_their_other_axes_and_take_the_shape_of_the_indices():
    x, indices = RNG.normal(size=(5, 2, 3)).astype("float32"), np.array([[4, 0], [1, 1]], "int32")
    found = gathering.rows(ops.convert_to_tensor(x), ops.convert_to_tensor(indices))
    np.testing.assert_array_equal(checks.as_array(found), x[indices])


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="counts operations of TensorFlow's graphs"
)
def test_a_gather_along_rows_has_few_operations():
    import tensorflow as tf

    def count(function):
        specs = [tf.TensorSpec([None, 8]), tf.TensorSpec([None, 4], tf.int32)]
        graph = tf.function(function).get_concrete_function(*specs).graph
        return sum(op.type not in ("Const", "Placeholder", "Identity") for op in graph.get_operations())

    assert count(gathering.along) < count(lambda x, i: ops.take_along_axis(x, i, axis=1)) / 2

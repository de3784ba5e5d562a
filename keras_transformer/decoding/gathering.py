"""Gathers of what is in range, for a step of a search: on TensorFlow the cost is the number of operations."""

import keras
from keras import ops

from keras_transformer.types import Tensor


def rows(x: Tensor, indices: Tensor) -> Tensor:
    """x (R, ...) at `indices`, int32 of any shape, 0 <= index < R.

    `ops.take` counts negative ones from the end, four operations more for each of its calls.
    """
    if keras.backend.backend() != "tensorflow":
        return ops.take(x, indices, axis=0)
    import tensorflow as tf

    return tf.gather(x, indices)


def along(x: Tensor, places: Tensor) -> Tensor:
    """x (R, C) at `places`, int32 (R, k): `ops.take_along_axis`, which has 17 operations, in few."""
    size = ops.shape(x)[1]
    starts = ops.arange(ops.shape(x)[0], dtype="int32")[:, None] * size
    return rows(ops.reshape(x, (-1,)), places + starts)

"""The keys or values of the positions decoded so far, (B, H, L, K), as a state of static length."""

import keras
from keras import ops

from keras_transformer.types import Tensor


def write(heads: Tensor, new: Tensor, index: int | Tensor) -> Tensor:
    """`heads` with `new`, (B, H, T, K), at the positions from `index` on.

    In place where nobody else holds `heads`: on TensorFlow `ops.slice_update` is an operation of XLA alone,
    and a scatter into rows copies all of the state.
    """
    if keras.backend.backend() != "tensorflow":
        return ops.slice_update(heads, (0, 0, index, 0), new)
    import tensorflow as tf

    begin, end = tf.stack([0, 0, index, 0]), tf.stack([0, 0, index + new.shape[2], 0])
    all_of = 0b1011  # all axes but that of the positions
    return tf.raw_ops.TensorStridedSliceUpdate(
        input=heads, begin=begin, end=end, strides=[1] * 4, value=new, begin_mask=all_of, end_mask=all_of
    )


def grow(heads: Tensor, max_length: int) -> Tensor:
    """`heads` with room for `max_length` positions, at least as many as it has."""
    return ops.pad(heads, [[0, 0], [0, 0], [0, max_length - heads.shape[2]], [0, 0]])

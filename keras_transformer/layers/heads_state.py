"""The keys or values of the positions decoded so far, (B, H, L, K), as a state of static length."""

from keras import ops

from keras_transformer.layers.loops import in_loop
from keras_transformer.types import Tensor


def write(heads: Tensor, new: Tensor, index: int | Tensor) -> Tensor:
    """`heads` with `new`, (B, H, T, K), at the positions from `index` on.

    In the loops of TensorFlow's plain graphs in place, where nobody else holds `heads`: a scatter would copy
    all of the state. XLA compiles the scatter only, and ONNX knows no other; Keras's `slice_update` would be
    an operation of XLA alone.
    """
    if in_loop(compiled=False):
        return _updated_slice(heads, new, index)
    batch_size, num_heads, length, width = ops.shape(heads)
    rows = ops.arange(batch_size * num_heads)[:, None] * length + (index + ops.arange(new.shape[2]))
    flat = ops.reshape(heads, (-1, width))
    flat = ops.scatter_update(flat, ops.reshape(rows, (-1, 1)), ops.reshape(new, (-1, width)))
    return ops.reshape(flat, (-1, num_heads, length, width))


def _updated_slice(heads, new, index):
    import tensorflow as tf

    begin, end = tf.stack([0, 0, index, 0]), tf.stack([0, 0, index + new.shape[2], 0])
    others = 0b1011  # the axes that are taken whole
    return tf.raw_ops.TensorStridedSliceUpdate(
        input=heads, begin=begin, end=end, strides=[1] * 4, value=new, begin_mask=others, end_mask=others
    )


def grow(heads: Tensor, max_length: int) -> Tensor:
    """`heads` with room for `max_length` positions, at least as many as it has."""
    return ops.pad(heads, [[0, 0], [0, 0], [0, max_length - heads.shape[2]], [0, 0]])

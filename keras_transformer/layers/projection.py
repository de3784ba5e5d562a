"""Linear maps as one matrix product: (B, T, D) to heads and back, and of rows of any rank."""

import math

import keras
from keras import ops


class HeadsProjection(keras.layers.EinsumDense):
    """`EinsumDense` between (B, T, D) and (B, T, H, K), computed as one matrix product.

    Same weights, shapes, quantization and LoRA as its base. Flattening to two dimensions lets the
    backend use its plain matrix product and bias gradient: on CPUs TensorFlow's einsum and the sum
    over (B, T) behind a (H, K) bias cost more than half of a training step.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.supports_masking = True  # else Keras warns that an implicit mask is lost here

    def call(self, inputs, training=None):
        kernel = self.kernel
        inner = inputs.shape[2:]  # (D,) or (H, K)
        outer = kernel.shape[len(inner) :]
        rows = ops.reshape(inputs, (-1, math.prod(inner)))
        x = ops.matmul(rows, ops.reshape(kernel, (math.prod(inner), math.prod(outer))))
        if self.bias is not None:
            x = ops.add(x, ops.reshape(self.bias, (-1,)))
        x = ops.reshape(x, (-1, ops.shape(inputs)[1], *outer))
        return x if self.activation is None else self.activation(x)


def heads_first(x):
    """(B, T, H, K) -> (B, H, T, K), and back."""
    if 1 in x.shape[1:3]:  # nothing to move
        _, first, second, width = ops.shape(x)
        return ops.reshape(x, (-1, second, first, width))
    return ops.swapaxes(x, 1, 2)


def rowwise(function, x):
    """A linear map of the last axis, (..., D) -> (..., K), as one matrix product, whatever the rank."""
    rows = function(ops.reshape(x, (-1, x.shape[-1])))
    return ops.reshape(rows, (*ops.shape(x)[:-1], rows.shape[-1]))

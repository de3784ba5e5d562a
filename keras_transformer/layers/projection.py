"""Linear maps as one matrix product: (B, T, D) to heads and back, and of rows of any rank."""

import math
import re
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_transformer.layers.loops import in_loop
from keras_transformer.types import Tensor


class HeadsProjection(keras.layers.EinsumDense):
    """`EinsumDense` between (B, T, D) and (B, T, H, K), computed as one matrix product.

    Same weights, shapes, quantization and LoRA as its base. Flattening to two dimensions lets the
    backend use its plain matrix product and bias gradient: on CPUs TensorFlow's einsum and the sum
    over (B, T) behind a (H, K) bias cost more than half of a training step.

    The last axes of the input must be the first of the kernel, and the bias over all that the kernel adds.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.supports_masking = True  # else Keras warns that an implicit mask is lost here
        inputs, _, outputs = re.split(",|->", self.equation)
        self._inner_rank = sum(axis not in outputs for axis in inputs)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        kernel = self.kernel
        inner, outer = kernel.shape[: self._inner_rank], kernel.shape[self._inner_rank :]
        rows = ops.reshape(inputs, (-1, math.prod(inner)))
        matrix = ops.reshape(kernel, (math.prod(inner), math.prod(outer)))
        if self._inner_rank == 1 and self.bias is not None and in_loop(compiled=True):
            x = _with_bias_as_row(rows, matrix, self.bias)
        else:
            x = ops.matmul(rows, matrix)
            if self.bias is not None:
                x = ops.add(x, ops.reshape(self.bias, (-1,)))
        x = ops.reshape(x, (*leading_sizes(inputs, len(inputs.shape) - self._inner_rank), *outer))
        return x if self.activation is None else self.activation(x)

    def quantize(self, mode: str | None = None, type_check: bool = True, config: Any = None) -> None:
        # Keras refuses subclasses, whose `call` it does not know. This one is the einsum of its base.
        super().quantize(mode, type_check=False, config=config)


def _with_bias_as_row(rows, matrix, bias):
    """rows @ matrix + bias, as [rows, 1] @ [matrix; bias].

    For one row XLA on CPUs makes the reshape of the kernel a part of the product, which then goes down its
    columns value by value. The matrix with the bias is no reshape, and XLA makes it once, before the loop.
    """
    ones = ops.ones_like(rows[:, :1])
    matrix = ops.concatenate([matrix, ops.reshape(bias, (1, -1))], axis=0)
    return ops.matmul(ops.concatenate([rows, ones], axis=1), matrix)


def leading_sizes(x: Tensor, count: int) -> tuple[Any, ...]:
    """The first `count` sizes of `x`, for a reshape that keeps these axes.

    -1 for the batch where the others are known and none is zero: it costs nothing, where reading a size that
    is not static costs three small operations in TensorFlow.
    """
    batch_size, *others = ops.shape(x)[:count]
    if not isinstance(batch_size, int) and all(isinstance(size, int) and size > 0 for size in others):
        batch_size = -1
    return batch_size, *others


def heads_first(x: Tensor) -> Tensor:
    """(B, T, H, K) -> (B, H, T, K), and back."""
    if 1 in x.shape[1:3]:  # nothing to move
        batch_size, first, second = leading_sizes(x, 3)
        return ops.reshape(x, (batch_size, second, first, x.shape[3]))
    return ops.swapaxes(x, 1, 2)


def rowwise(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """A linear map of the last axis, (..., D) -> (..., K), as one matrix product, whatever the rank."""
    rows = function(ops.reshape(x, (-1, x.shape[-1])))
    return ops.reshape(rows, (*ops.shape(x)[:-1], rows.shape[-1]))

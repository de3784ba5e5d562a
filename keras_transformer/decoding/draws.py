"""Random numbers that a seed, a row, a sample and a position decide: the same on every backend.

Threefry-2x32 with 20 rounds (Salmon et al. 2011, "Parallel Random Numbers: As Easy as 1, 2, 3", section 4):
a function of a key and a counter, so that no number depends on how many were drawn before it. In 32-bit
integers that wrap around, which all backends have.
"""

import functools
import operator
import secrets
import zlib
from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from keras_transformer.types import Tensor

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = 0x1BD11BDA


def threefry(key: Sequence[Tensor], counter: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Two random words of two key words and two counter words, all int32 and broadcastable."""
    keys = [*key, ops.bitwise_xor(ops.bitwise_xor(*key), PARITY)]
    x, y = counter[0] + keys[0], counter[1] + keys[1]
    for group in range(5):
        for bits in ROTATIONS[group % 2]:
            x = x + y
            y = ops.bitwise_xor(_rotated(y, bits), x)
        x = x + keys[(group + 1) % 3]
        y = y + keys[(group + 2) % 3] + (group + 1)
    return x, y


def uniform(seed: Tensor, streams: Tensor, num_samples: int, num_positions: int) -> Tensor:
    """Numbers from 0 on, below 1.

    Args:
        seed: int32, a scalar or one for each stream, (B,).
        streams: int32, (B,), names of the rows.
        num_samples: N of each row.
        num_positions: L of each sample.

    Returns:
        float32, (B, N, L). The first numbers are the same however many samples and positions there are.
    """
    seed = ops.reshape(seed, (-1, 1, 1))
    samples, positions = ops.arange(num_samples)[:, None], ops.arange(num_positions)
    word, _ = threefry((seed, streams[:, None, None]), (samples, positions))
    # 24 bits: what float32 has room for. Below 1 also after a product with a sum that is rounded.
    fractions = ops.cast(ops.bitwise_and(ops.right_shift(word, 8), 2**24 - 1), "float32") / 2.0**24
    return ops.minimum(fractions, 1 - 1e-6)


def seed_word(seed: int) -> int:
    """A seed, an integer >= 0, as int32: itself if it is small enough, else a sum over all its digits."""
    if seed >= 2**31:
        seed = zlib.crc32(str(seed).encode())
    return int(np.array(seed, "uint32").view("int32"))


def fresh_seed() -> int | Tensor:
    """A seed that nobody knows before, as int32: also of every call of a TensorFlow graph."""
    if keras.backend.backend() != "tensorflow":
        return secrets.randbits(31)
    import tensorflow as tf

    low, high = (tf.constant(bound, tf.int32) for bound in (-(2**31), 2**31 - 1))
    # Without a seed of its own: those of `tf.random` would be built into a graph.
    return tf.raw_ops.RandomUniformInt(shape=tf.constant([], tf.int32), minval=low, maxval=high)


def row_streams(*arrays: Tensor, is_counted: bool = True) -> Tensor:
    """A name for each row, which what is in it decides, and how many equal rows come before it.

    So the draws of a row do not depend on its neighbours or its place among them, and equal rows have draws
    of their own.

    Args:
        arrays: what the rows consist of, (B, ...) each: integers, or floats from 0 to 1. Zeros at the end
            of a row count for nothing.
        is_counted: False if equal rows have one name, which then is that of the first.

    Returns:
        int32, (B,).
    """
    names = sum(_names(array) for array in arrays)
    if not is_counted:
        return threefry((names, ops.zeros_like(names)), (0, 0))[0]
    numbers = ops.arange(ops.shape(names)[0])
    is_equal = ops.logical_and(names[:, None] == names, numbers[:, None] > numbers)
    num_before = ops.sum(ops.cast(is_equal, "int32"), axis=1)
    return threefry((names, num_before), (0, 0))[0]


def _names(rows):
    """Sums of the values (B, ...), times a random word for each place: int32, (B,)."""
    if keras.backend.is_float_dtype(keras.backend.standardize_dtype(rows.dtype)):
        rows = rows * 2.0**16
    batch_size, *sizes = ops.shape(rows)
    rows = ops.cast(ops.reshape(rows, (batch_size, functools.reduce(operator.mul, sizes, 1))), "int32")
    words, _ = threefry((0, 0), (ops.arange(ops.shape(rows)[1]), ops.zeros((), "int32")))
    return ops.sum(rows * words, axis=1)


def _rotated(word, bits):
    # The shift to the right repeats the sign: the bits that come in are masked.
    low = ops.bitwise_and(ops.right_shift(word, 32 - bits), (1 << bits) - 1)
    return ops.bitwise_or(ops.left_shift(word, bits), low)

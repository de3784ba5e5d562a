"""The keys or values of the positions decoded so far, (B, H, L, K), as a state of static length."""

from keras import ops

from keras_transformer.types import Tensor


def write(heads: Tensor, new: Tensor, index: int | Tensor) -> Tensor:
    """`heads` with `new`, (B, H, T, K), at the positions from `index` on.

    By a scatter into rows: a `where` reads and writes all of the state twice as slowly, and
    `slice_update` puts XLA's own op into an exported graph.
    """
    batch_size, num_heads, length, width = ops.shape(heads)
    rows = ops.arange(batch_size * num_heads)[:, None] * length + (index + ops.arange(new.shape[2]))
    flat = ops.reshape(heads, (-1, width))
    flat = ops.scatter_update(flat, ops.reshape(rows, (-1, 1)), ops.reshape(new, (-1, width)))
    return ops.reshape(flat, (-1, num_heads, length, width))


def grow(heads: Tensor, max_length: int) -> Tensor:
    """`heads` with room for `max_length` positions, at least as many as it has."""
    return ops.pad(heads, [[0, 0], [0, 0], [0, max_length - heads.shape[2]], [0, 0]])

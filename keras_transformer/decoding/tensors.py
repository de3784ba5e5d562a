"""Inputs of this package's functions as tensors: of matching rows, and on JAX of few shapes."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_transformer.decoding import programs
from keras_transformer.special_ids import PAD_ID
from keras_transformer.types import Tree

# Columns that are there at least on JAX; beyond it powers of two.
FEWEST_COLUMNS = 16


def checked(given: dict[str, Any], max_length: int | None = None) -> Tree:
    """Tensors of a tree of arrays whose first axis is the row; ids as int32.

    Args:
        given: {"inputs": {name: array}, and more of them}.
        max_length: most ids of a row, of a model with learned positions; None if there is no such limit.

    Raises:
        ValueError: the numbers of rows differ, or there are too many ids in a row.
    """
    arrays = {
        part: {name: _tensor(name, x) for name, x in value.items()}
        if isinstance(value, dict)
        else _tensor(part, value)
        for part, value in given.items()
    }
    rows, lengths = {}, {}
    for (*_, name), x in keras.tree.flatten_with_path(arrays):
        if len(x.shape) == 0:
            raise ValueError(f"`{name}` must have rows, (B, ...). Received: a single value.")
        rows[name] = x.shape[0]
        if len(x.shape) == 2 and name.endswith("ids"):
            lengths[name] = x.shape[1]
    known = {count for count in rows.values() if isinstance(count, int)}  # in a graph it may be None
    if len(known) > 1:
        received = ", ".join(f"{count} of {name}" for name, count in rows.items())
        raise ValueError(f"All inputs must have the same number of rows. Received: {received}.")
    for name, length in lengths.items():
        if max_length is not None and isinstance(length, int) and length > max_length:
            raise ValueError(
                f"Only {max_length} positions were learned (`max_length` of the model). "
                f"Received: {length} tokens of {name}."
            )
    return arrays


def _tensor(name, x):
    x = ops.convert_to_tensor(x)
    # One type of ids: else a program for each.
    is_ids = name.endswith("ids") and keras.backend.is_int_dtype(keras.backend.standardize_dtype(x.dtype))
    return ops.cast(x, "int32") if is_ids else x


def padded(
    arrays: Tree, pad_id: int, max_length: int | None = None, most_prefix_ids: int | None = None
) -> Tree:
    """On JAX, which compiles each shape anew: rows and columns filled up to powers of two.

    Added rows repeat the first, which ends no later than without them; added columns are padding. No rows
    become one, here and on PyTorch, whose reshapes cannot do without.

    Args:
        arrays: what `checked` returned.
        pad_id: of the target; a source is padded with `PAD_ID`.
        max_length: as for `checked`.
        most_prefix_ids: most columns of "prefix_ids" and "prompt_ids".
    """
    backend, flat = keras.backend.backend(), keras.tree.flatten_with_path(arrays)
    has_rows = all(x.shape[0] != 0 for _, x in flat if len(x.shape))
    if backend == "tensorflow" or (backend == "torch" and has_rows) or programs.is_traced(arrays):
        return arrays

    def pad(path, x):
        name, size = path[-1], list(x.shape)
        size[:1] = [_power_of_two(count) for count in size[:1]]
        if len(size) == 2 and name.endswith("ids"):
            most = most_prefix_ids if name in ("prefix_ids", "prompt_ids") else max_length
            wanted = max(FEWEST_COLUMNS, _power_of_two(size[1]))
            size[1] = max(size[1], wanted if most is None else min(wanted, most))
        if tuple(size) == tuple(x.shape):
            return x
        x = np.asarray(x)  # by NumPy: else each shape would compile the padding
        first = x[:1] if len(x) else np.zeros((1, *x.shape[1:]), x.dtype)
        x = np.concatenate([x, np.repeat(first, size[0] - len(x), axis=0)])
        added = [(0, new - old) for new, old in zip(size, x.shape, strict=True)]
        x = np.pad(x, added, constant_values=PAD_ID if name == "source_ids" else pad_id)
        return ops.convert_to_tensor(x)

    return keras.tree.pack_sequence_as(arrays, [pad(path, x) for path, x in flat])


def _power_of_two(count):
    return 1 << max(count - 1, 0).bit_length()

"""The positions of a model around PyTorch's `nn.Transformer`: config.json says what they are."""

import numpy as np
from keras import ops

from keras_transformer.layers.positions import sinusoid
from training.imports.source_folder import SourceFolder
from training.imports.tensors import Tensors

# So many rows of a table of sinusoids are compared, to this difference: later ones are less exact.
NUM_COMPARED, TOLERANCE = 100, 1e-3


def read(source: SourceFolder, tensors: Tensors, width: int) -> dict:
    """What `positions` of config.json says.

    Args:
        source, tensors: the folder's.
        width: D.

    Returns:
        {"config": as `LayerConfig` has it, "tables": {side: learned positions, (L, D)}}.

    Raises:
        ValueError: it says what is not supported, or a tensor is not what it says.
    """
    found = source.config["positions"]
    found = {"name": found} if isinstance(found, str) else found
    if not isinstance(found, dict) or found.get("name") not in ("sinusoid", "learned", "none"):
        raise ValueError(
            "positions of config.json must be sinusoid, learned or none, or a mapping with such a name. "
            f"Received: {found!r:.80}."
        )
    options = {name: value for name, value in found.items() if name != "tensor"}
    tables = {side: _table(tensors, name, width) for side, name in _by_side(found.get("tensor")).items()}
    if found["name"] == "learned":
        if len(tables) != 2 or len({len(table) for table in tables.values()}) != 1:
            raise ValueError(
                "Learned positions must have their tensor, or one of each side with as many rows, "
                '{"name": "learned", "tensor": {"source": ..., "target": ...}}. '
                f"Received: {found!r:.80}."
            )
        return {"config": options, "tables": tables}
    for table in tables.values():
        if found["name"] == "none":
            raise ValueError("Positions that there are none of have no tensor. Received: one.")
        _compare(table[:NUM_COMPARED], options)
    return {"config": options, "tables": {}}


def _by_side(names):
    """{side: name of its tensor}."""
    if names is None:
        return {}
    found = {"source": names, "target": names} if isinstance(names, str) else names
    is_whole = isinstance(found, dict) and set(found) == {"source", "target"}
    if not is_whole or not all(isinstance(name, str) for name in found.values()):
        raise ValueError(
            f"tensor of positions must be a name, or one of source and target. Received: {names!r:.80}."
        )
    return found


def _table(tensors, name, width):
    """A table of positions (L, D), stored with or without an axis for the batch."""
    shape = tensors.shape(name)
    lengths = [length for length in shape[:-1] if length != 1]
    if shape[-1:] != (width,) or len(lengths) > 1 or 0 in shape:
        raise ValueError(
            f"The tensor {name} must have a row of {width} for each position. Received: {shape}."
        )
    return tensors.read(name, shape).reshape(-1, width)


def _compare(table, options):
    """Raises ValueError unless the rows of a table (L, D) are the sinusoid that the options describe."""
    known = {"max_wavelength": 10_000, "layout": "interleaved", "endpoint": False, "first_position": 0}
    values = {**known, **{name: value for name, value in options.items() if name in known}}
    places = np.arange(len(table)) + values.pop("first_position")
    expected = ops.convert_to_numpy(sinusoid(places, table.shape[1], **values))
    if np.abs(table - expected).max() > TOLERANCE:
        raise ValueError(
            "The tensor of positions must be the sinusoid of config.json, which may have layout, endpoint "
            f"and first_position; or learned. Received: a difference of {np.abs(table - expected).max():.2g}."
        )

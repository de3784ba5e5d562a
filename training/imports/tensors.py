"""Tensors by name, out of a folder's files of weights, one at a time."""

import importlib.util
import json
import re
from collections.abc import Iterator

import numpy as np

from training.imports.source_folder import CONFIG_FILE, SourceFolder
from training.imports.weight_files import TYPES, KerasFile, SafetensorsFile, TorchFile

# In the order in which they are preferred. Of several files an index says which tensor is where.
FORMATS = {
    "model.safetensors": SafetensorsFile,
    "tf_model.h5": KerasFile,
    "pytorch_model.bin": TorchFile,
    "model.pt": TorchFile,
}
INDEX = ".index.json"
# Of a matrix at a time.
ROWS = 4096


class Tensors:
    """The tensors of a folder.

    Args:
        source: the folder.
        shapes_by: what says which shapes there must be.

    Raises:
        ValueError: there is no such file, one is damaged, the index does not say what the files hold or names
            one elsewhere.
    """

    def __init__(self, source: SourceFolder, shapes_by: str = CONFIG_FILE):
        self._files = {}
        self._taken = set()
        self._shapes_by = shapes_by
        weights, reader = _format(source)
        for name, names in _files(source, weights).items():
            path = source.file(name)
            if path is None:
                raise ValueError(
                    f"{weights}{INDEX} must name files that are there. Received: {name!r:.80}, which is not."
                )
            file = reader(path)
            found = file.names()
            if names is not None and set(names) != set(found):
                wrong = sorted(set(names) ^ set(found))[0]
                raise ValueError(
                    f"{weights}{INDEX} must say what each file holds. Received: {name} and {wrong!r:.80}."
                )
            self._files |= dict.fromkeys(found, file)

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __contains__(self, name) -> bool:
        return name in self._files

    def shape(self, name: str, num_axes: int | None = None) -> tuple[int, ...]:
        """Of a tensor. ValueError if it is not there, or has another number of axes."""
        if name not in self._files:
            raise ValueError(f"The weights must hold the tensor {name}. Received: {len(self._files)} others.")
        shape = self._files[name].shape_and_type(name)[0]
        if num_axes is not None and (len(shape) != num_axes or 0 in shape):
            raise ValueError(
                f"The tensor {name} must have {num_axes} axes, none of them empty. Received: {shape}."
            )
        return shape

    def read(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """A tensor as float32.

        Raises:
            ValueError: it is not there, or has another shape or no floating-point numbers.
        """
        found = self.shape(name)
        self._taken.add(name)
        file = self._files[name]
        kind = file.shape_and_type(name)[1]
        if found != tuple(shape):
            raise ValueError(
                f"The tensor {name} must have the shape {tuple(shape)}, by {self._shapes_by}. "
                f"Received: {found}."
            )
        if kind not in TYPES:
            raise ValueError(f"The tensor {name} must be of the type {', '.join(TYPES)}. Received: {kind}.")
        value = np.asarray(file.array(name), "float32")
        if not np.isfinite(value).all():
            raise ValueError(f"The tensor {name} must be finite: no NaN, no infinity. Received: one of them.")
        return value

    def refuse_unread(self, left_out: re.Pattern) -> list[str]:
        """The names of tensors that were not read, sorted, if the pattern `left_out` matches all of them.

        Raises:
            ValueError: names the first that it does not match.
        """
        others = sorted(set(self) - self._taken)
        strangers = [name for name in others if not left_out.fullmatch(name)]
        if strangers:
            raise ValueError(
                f"The weights must be those of {self._shapes_by}. Received: {len(strangers)} more, "
                f"the first of them {strangers[0]!r:.80}."
            )
        return others


def assign_rows(variable, value: np.ndarray, order: np.ndarray) -> None:
    """Gives a matrix the rows of another in an order, some at a time: TensorFlow copies what it is given.

    Args:
        variable: Keras's, (V, D).
        value: (N, D).
        order: int (V,), the row of each.
    """
    for first in range(0, len(order), ROWS):
        part = slice(first, first + ROWS)
        variable.value[part].assign(value[order[part]])


def _format(source):
    """The name of the folder's weights, and what reads them."""
    there = [name for name in FORMATS if any((source.path / file).is_file() for file in (name, name + INDEX))]
    if not there:
        raise ValueError(
            f"A folder of weights holds {' or '.join(FORMATS)}, or their {INDEX} and its files. "
            f"Received: {source.path}, with none."
        )
    name = there[0]
    if FORMATS[name] is TorchFile and importlib.util.find_spec("torch") is None:
        raise ValueError(
            f"{name} is a pickle, which PyTorch alone reads here: install torch, or convert it by "
            "save_pretrained(folder, safe_serialization=True) of the library transformers or, if the model "
            "is your own, save_model(model, 'model.safetensors') of safetensors.torch. "
            f"Received: {source.path}, with nothing else."
        )
    return name, FORMATS[name]


def _files(source, weights):
    """{file: names of its tensors, or None for all that it holds}."""
    if source.file(weights) is not None:
        return {weights: None}
    index = source.json(weights + INDEX)
    weight_map = index.get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(file, str) for file in weight_map.values()):
        raise ValueError(
            f"{weights}{INDEX} must have a weight_map, names of tensors to names of files. "
            f"Received: {json.dumps(weight_map)[:80]}."
        )
    files = {}
    for name, file in weight_map.items():
        files.setdefault(file, []).append(name)
    return files

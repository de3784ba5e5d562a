"""Tensors by name, out of safetensors files, one at a time; nothing is ever unpickled."""

import json
from collections.abc import Iterator

import ml_dtypes  # noqa: F401 - NumPy then knows bfloat16
import numpy as np
from safetensors import SafetensorError, safe_open

from training.imports.source_folder import SourceFolder

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
# Half precision is read, too; quantized weights would need their scales.
TYPES = ("F64", "F32", "F16", "BF16")
# What other programs write: a pickle runs code when it is read, HDF5 is not read yet.
OTHERS = ("pytorch_model.bin", "pytorch_model.bin.index.json", "tf_model.h5", "flax_model.msgpack")


class Tensors:
    """The tensors of a folder.

    Args:
        source: the folder.

    Raises:
        ValueError: there is no such file, one is damaged, the index does not say what the files hold or names
            one elsewhere.
    """

    def __init__(self, source: SourceFolder):
        self._files = {}
        self._names = {}
        for file, names in _files(source).items():
            path = source.file(file)
            if path is None:
                raise ValueError(
                    f"{INDEX} must name files that are there. Received: {file!r:.80}, which is not."
                )
            self._open(path)
            found = {name: path for name in self._files[path].keys()}
            if names is not None and set(names) != set(found):
                wrong = sorted(set(names) ^ set(found))[0]
                raise ValueError(
                    f"{INDEX} must say what each file holds. Received: {file} and {wrong!r:.80}."
                )
            self._names |= found

    def _open(self, path):
        try:
            self._files[path] = safe_open(path, framework="numpy")
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{path} must hold safetensors. Received: {error}.") from error

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __contains__(self, name) -> bool:
        return name in self._names

    def read(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """A tensor as float32.

        Raises:
            ValueError: it is not there, or has another shape or no floating-point numbers.
        """
        if name not in self._names:
            raise ValueError(f"The weights must hold the tensor {name}. Received: {len(self._names)} others.")
        path = self._names[name]
        part = self._files[path].get_slice(name)
        found = tuple(part.get_shape())
        if found != tuple(shape):
            raise ValueError(
                f"The tensor {name} must have the shape {tuple(shape)}, by config.json. Received: {found}."
            )
        if part.get_dtype() not in TYPES:
            raise ValueError(
                f"The tensor {name} must be of the type {', '.join(TYPES)}. Received: {part.get_dtype()}."
            )
        value = self._files[path].get_tensor(name).astype("float32")
        if not np.isfinite(value).all():
            raise ValueError(f"The tensor {name} must be finite: no NaN, no infinity. Received: one of them.")
        return value


def _files(source):
    """{file: names of its tensors, or None for all that it holds}."""
    if source.file(WEIGHTS) is not None:
        return {WEIGHTS: None}
    index = source.json(INDEX)
    if index is None:
        there = [name for name in OTHERS if (source.path / name).is_file()]
        others = (
            f"{' and '.join(there)}, which {'is' if len(there) == 1 else 'are'} not read: "
            "save_pretrained(folder, safe_serialization=True) of the library transformers converts"
            if there
            else "none"
        )
        raise ValueError(
            f"A folder of weights holds {WEIGHTS}, or {INDEX} and its files. "
            f"Received: {source.path}, with {others}."
        )
    weight_map = index.get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(file, str) for file in weight_map.values()):
        raise ValueError(
            f"{INDEX} must have a weight_map, names of tensors to names of files. "
            f"Received: {json.dumps(weight_map)[:80]}."
        )
    files = {}
    for name, file in weight_map.items():
        files.setdefault(file, []).append(name)
    return files

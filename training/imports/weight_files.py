"""Files of weights in three formats, as names, shapes, types and arrays; nothing is ever unpickled here."""

import re
from pathlib import Path

import h5py
import ml_dtypes  # noqa: F401 - NumPy then knows bfloat16
import numpy as np
from safetensors import SafetensorError, safe_open

# Half precision is read, too; quantized weights would need their scales.
TYPES = ("F64", "F32", "F16", "BF16")


class SafetensorsFile:
    """A file of the library safetensors.

    Args:
        path: the file.

    Raises:
        ValueError: it is none.
    """

    def __init__(self, path: Path):
        self._path = path
        try:
            with safe_open(path, framework="numpy") as file:
                self._names = list(file.keys())
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{path} must hold safetensors. Received: {error}.") from error

    def names(self) -> list[str]:
        """Of all tensors."""
        return self._names

    def shape_and_type(self, name: str) -> tuple[tuple[int, ...], str]:
        """Of a tensor; the type as in `TYPES`."""
        with safe_open(self._path, framework="numpy") as file:
            part = file.get_slice(name)
            return tuple(part.get_shape()), part.get_dtype()

    def array(self, name: str) -> np.ndarray:
        """The values."""
        # Opened each time: what was read of a file that stays open stays in memory.
        with safe_open(self._path, framework="numpy") as file:
            return file.get_tensor(name)


class KerasFile:
    """tf_model.h5 of the library transformers up to its version 4: names and layouts are PyTorch's here.

    `GROUP/MODEL/model/encoder/layers.0/fc1/kernel:0`, (in, out), is `model.encoder.layers.0.fc1.weight`,
    (out, in).

    Args:
        path: the file.

    Raises:
        ValueError: it is none, or has a link or something that stands outside of it.
    """

    leaves = {
        "kernel": "weight",
        "gamma": "weight",
        "embeddings": "weight",
        "beta": "bias",
    }

    def __init__(self, path: Path):
        self._path = path
        self._places = {}
        try:
            self._file = h5py.File(path, "r")
            self._look_into(self._file)
        except (OSError, RuntimeError, KeyError, TypeError) as error:
            raise ValueError(f"{path} must be HDF5. Received: {error}.") from error

    def _look_into(self, group):
        for key in group:
            if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                raise ValueError(f"Weights must not be links. Received: {self._path}: {group.name}/{key}.")
            item = group[key]
            if isinstance(item, h5py.Group):
                self._look_into(item)
            elif not isinstance(item, h5py.Dataset) or item.is_virtual or item.external:
                raise ValueError(
                    f"Weights must stand in the file itself. Received: {self._path}: {group.name}/{key}."
                )
            else:
                name, is_transposed = self._named(item.name)
                self._places[name] = item, is_transposed

    def _named(self, path):
        """PyTorch's name for a path, and whether it has the axes the other way round."""
        parts = path.strip("/").split("/")
        leaf = parts[-1].split(":")[0]
        if "model.shared" in parts or "shared" in parts[:-1]:
            return ("model.shared.weight" if "model.shared" in parts else "shared.weight"), False
        if leaf == "final_logits_bias":
            return leaf, False
        name = ".".join([*parts[2:-1], self.leaves.get(leaf, leaf)])
        return re.sub(r"_\._", ".", name).replace("mlm___cls", "cls"), leaf == "kernel"

    def names(self) -> list[str]:
        """Of all tensors."""
        return list(self._places)

    def shape_and_type(self, name: str) -> tuple[tuple[int, ...], str]:
        """Of a tensor; the type as in `TYPES`."""
        item, is_transposed = self._places[name]
        kind = f"F{8 * item.dtype.itemsize}" if item.dtype.kind == "f" else str(item.dtype)
        return tuple(item.shape[::-1] if is_transposed else item.shape), kind

    def array(self, name: str) -> np.ndarray:
        """The values."""
        item, is_transposed = self._places[name]
        return item[()].T if is_transposed else item[()]


class TorchFile:
    """pytorch_model.bin, a pickle, which PyTorch itself reads with `weights_only`: tensors, and no code.

    Args:
        path: the file.

    Raises:
        ImportError: PyTorch is not installed.
        ValueError: the file is none, or holds something else.
    """

    types = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16"}

    def __init__(self, path: Path):
        import torch

        self._torch = torch
        try:
            tensors = torch.load(path, map_location="cpu", weights_only=True)
        # Of a damaged or a hostile file it raises what the code that it meets raises.
        except Exception as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise ValueError(f"{path} must hold PyTorch's tensors alone. Received: {reason:.200}") from error
        if not isinstance(tensors, dict) or not all(map(torch.is_tensor, tensors.values())):
            raise ValueError(f"{path} must hold PyTorch's tensors by name. Received: something else.")
        self._tensors = tensors

    def names(self) -> list[str]:
        """Of all tensors."""
        return list(self._tensors)

    def shape_and_type(self, name: str) -> tuple[tuple[int, ...], str]:
        """Of a tensor; the type as in `TYPES`."""
        tensor = self._tensors[name]
        kind = str(tensor.dtype).removeprefix("torch.")
        return tuple(tensor.shape), self.types.get(kind, kind)

    def array(self, name: str) -> np.ndarray:
        """The values."""
        return self._tensors[name].to(self._torch.float32).numpy()

"""TensorFlow's checkpoints, as names, shapes, types and arrays."""

import re

import numpy as np
import tensorflow as tf

from training.imports.source_folder import CHECKPOINT_FILE, SourceFolder
from training.imports.tensors import Tensors

SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
SLOT = "/.OPTIMIZER_SLOT/"
NEWEST = re.compile(r'^\s*model_checkpoint_path:\s*"([^"\\]+)"\s*$', re.MULTILINE)


class CheckpointFile:
    """The newest checkpoint of a folder; its tensors begin with "model/".

    Args:
        source: the folder.

    Raises:
        ValueError: it has none, or a damaged one, or one that claims more numbers than its files have.
    """

    def __init__(self, source: SourceFolder):
        self._name = _newest(source)
        index = source.file(f"{self._name}.index")
        parts = [
            source.file(path.name) for path in sorted(source.path.glob(f"{self._name}.data-?????-of-?????"))
        ]
        if index is None or not parts:
            raise ValueError(
                f"The checkpoint must have {self._name}.index and its data. Received: {source.path}, without."
            )
        try:
            self._reader = tf.train.load_checkpoint(str(index).removesuffix(".index"))
            shapes, types = self._reader.get_variable_to_shape_map(), self._reader.get_variable_to_dtype_map()
        except Exception as error:  # what its reader raises is not said anywhere
            raise _damaged(index, error) from error
        # Python's integers: a product that is too large is no small one.
        size = sum(
            types[name].size * _product(shape) for name, shape in shapes.items() if types[name].is_floating
        )
        if size > sum(path.stat().st_size for path in parts):
            raise ValueError(f"{index} must not claim more than its data have. Received: {size:,} bytes.")
        self._shapes = {
            name.removesuffix(SUFFIX): (tuple(shape), types[name])
            for name, shape in shapes.items()
            if name.startswith("model/") and name.endswith(SUFFIX) and SLOT not in name
        }

    def names(self) -> list[str]:
        """Of all tensors of the model."""
        return list(self._shapes)

    def shape_and_type(self, name: str) -> tuple[tuple[int, ...], str]:
        """Of a tensor; the type as in `TYPES`."""
        shape, kind = self._shapes[name]
        known = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16"}
        return shape, known.get(kind.name, kind.name)

    def array(self, name: str) -> np.ndarray:
        """The values."""
        try:
            return self._reader.get_tensor(name + SUFFIX)
        except Exception as error:
            raise _damaged(self._name, error) from error


class CheckpointTensors(Tensors):
    """As `Tensors`, of the newest checkpoint of a folder."""

    def __init__(self, source: SourceFolder):
        file = CheckpointFile(source)
        self._files = dict.fromkeys(file.names(), file)
        self._taken = set()
        self._shapes_by = "the other tensors and the vocabularies"


def _newest(source):
    """The name of the checkpoint that the folder says is the newest."""
    lines = source.lines(CHECKPOINT_FILE)
    found = None if lines is None else NEWEST.search("\n".join(lines))
    if found is None:
        raise ValueError(
            f"The file {CHECKPOINT_FILE} must name a checkpoint, model_checkpoint_path. "
            f"Received: {source.path}, without."
        )
    # The folder may have been moved, so the name counts, not the way to it.
    return re.split(r"[/\\]", found.group(1))[-1]


def _product(shape):
    size = 1
    for length in shape:
        size *= length
    return size


def _damaged(path, error):
    reason = " ".join(str(error).split()) or type(error).__name__
    return ValueError(f"{path} must be a checkpoint of TensorFlow. Received: {reason:.200}")

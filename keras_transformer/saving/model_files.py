"""Writes `.keras` files, and opens them after looking at what they hold.

A `.keras` file is a zip archive with a description in JSON and weights in HDF5. All three can be made to do
harm: the description names classes that Keras imports, an archive unfolds to gigabytes or beside its folder,
HDF5 reads other files through links. Keras's safe mode stays on and refuses much of it; here nothing passes
but what Keras writes of a model. No check makes a stranger's model a good one.
"""

import io
import json
import re
import shutil
import zipfile
from pathlib import Path

import h5py
import keras

from keras_transformer.types import StrPath

MEMBERS = {"metadata.json", "config.json", "model.weights.h5"}
PACKAGE = "keras_transformer"
# Bytes; the description of the largest model of the zoo has some ten thousand.
MAX_CONFIG_SIZE = 2**20
# Where Keras has what models and their training are described with ...
KERAS_MODULES = re.compile(
    r"keras(\.(layers|models|src\.models\.functional|optimizers|optimizers\.schedules|losses|metrics|initializers"
    r"|regularizers|constraints|quantizers))?"
)
# ... but for layers that run code, unpickle, or read files.
REFUSED = re.compile(
    r"Lambda|TFSMLayer|TorchModuleWrapper|(Jax|Flax)Layer|\w*Lookup|TextVectorization|Hash\w+"
)
# How Keras writes tensors that connect layers, and constants.
VALUES = {"__keras_tensor__", "__numpy__", "__tuple__"}


def load_model(path: StrPath, compile: bool = False, ours: bool = True) -> keras.Model:
    """The model in a `.keras` file.

    Args:
        path: the file.
        compile: whether the optimizer, loss and metrics are restored as well.
        ours: whether it must be a model of this library; if not, of any classes that are registered in this
            process, and of Keras's own layers that run no code and read no files.

    Raises:
        ValueError: the file holds anything else, or is damaged. Nothing of it was run, imported or unpacked.
            Or a weight of a model of this library is NaN or infinite: it would answer, and nothing right.
    """
    check(path, ours)
    try:
        model = keras.models.load_model(path, compile=compile)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise ValueError(
            f"A model's file must describe a model and hold its weights. Received: {path}: {error}"
        ) from error
    if ours:
        check_finite(model, path)
    return model


def save_model(model: keras.Model, path: StrPath) -> None:
    """Writes a `.keras` file like `model.save`, which makes the whole file in memory, twice: here on disk.

    Args:
        model: a built Keras model.
        path: the file; replaced if it is there.

    Raises:
        OSError: it, or a folder of its parts beside it, cannot be written.
    """
    path = Path(path)
    parts = path.with_name(f".{path.name}.parts")
    shutil.rmtree(parts, ignore_errors=True)  # of a process that was killed
    try:
        model.save(parts, zipped=False)
        with zipfile.ZipFile(path, "w") as archive:
            for part in sorted(parts.rglob("*")):
                if part.is_file():
                    archive.write(part, part.relative_to(parts))
    finally:
        shutil.rmtree(parts, ignore_errors=True)


def check_finite(model: keras.Model, name: object) -> None:
    """Raises ValueError if a weight is NaN or infinite, as a training that diverged leaves them.

    Args:
        model: a built Keras model.
        name: what the error calls it.
    """
    wrong = []
    for weight in model.weights:
        if keras.backend.is_float_dtype(weight.dtype):
            if not keras.ops.all(keras.ops.isfinite(weight)):
                wrong.append(weight.path)
    if wrong:
        raise ValueError(
            "A model's weights must be finite: no NaN, no infinity. "
            f"Received: {name}: {len(wrong)} of {len(model.weights)} are not, the first of them {wrong[0]}."
        )


def check(path: StrPath, ours: bool = True) -> None:
    """Raises unless a file holds what Keras writes of a model: see `load_model`.

    Raises:
        ValueError: names the rule that is broken.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(path, archive)
            _check_config(path, archive.read("config.json"), ours)
            weights = archive.read("model.weights.h5")
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        if getattr(error, "filename", None) is not None:  # it cannot be opened
            raise
        # One that cannot be sought leads to a place before the file's beginning.
        raise ValueError(f"A model's file must be a zip archive. Received: {path}: {error}") from error
    _check_weights(path, weights)


def _check_members(path, archive):
    infos = archive.infolist()
    names = [info.filename for info in infos]
    if sorted(names) != sorted(MEMBERS):
        raise ValueError(
            f"A model's file must hold {', '.join(sorted(MEMBERS))} and nothing else. "
            f"Received: {path}, with {', '.join(map(repr, names[:9]))}."
        )
    for info in infos:
        # Keras does not compress; so nothing can be larger unpacked than it is.
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise ValueError(
                f"The parts of a model's file must not be compressed. Received: {path}: {info.filename}."
            )
        limit = MAX_CONFIG_SIZE if info.filename.endswith(".json") else Path(path).stat().st_size
        if info.file_size > limit:
            raise ValueError(
                f"{info.filename} must have at most {limit} bytes. Received: {path}, with {info.file_size}."
            )


def _check_config(path, text, ours):
    try:
        config = json.loads(text)
        found = list(_objects(config))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"config.json must be JSON. Received: {path}: {error}") from error
    if not isinstance(config, dict) or config not in found:
        raise ValueError(f"config.json must describe a model. Received: {path}.")
    if ours and not (_is_registered(config) and config["registered_name"].startswith(f"{PACKAGE}>")):
        raise ValueError(
            f"A run's model must be one of {PACKAGE}. "
            f"Received: {path}: {config.get('module')}.{config.get('class_name')}."
        )
    for item in found:
        if not (_is_registered(item) or _is_keras(item) or item.get("class_name") in VALUES):
            raise ValueError(
                "A model's file must name only classes that are registered here, and Keras's own that run no "
                f"code and read no files. Received: {path}: {item.get('module')}.{item.get('class_name')}."
            )


def _objects(value):
    """All dictionaries in which Keras would look for a class."""
    if isinstance(value, dict):
        if "class_name" in value or "registered_name" in value:
            yield value
        for part in value.values():
            yield from _objects(part)
    elif isinstance(value, list):
        for part in value:
            yield from _objects(part)


def _is_registered(item):
    # Keras looks into its register by this name first, and then imports nothing.
    package, _, name = str(item.get("registered_name")).partition(">")
    is_found = keras.saving.get_registered_object(f"{package}>{name}") is not None
    return is_found and name == item.get("class_name")


def _is_keras(item):
    module, name = str(item.get("module")), str(item.get("class_name"))
    return (
        KERAS_MODULES.fullmatch(module) is not None
        and item.get("registered_name") in (None, name)
        and re.fullmatch(r"[A-Z]\w*", name) is not None
        and not REFUSED.fullmatch(name)
    )


def _check_weights(path, weights):
    """No links, nothing outside of the file or compressed, numbers only, as many as there are bytes for."""
    sizes = []

    def visit(name, item):
        if isinstance(item, h5py.Group):
            _check_links(path, item)
        elif not isinstance(item, h5py.Dataset) or item.dtype.kind not in "fiubV" or item.dtype.hasobject:
            raise ValueError(f"Weights must be arrays of numbers. Received: {path}: {name}.")
        elif item.is_virtual or item.external or item.id.get_create_plist().get_nfilters():
            raise ValueError(
                f"Weights must stand in the file itself, and not compressed. Received: {path}: {name}."
            )
        else:
            sizes.append(item.size * item.dtype.itemsize)

    try:
        with h5py.File(io.BytesIO(weights), "r") as file:
            _check_links(path, file)
            file.visititems(visit)
    except (OSError, RuntimeError, KeyError, TypeError) as error:
        raise ValueError(f"model.weights.h5 must be HDF5. Received: {path}: {error}") from error
    if sum(sizes) > len(weights):
        raise ValueError(
            f"Weights must not claim more than the {len(weights)} bytes of the file. "
            f"Received: {path}, {sum(sizes)}."
        )


def _check_links(path, group):
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise ValueError(f"Weights must not be links. Received: {path}: {group.name}/{name}.")

"""`.keras` files that are made to do harm: one builder for each way, from a good file.

Each would leave the file `MARK` in the current folder if what it holds were run.
"""

import io
import json
import pickle
import warnings
import zipfile

import h5py
import numpy as np

MARK = "harm-was-done"


class Pickled:
    """Unpickled it touches a file."""

    def __reduce__(self):
        return (open, (MARK, "w"))


def parts(path):
    """The members of a `.keras` file: name -> bytes."""
    with zipfile.ZipFile(path) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def write(path, members, compression=zipfile.ZIP_STORED):
    """An archive of (name, bytes)."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members:
            archive.writestr(name, data)


def with_config(change):
    """A file whose description was changed."""

    def make(good, path):
        members = parts(good)
        config = json.loads(members["config.json"])
        members["config.json"] = json.dumps(change(config) or config)
        write(path, members.items())

    return make


def with_weights(change):
    """A file whose HDF5 was changed."""

    def make(good, path):
        members = parts(good)
        buffer = io.BytesIO(members["model.weights.h5"])
        with h5py.File(buffer, "r+") as file:
            change(file, path)
        write(path, (members | {"model.weights.h5": buffer.getvalue()}).items())

    return make


def with_member(name, data=b"x", compression=zipfile.ZIP_STORED):
    """A file with one member more."""

    def make(good, path):
        with warnings.catch_warnings(action="ignore"):  # of a name that is there twice
            write(path, [*parts(good).items(), (name, data)], compression)

    return make


def layer(class_name, module="keras.layers", **config):
    """A model of one layer in the place of the model."""
    return lambda _: {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"layers": [{"module": module, "class_name": class_name, "config": config}]},
        "registered_name": None,
    }


def nested(item):
    """The model, with an object inside of its own configuration."""

    def change(config):
        config["config"]["activation"] = item

    return change


def _external_link(file, path):
    file["outside"] = h5py.ExternalLink("/etc/hostname", "/")


def _soft_link(file, path):
    file["again"] = h5py.SoftLink("/decoder")


def _external_data(file, path):
    secret = path.parent / "secret"
    secret.write_bytes(bytes(80))
    file.create_dataset("stolen", (10,), "float64", external=[(str(secret), 0, 80)])


def _compressed(file, path):
    file.create_dataset("bomb", data=np.zeros(100_000), compression="gzip")


def _claimed(file, path):
    file.create_dataset("bomb", (2**40,), "float32", chunks=(2**20,))


def _strings(file, path):
    file.create_dataset("text", data=["a", "b"], dtype=h5py.string_dtype())


def _bomb(good, path):
    members = parts(good) | {"model.weights.h5": bytes(50_000_000)}
    write(path, members.items(), zipfile.ZIP_DEFLATED)


def _pickle(good, path):
    path.write_bytes(pickle.dumps(Pickled()))


def _truncated(good, path):
    path.write_bytes(good.read_bytes()[:-1000])


CALL = {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"}
LAMBDA = {"class_name": "__lambda__", "config": {"value": "4wEAAAA="}}
OTHER_CLASS = {
    "module": "subprocess",
    "class_name": "Popen",
    "config": {"args": f"touch {MARK}", "shell": True},
}
DISGUISED = OTHER_CLASS | {"registered_name": "keras_transformer>Popen"}
TOO_DEEP = '{"a":' * 100_000 + "1" + "}" * 100_000


def _deep(good, path):
    write(path, (parts(good) | {"config.json": TOO_DEEP}).items())


# Name -> (builder of (good file, path), what the refusal says).
FILES = {
    "a Lambda layer": (with_config(layer("Lambda", function=LAMBDA)), "must be one of keras_transformer"),
    "a TFSMLayer": (with_config(layer("TFSMLayer", filepath="model")), "must be one of keras_transformer"),
    "a lambda in the model": (with_config(nested(LAMBDA)), "only classes that are registered here"),
    "a Lambda in the model": (
        with_config(nested(layer("Lambda", function=LAMBDA)(None)["config"]["layers"][0])),
        "only classes that are registered here",
    ),
    "os.system by name": (with_config(nested(CALL)), "only classes that are registered here.*os.function"),
    "a class by name": (with_config(nested(OTHER_CLASS)), "only classes .*subprocess.Popen"),
    "a class in disguise": (with_config(nested(DISGUISED)), "only classes .*subprocess.Popen"),
    "a model by name": (with_config(lambda _: OTHER_CLASS), "must be one of keras_transformer"),
    "a vocabulary file": (
        with_config(nested({"module": "keras.layers", "class_name": "StringLookup", "config": {}})),
        "only classes .*StringLookup",
    ),
    "no description": (with_config(lambda _: {"a": 1}), "must describe a model"),
    "a deep description": (_deep, "must be JSON"),
    "an external link": (with_weights(_external_link), "must not be links"),
    "a soft link": (with_weights(_soft_link), "must not be links"),
    "external data": (with_weights(_external_data), "must stand in the file itself"),
    "compressed weights": (with_weights(_compressed), "must stand in the file itself, and not compressed"),
    "more weights than bytes": (with_weights(_claimed), "must not claim more than"),
    "text in the weights": (with_weights(_strings), "must be arrays of numbers"),
    "a path out of the folder": (with_member("../../escaped"), "and nothing else.*escaped"),
    "an absolute path": (with_member("/tmp/escaped"), "and nothing else.*escaped"),
    "a pickle inside": (with_member("data.pkl", pickle.dumps(Pickled())), "and nothing else.*data.pkl"),
    "a second description": (with_member("config.json", b"{}"), "and nothing else"),
    "a zip bomb": (_bomb, "must not be compressed"),
    "a pickle": (_pickle, "must be a zip archive"),
    "half a file": (_truncated, "must be a zip archive"),
}

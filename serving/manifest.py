"""Manifest of an export, and samples: requests with the answers they had when it was made.

    DIR/VERSION/manifest.json           kind of model, versions, signatures, search, limits, sums of the parts
    DIR/VERSION/assets.extra/samples.json   [{"signature_name", "inputs", "outputs"}, ...]

A sample's request is what TF Serving's REST interface takes. `SHA256SUMS` covers both files; the sums stand
there and nowhere else.
"""

import base64
import importlib.metadata
import json
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

MANIFEST_FILE = "manifest.json"
SAMPLES_FILE = "assets.extra/samples.json"
# Of the layout of the manifest.
FORMAT = 1
# TF Text's ops are complete in the stock image from here on.
TF_SERVING = "2.20"
MADE_WITH = ("keras", "tensorflow", "tensorflow-text")


def write(folder, version, facts) -> None:
    """Writes the manifest of a SavedModel.

    Args:
        folder: of saved_model.pb.
        version: number of the version.
        facts: what belongs to this model: kind, search, limits.
    """
    from keras_transformer import __version__
    from serving import certificate

    made_with = {name: importlib.metadata.version(name) for name in MADE_WITH}
    manifest = {
        "format": FORMAT,
        "version": version,
        **facts,
        "signatures": signatures(Path(folder) / "saved_model.pb"),
        "certificate": certificate.sums(folder),
        "made_with": {"keras_transformer": __version__, **made_with},
        "needs_tensorflow_serving": TF_SERVING,
    }
    text = json.dumps(manifest, indent=2, ensure_ascii=False)
    (Path(folder) / MANIFEST_FILE).write_text(text + "\n", encoding="utf-8")


def signatures(path) -> dict:
    """The signatures of a saved_model.pb.

    Returns:
        Name -> {"inputs": tensors, "outputs": tensors}, tensors: name -> {"dtype": str, "shape": list}, None
        for a length that differs from request to request.
    """
    saved_model = saved_model_pb2.SavedModel.FromString(Path(path).read_bytes())
    found = {}
    for meta_graph in saved_model.meta_graphs:
        for name, signature in meta_graph.signature_def.items():
            if not name.startswith("__"):  # __saved_model_init_op is no question
                found[name] = {
                    "inputs": _tensors(signature.inputs),
                    "outputs": _tensors(signature.outputs),
                }
    return dict(sorted(found.items()))


def _tensors(infos):
    return {
        name: {
            "dtype": tf.dtypes.as_dtype(info.dtype).name,
            "shape": [None if axis.size < 0 else axis.size for axis in info.tensor_shape.dim],
        }
        for name, info in sorted(infos.items())
    }


def write_samples(folder, functions, requests) -> None:
    """Asks the functions, and writes requests and answers.

    Args:
        folder: that of the version.
        functions: name of the signature -> function of named tensors.
        requests: (name of the signature, {input: array or list}).

    Raises:
        ValueError: a request is beyond the model's limits.
    """
    samples = []
    for name, inputs in requests:
        try:
            answer = functions[name](**{key: tf.constant(value) for key, value in inputs.items()})
        except tf.errors.InvalidArgumentError as error:
            raise ValueError(
                f"The limits must leave room for the model's own samples. Received: {error.message}"
            ) from error
        values = {key: value.numpy() for key, value in answer.items()}
        for key, value in values.items():
            # JSON has no such numbers. Weights that are finite, but huge, lead here.
            if value.dtype.kind == "f" and not np.isfinite(value).all():
                raise ValueError(
                    "The model must answer its own samples with finite numbers. "
                    f"Received: NaN or an infinity in {key} of {name}."
                )
        samples.append(
            {
                "signature_name": name,
                "inputs": {key: plain(key, value) for key, value in inputs.items()},
                "outputs": {key: plain(key, value) for key, value in values.items()},
            }
        )
    text = json.dumps(samples, indent=1, ensure_ascii=False)
    (Path(folder) / SAMPLES_FILE).write_text(text + "\n", encoding="utf-8")


def plain(name, values) -> list:
    """An array as TF Serving writes it in JSON: of a name that ends in _bytes in base64."""
    values = np.asarray(values, dtype=object if np.asarray(values).dtype.kind in "SUO" else None)

    def text(value):
        value = value.encode() if isinstance(value, str) else value
        if name.endswith("_bytes"):
            return {"b64": base64.b64encode(value).decode()}
        return value.decode("utf-8")

    if values.dtype.kind == "O":
        return tf.nest.map_structure(text, values.tolist())
    return values.tolist()

"""Asks an exported model the stored samples: python -I serving/replay.py VERSION_FOLDER < samples > answers

A process of its own, so that nothing of the project helps the model and nothing of the model is left in the
project's process. Needs TensorFlow and TF Text, nothing else. Standard input and output are JSON: a list of
requests {"signature_name", "inputs"}, and {"weights": how many there are, "not_finite": names of those with
NaN or an infinity, "sum": of all, "answers": [{output: value}, ...]}. A model with such weights is not asked.
"""

import base64
import hashlib
import json
import os
import sys
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def main() -> None:
    """Answers all requests; the process may write no file while the model is there."""
    import tensorflow as tf
    import tensorflow_text  # noqa: F401  registers the tokenizer's ops

    try:
        import resource
    except ImportError:  # not on Windows
        pass
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    requests = json.load(sys.stdin.buffer)
    prefix = os.path.join(sys.argv[1], "variables", "variables")
    count, not_finite = check_weights(tf, prefix)
    answers = [] if not_finite else answer(tf, sys.argv[1], requests)
    found = {"weights": count, "not_finite": not_finite, "sum": weights_sum(tf, prefix), "answers": answers}
    json.dump(found, sys.stdout)


def check_weights(tf, prefix) -> tuple[int, list[str]]:
    """How many arrays of floats a checkpoint has, and the names of those that are not finite."""
    import numpy as np
    from tensorflow.core.protobuf import trackable_object_graph_pb2

    reader = tf.train.load_checkpoint(prefix)
    keys = [key for key, kind in reader.get_variable_to_dtype_map().items() if kind.is_floating]
    wrong = [key for key in keys if not np.isfinite(reader.get_tensor(key)).all()]
    graph = trackable_object_graph_pb2.TrackableObjectGraph()
    graph.ParseFromString(reader.get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH"))
    known = {found.checkpoint_key: found.full_name for node in graph.nodes for found in node.attributes}
    return len(keys), sorted(known.get(key) or key for key in wrong)


def weights_sum(tf, prefix) -> str:
    """SHA-256 of all tensors of a checkpoint, by name, with their types and shapes."""
    reader, digest = tf.train.load_checkpoint(prefix), hashlib.sha256()
    types, shapes = reader.get_variable_to_dtype_map(), reader.get_variable_to_shape_map()
    for key in sorted(types.keys() - {"_CHECKPOINTABLE_OBJECT_GRAPH"}):
        digest.update(f"{key} {types[key].name} {shapes[key]}\n".encode())
        digest.update(tf.io.serialize_tensor(reader.get_tensor(key)).numpy())
    return digest.hexdigest()


def answer(tf, folder, requests) -> list[dict[str, Any]]:
    """The answers to the requests, {output: value} each."""
    model, answers = tf.saved_model.load(folder), []
    for request in requests:
        function = model.signatures[request["signature_name"]]
        specs = function.structured_input_signature[1]
        given = {
            name: tf.constant(decoded(value), specs[name].dtype) for name, value in request["inputs"].items()
        }
        found = {name: encoded(name, value.numpy()) for name, value in function(**given).items()}
        answers.append(found)
    return answers


def decoded(value) -> Any:
    """{"b64": text} -> bytes, anywhere in nested lists."""
    if isinstance(value, list):
        return [decoded(part) for part in value]
    return base64.b64decode(value["b64"]) if isinstance(value, dict) else value


def encoded(name, array) -> list:
    """An array as nested lists; strings as text, or as {"b64": text} if the name ends in _bytes."""

    def plain(value):
        if isinstance(value, list):
            return [plain(part) for part in value]
        if not isinstance(value, bytes):
            return value
        return {"b64": base64.b64encode(value).decode()} if name.endswith("_bytes") else value.decode("utf-8")

    return plain(array.tolist())


if __name__ == "__main__":
    try:
        main()
    except Exception as error:  # Whatever is wrong with a stranger's model, it is one line.
        sys.exit(f"{type(error).__name__}: {' '.join(str(error).split())}")

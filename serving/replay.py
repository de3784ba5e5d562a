"""Asks an exported model the stored samples: python -I serving/replay.py VERSION_FOLDER < samples > answers

A process of its own, so that nothing of the project helps the model and nothing of the model is left in the
project's process. Needs TensorFlow and TF Text, nothing else. Standard input and output are JSON: a list of
requests {"signature_name", "inputs"}, and the list of their answers, {output: value}.
"""

import base64
import json
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def main():
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
    model = tf.saved_model.load(sys.argv[1])
    answers = []
    for request in requests:
        function = model.signatures[request["signature_name"]]
        specs = function.structured_input_signature[1]
        given = {
            name: tf.constant(decoded(value), specs[name].dtype) for name, value in request["inputs"].items()
        }
        found = {name: encoded(name, value.numpy()) for name, value in function(**given).items()}
        answers.append(found)
    json.dump(answers, sys.stdout)


def decoded(value):
    """{"b64": text} -> bytes, anywhere in nested lists."""
    if isinstance(value, list):
        return [decoded(part) for part in value]
    return base64.b64decode(value["b64"]) if isinstance(value, dict) else value


def encoded(name, array):
    """An array as nested lists; strings as text, or as {"b64": text} if the name ends in _bytes."""

    def plain(value):
        if isinstance(value, list):
            return [plain(part) for part in value]
        if not isinstance(value, bytes):
            return value
        return {"b64": base64.b64encode(value).decode()} if name.endswith("_bytes") else value.decode("utf-8")

    return plain(array.tolist())


if __name__ == "__main__":
    main()

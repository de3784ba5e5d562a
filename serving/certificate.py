"""What an export is made of, as SHA-256 sums in its manifest: weights, tokenizers, operations.

With the samples, sentences with their answers and scores, they are the certificate that `serving.verify`
checks on the machine that serves. Two of the three are in one file, whose sum does not say which changed.
"""

import hashlib
from pathlib import Path

import tensorflow as tf
from tensorflow.core.framework import types_pb2

from serving import op_closure, replay

# Constants of these kinds are the tokenizers' pieces and tables, and messages.
TEXT_TYPES = (types_pb2.DT_STRING, types_pb2.DT_UINT8)


def sums(folder) -> dict[str, str]:
    """{"weights", "tokenizers", "operations"}: sums of the parts of a version, in hexadecimal digits."""
    folder = Path(folder)
    weights = replay.weights_sum(tf, str(folder / "variables" / "variables"))
    return {"weights": weights} | graph_sums(folder / "saved_model.pb")


def graph_sums(path) -> dict[str, str]:
    """{"tokenizers", "operations"} of a saved_model.pb: texts and models that it holds, and all the rest."""
    saved_model, texts = op_closure.read(path), hashlib.sha256()
    for meta_graph in saved_model.meta_graphs:
        graph = meta_graph.graph_def
        for nodes in (graph.node, *(function.node_def for function in graph.library.function)):
            for node in nodes:
                name = "model" if op_closure.is_of_text(node.op) else "value"
                if name == "model" or node.attr["dtype"].type in TEXT_TYPES:
                    texts.update(node.attr[name].SerializeToString(deterministic=True))
                    node.attr[name].Clear()
    rest = hashlib.sha256(saved_model.SerializeToString(deterministic=True))
    return {"tokenizers": texts.hexdigest(), "operations": rest.hexdigest()}


def check(expected, found) -> None:
    """Raises ValueError, which names the first part whose sum is another.

    Args:
        expected: sums of the manifest; parts that it does not have are not checked.
        found: sums of the parts that are there.
    """
    for name in found:
        if name in expected and expected[name] != found[name]:
            raise ValueError(
                f"The {name} must have the sum of the certificate, {expected[name]!r:.80}. "
                f"Received: other {name}, {found[name]}."
            )

"""Which ops a SavedModel needs, and whether a stock TF Serving (2.20 or later) has them.

TF Serving links TensorFlow's own ops and TF Text's. It runs no Python and, unless told otherwise, no
XLA. A model with any other op fails when it is loaded, or when it is first asked.
"""

from pathlib import Path

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

# TF Text 2.20 and 2.21 register 38 ops: those called "TFText>..." and these.
TEXT_OPS = frozenset(
    """
    CaseFoldUTF8 ConstrainedSequence FastBertNormalize FastWordpieceTokenizeWithOffsets
    FindSourceOffsets MaxSpanningTree NormalizeUTF8 NormalizeUTF8WithOffsetsMap PhraseTokenize
    RegexSplitWithOffsets RougeL SentenceFragments SentenceFragmentsV2 SentencepieceDetokenizeOp
    SentencepieceIdToStringOp SentencepieceOp SentencepieceStringToIdOp SentencepieceTokenizeOp
    SentencepieceTokenizeWithOffsetsOp SentencepieceVocabSizeOp SplitMergeTokenizeWithOffsets
    TokenizerFromLogits UnicodeScriptTokenizeWithOffsets WhitespaceTokenizeWithOffsets
    WordpieceTokenizeWithOffsets
    """.split()
)
# Registered in TensorFlow, and yet of no use to a server without Python.
PYTHON_OPS = frozenset({"PyFunc", "PyFuncStateless", "EagerPyFunc"})
XLA_ATTRIBUTE = "_XlaMustCompile"


def ops(path) -> set[str]:
    """Names of all ops of a saved_model.pb; "NAME (XLA)" for a call that must be compiled.

    Args:
        path: a saved_model.pb.
    """
    saved_model = saved_model_pb2.SavedModel()
    saved_model.ParseFromString(Path(path).read_bytes())
    found = set()
    for meta_graph in saved_model.meta_graphs:
        graph = meta_graph.graph_def
        for function in graph.library.function:
            if function.attr[XLA_ATTRIBUTE].b:
                found.add(f"{function.signature.name} (XLA)")
        for nodes in (graph.node, *(function.node_def for function in graph.library.function)):
            for node in nodes:
                found.add(f"{node.op} (XLA)" if node.attr[XLA_ATTRIBUTE].b else node.op)
    return found


def is_served(op: str) -> bool:
    """Whether a stock TF Serving links the op and can run it without XLA."""
    if op in TEXT_OPS or op.startswith("TFText>"):
        return True
    # Ops for XLA alone are not among these: XlaDynamicUpdateSlice, say, which is Keras's slice_update.
    return hasattr(tf.raw_ops, op) and op not in PYTHON_OPS


def check(path) -> None:
    """Raises unless a stock TF Serving has every op of a saved_model.pb.

    Raises:
        ValueError: names the ops.
    """
    missing = sorted(op for op in ops(path) if not is_served(op))
    if missing:
        raise ValueError(
            "An exported model holds ops of TensorFlow and TF Text only, and nothing that runs Python "
            f"or XLA. Received: {', '.join(missing)}."
        )

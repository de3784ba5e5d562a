"""ONNX Runtime, with all its optimisations, on what PyTorch exports of the same model."""

import tempfile

import onnxruntime
import torch

from benchmarks.embedding_peers import child
from benchmarks.embedding_peers.pytorch import Embedder, encoder


def make(specification):
    encode = encoder(specification["folder"])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = specification["threads"]
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    with tempfile.TemporaryDirectory() as folder:
        path = export(specification["folder"], encode(["An example.", "Two"]), f"{folder}/model.onnx")
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def embed(texts):
        ids, mask = encode(texts)
        return session.run(None, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})[0]

    return child.one_by_one(embed)


def export(folder, example, path):
    """Writes the model for any number of texts and any length; returns `path`."""
    axes = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    torch.onnx.export(
        Embedder(folder).eval(),
        example,
        path,
        input_names=["input_ids", "attention_mask"],
        dynamic_shapes=(axes, axes),
        dynamo=True,
    )
    return path


if __name__ == "__main__":
    child.serve(make)

"""The weights of PyTorch's `nn.Transformer`, and of what makes its logits."""

import numpy as np

from training.imports.source_folder import SourceFolder
from training.imports.tensors import Tensors


def generator(source: SourceFolder, tensors: Tensors, embedding: np.ndarray) -> tuple:
    """What makes the logits, which `generator` of config.json names.

    Args:
        source, tensors: the folder's.
        embedding: the target's, (V, D).

    Returns:
        The matrix (V, D), None if it is the embedding; and the bias (V,).

    Raises:
        ValueError: there is none of this name, or it has another shape.
    """
    rows, bias = None, np.zeros(len(embedding), "float32")
    if source.config.get("generator") is not None:
        name = source.value("generator", str)
        rows = tensors.read(f"{name}.weight", embedding.shape)
        if f"{name}.bias" in tensors:
            bias = tensors.read(f"{name}.bias", bias.shape)
    return None if rows is None or np.array_equal(rows, embedding) else rows, bias


def take(tensors: Tensors, model, prefix: str) -> None:
    """Gives a `models.Transformer` the weights of the layers.

    Args:
        tensors: of the folder.
        model: built, of the tensors' sizes.
        prefix: what stands before their names.

    Raises:
        ValueError: a tensor is missing, or has another shape.
    """
    has_bias = f"{prefix}encoder.layers.0.linear1.bias" in tensors  # `bias`
    for coder in ("encoder", "decoder"):
        stack, width = getattr(model, coder), model.hidden_dim
        for index, layer in enumerate(stack.layers):
            name = f"{prefix}{coder}.layers.{index}"
            attentions = {"self_attn": layer.self_attention}
            if coder == "decoder":
                attentions["multihead_attn"] = layer.cross_attention
            for part, sublayer in attentions.items():
                _take_attention(tensors, f"{name}.{part}", sublayer.layer, width, has_bias)
            network = layer.feed_forward.layer
            _take_dense(tensors, f"{name}.linear1", network.intermediate_dense, width, has_bias)
            _take_dense(tensors, f"{name}.linear2", network.output_dense, model.intermediate_dim, has_bias)
            for number, sublayer in enumerate([*attentions.values(), layer.feed_forward], 1):
                _take_norm(tensors, f"{name}.norm{number}", sublayer.norm, has_bias)
        if model.config.has_final_norm:
            _take_norm(tensors, f"{prefix}{coder}.norm", stack.final_norm, has_bias)


def _take_attention(tensors, name, attention, width, has_bias):
    # The matrices of queries, keys and values one below the other, (3 D, D).
    rows = np.split(tensors.read(f"{name}.in_proj_weight", (3 * width, width)), 3)
    denses = attention.query_dense, attention.key_dense, attention.value_dense
    for dense, matrix in zip(denses, rows, strict=True):
        dense.kernel.assign(matrix.T.reshape(dense.kernel.shape))
    if has_bias:
        parts = np.split(tensors.read(f"{name}.in_proj_bias", (3 * width,)), 3)
        for dense, part in zip(denses, parts, strict=True):
            dense.bias.assign(part.reshape(dense.bias.shape))
    _take_dense(tensors, f"{name}.out_proj", attention.output_dense, width, has_bias)


def _take_dense(tensors, name, dense, inner, has_bias):
    outer = int(np.prod(dense.kernel.shape)) // inner
    dense.kernel.assign(tensors.read(f"{name}.weight", (outer, inner)).T.reshape(dense.kernel.shape))
    if has_bias:
        dense.bias.assign(tensors.read(f"{name}.bias", (outer,)))


def _take_norm(tensors, name, norm, has_bias):
    norm.gamma.assign(tensors.read(f"{name}.weight", tuple(norm.gamma.shape)))
    if has_bias:
        norm.beta.assign(tensors.read(f"{name}.bias", tuple(norm.beta.shape)))

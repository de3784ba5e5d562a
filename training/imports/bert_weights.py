"""BERT's tensors by name: those of the encoder, and how any of them become a model's weights."""

import re
from collections.abc import Callable, Iterable, Iterator
from math import prod
from typing import Any, TypeAlias

import numpy as np

from training.imports.tensors import Tensors

# Name, variable, shape as stored, and a function of what is stored: the variable's value, in any shape.
Target: TypeAlias = tuple[str, Any, tuple[int, ...], Callable[[np.ndarray], np.ndarray]]
# What a folder may hold besides: heads that the model has no use for, and positions as numbers.
LEFT_OUT = re.compile(
    r"(bert\.)?(pooler\.dense\..+|(nsp___)?cls\..+|classifier\.(weight|bias)|embeddings\.position_ids)"
)


def take(tensors: Tensors, targets: Iterable[Target]) -> list[str]:
    """Gives variables the weights.

    Args:
        tensors: of the folder.
        targets: of all weights of the model.

    Returns:
        Names of tensors that the model has no use for.

    Raises:
        ValueError: a tensor is missing or surplus, or has another shape.
    """
    # With a head on it the encoder is a part called bert; old files have other names for a norm's weights.
    stored = {}
    for name in tensors:
        plain = name.removeprefix("bert.")
        plain = re.sub(r"(LayerNorm\.)gamma$", r"\1weight", plain)
        stored[re.sub(r"(LayerNorm\.)beta$", r"\1bias", plain)] = name
    for name, variable, shape, own in targets:
        value = own(tensors.read(stored.get(name, name), shape))
        variable.assign(value.reshape(variable.shape))
    return tensors.refuse_unread(LEFT_OUT)


def targets(encoder, vocabulary_size: int) -> Iterator[Target]:
    """The targets of a `layers.TextEncoder`.

    Args:
        encoder: built, of the folder's sizes. It may have fewer ids: no text has those above them.
        vocabulary_size: the folder's.
    """
    embedding, positions, segments = (
        layer.embeddings for layer in (encoder.token_embedding, encoder.positions, encoder.segment_embedding)
    )
    yield rows("embeddings.word_embeddings.weight", embedding, vocabulary_size)
    yield "embeddings.position_embeddings.weight", positions, tuple(positions.shape), np.asarray
    yield "embeddings.token_type_embeddings.weight", segments, tuple(segments.shape), np.asarray
    yield from norm("embeddings.LayerNorm", encoder.norm)
    for index, layer in enumerate(encoder.encoder.layers):
        prefix = f"encoder.layer.{index}"
        attention, network = layer.self_attention, layer.feed_forward
        for name in ("query", "key", "value"):
            part = getattr(attention.layer, f"_{name}_dense")
            yield from dense(f"{prefix}.attention.self.{name}", part, encoder.hidden_dim)
        output = attention.layer._output_dense
        yield from dense(f"{prefix}.attention.output.dense", output, encoder.hidden_dim)
        yield from norm(f"{prefix}.attention.output.LayerNorm", attention.norm)
        yield from dense(f"{prefix}.intermediate.dense", network.layer.intermediate_dense, encoder.hidden_dim)
        yield from dense(f"{prefix}.output.dense", network.layer.output_dense, encoder.intermediate_dim)
        yield from norm(f"{prefix}.output.LayerNorm", network.norm)


def dense(name: str, layer, inner: int) -> Iterator[Target]:
    """The targets of a map from `inner` values; matrices are stored as (out, in)."""
    yield f"{name}.weight", layer.kernel, (prod(layer.kernel.shape) // inner, inner), np.transpose
    yield f"{name}.bias", layer.bias, (prod(layer.bias.shape),), np.asarray


def norm(name: str, layer) -> Iterator[Target]:
    """The targets of a layer norm."""
    yield f"{name}.weight", layer.gamma, tuple(layer.gamma.shape), np.asarray
    yield f"{name}.bias", layer.beta, tuple(layer.beta.shape), np.asarray


def rows(name: str, variable, stored: int) -> Target:
    """The target of something with a row for each id, of which `stored` are stored: the first are taken."""
    return name, variable, (stored, *variable.shape[1:]), lambda value: value[: variable.shape[0]]

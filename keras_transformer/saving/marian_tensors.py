"""The tensors of Marian's models as the library transformers names them, and which weights here they are.

Folders are read and written by these names. Matrices are stored as (outputs, inputs).
"""

from collections.abc import Iterator
from math import prod
from typing import Any

SHARED, LOGITS_BIAS = "model.shared.weight", "final_logits_bias"
# Parts that read the stream of a stack, of hidden_dim values; all others write to it.
READERS = ("q_proj", "k_proj", "v_proj", "fc1")


def embeddings(model: Any) -> Iterator[tuple[str, str, Any]]:
    """(side, name, layer) of the embeddings of a `models.Transformer`; a shared one is the target's."""
    if model.share_embeddings:
        yield "target", SHARED, model.target_embedding
    else:
        yield "source", "model.encoder.embed_tokens.weight", model.source_embedding
        yield "target", "model.decoder.embed_tokens.weight", model.target_embedding


def layers(model: Any) -> Iterator[tuple[str, Any, tuple[int, ...]]]:
    """(name, variable, shape as stored) of all weights of the layers; a bias that there is not is None.

    Args:
        model: a built `models.Transformer` with norms after its sub-layers.
    """
    for coder in ("encoder", "decoder"):
        for index, layer in enumerate(getattr(model, coder).layers):
            prefix = f"model.{coder}.layers.{index}"
            yield from _attention(f"{prefix}.self_attn", layer.self_attention, model.hidden_dim)
            if coder == "decoder":
                yield from _attention(f"{prefix}.encoder_attn", layer.cross_attention, model.hidden_dim)
            network = layer.feed_forward
            yield from _dense(f"{prefix}.fc1", network.layer.intermediate_dense, model.hidden_dim)
            yield from _dense(f"{prefix}.fc2", network.layer.output_dense, model.intermediate_dim)
            yield from _norm(f"{prefix}.final_layer_norm", network.norm)


def _attention(name, sublayer, width):
    attention = sublayer.layer
    for letter, dense in (
        ("q", attention.query_dense),
        ("k", attention.key_dense),
        ("v", attention.value_dense),
        ("out", attention.output_dense),
    ):
        yield from _dense(f"{name}.{letter}_proj", dense, width)
    yield from _norm(f"{name}_layer_norm", sublayer.norm)


def _dense(name, layer, inner):
    outer = prod(layer.kernel.shape) // inner
    yield f"{name}.weight", layer.kernel, (outer, inner)
    yield f"{name}.bias", layer.bias, (outer,)


def _norm(name, layer):
    yield f"{name}.weight", layer.gamma, tuple(layer.gamma.shape)
    yield f"{name}.bias", layer.beta, tuple(layer.beta.shape)

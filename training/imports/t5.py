"""T5's models as transformers has them, also 1.1, Flan and mT5, as a translator (Raffel et al. 2020).

T5's decoder begins with the padding, and it has no start token. Here the special ids stand first, as for
Marian: the rows of the embedding are taken in another order, and one more is the start token, a copy of the
padding's row that no search can reach. Scores and texts stay what they were.
"""

import re

import numpy as np

from keras_transformer.special_ids import START_ID
from training.imports import t5_tokenizer
from training.imports.imported import UNREACHABLE, Imported
from training.imports.source_folder import SourceFolder
from training.imports.tensors import Tensors, assign_rows
from training.run_config import TokenizerConfig
from training.tasks.translation import (
    DataConfig,
    TokenizersConfig,
    TransformerConfig,
    Translation,
    TranslationConfig,
)

# `feed_forward_proj` of a folder -> `activation`. What it calls gelu behind a gate is the form with tanh.
ACTIVATIONS = {
    "relu": "relu",
    "gelu": "gelu",
    "silu": "silu",
    "gated-relu": "reglu",
    "gated-gelu": "geglu_tanh",
    "gated-gelu_new": "geglu_tanh",
    "gated-silu": "swiglu",
}
SHARED, LOGITS = "shared.weight", "lm_head.weight"
# What a folder may hold besides: the one embedding once more, and a bias that no version uses.
LEFT_OUT = re.compile(
    r"(encoder|decoder)\.embed_tokens\.weight|lm_head\.weight"
    r"|decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight"
)


def read(source: SourceFolder) -> Imported:
    """The folder as a run of a translator.

    Raises:
        ValueError: something in it is missing, surplus, damaged or not supported: one line that names it.
    """
    tokenizer, order = t5_tokenizer.read(source)
    tensors = Tensors(source)
    task = Translation(_config(source, _is_tied(source, tensors)))
    task.tokenizers = {"source": tokenizer, "target": tokenizer}
    model = task.make_model(task.sizes)
    left_out = take(tensors, model, order)
    return Imported(task.config, model, task.tokenizers, task.facts, left_out)


def _is_tied(source, tensors):
    """Whether the logits' matrix is the embedding's: none of their own, or the same once more."""
    if LOGITS not in tensors or SHARED not in tensors:
        return True
    shape = source.value("vocab_size", int), source.value("d_model", int)
    return np.array_equal(tensors.read(LOGITS, shape), tensors.read(SHARED, shape))


def _config(source, is_tied):
    num_layers, width = source.value("num_layers", int), source.value("d_model", int)
    num_decoder_layers = num_layers
    if source.config.get("num_decoder_layers") is not None:
        num_decoder_layers = source.value("num_decoder_layers", int)
    source.refuse_unless("feed_forward_proj", *ACTIVATIONS)
    # Version 1.0 scales what becomes logits: old folders say so by tying them. mT5 is like 1.1.
    is_scaled = source.value("tie_word_embeddings", bool, True) and source.config["model_type"] == "t5"
    is_scaled = source.value("scale_decoder_outputs", bool, is_scaled)
    dropout = source.value("dropout_rate", float, 0.1)
    return TranslationConfig(
        data=DataConfig(name="parallel_text", max_length=source.value("n_positions", int, 512)),
        tokenizer=TokenizersConfig(source=TokenizerConfig(kind="imported")),
        model=TransformerConfig(
            num_layers=num_layers,
            num_decoder_layers=num_decoder_layers,
            hidden_dim=width,
            num_heads=source.value("num_heads", int),
            intermediate_dim=source.value("d_ff", int),
            key_dim=source.value("d_kv", int),
            positions={
                "name": "relative_bias",
                "num_buckets": source.value("relative_attention_num_buckets", int, 32),
                "max_distance": source.value("relative_attention_max_distance", int, 128),
            },
            use_bias=False,
            activation=ACTIVATIONS[source.config.get("feed_forward_proj", "relu")],
            normalization="rms_norm",
            norm_first=True,
            norm_epsilon=source.value("layer_norm_epsilon", float, 1e-6),
            dropout=dropout,
            attention_dropout=dropout,
            activation_dropout=dropout,
            share_embeddings=True,
            embedding_scale=1.0,
            use_logits_bias=True,
            logits_scale=width**-0.5 if is_scaled else None,
            tie_logits=is_tied,
        ),
    )


def take(tensors: Tensors, model, order: np.ndarray) -> list[str]:
    """Gives a `models.Transformer` the weights.

    Args:
        tensors: of the folder.
        model: built, of the folder's sizes.
        order: the folder's id of each of the model's, int (V,); see `t5_tokenizer.read`.

    Returns:
        Names of tensors that the model has no use for.

    Raises:
        ValueError: a tensor is missing or surplus, or has another shape.
    """
    # The padding is there twice in the order; all others once.
    size = len(order) - 1
    embedding = model.target_embedding
    assign_rows(embedding.embeddings, tensors.read(SHARED, (size, model.hidden_dim)), order)
    if not model.tie_logits:
        embedding.reverse_embeddings.assign(tensors.read(LOGITS, (size, model.hidden_dim))[order].T)
    bias = np.zeros(len(order), "float32")
    bias[START_ID] = UNREACHABLE
    embedding.logits_bias.assign(bias)
    for name, variable, shape in _targets(model):
        rows = tensors.read(name, shape)
        is_matrix = len(shape) == 2 and not name.endswith("relative_attention_bias.weight")
        rows = (rows.T if is_matrix else rows).reshape(variable.shape)
        # T5 does not scale the scores, our attention does.
        variable.assign(rows * model.key_dim**0.5 if name.endswith("Attention.q.weight") else rows)
    return tensors.refuse_unread(LEFT_OUT)


def _targets(model):
    """(name, variable, shape as stored) of all weights of the layers; matrices are stored as (out, in)."""
    width = model.hidden_dim
    for coder in ("encoder", "decoder"):
        stack = getattr(model, coder)
        # One table for all layers of a stack, saved in its first.
        bias = stack.layers[0].self_attention.layer.position_bias.embeddings
        name = f"{coder}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
        yield name, bias, tuple(bias.shape)
        for index, layer in enumerate(stack.layers):
            prefix = f"{coder}.block.{index}.layer"
            yield from _attention(f"{prefix}.0", "SelfAttention", layer.self_attention, width)
            last = 1
            if coder == "decoder":
                yield from _attention(f"{prefix}.1", "EncDecAttention", layer.cross_attention, width)
                last = 2
            yield from _network(f"{prefix}.{last}", layer.feed_forward, width)
        yield from _norm(f"{coder}.final_layer_norm", stack.final_norm)


def _attention(prefix, name, sublayer, width):
    attention = sublayer.layer
    inner = attention.num_heads * attention.key_dim
    for letter in ("query", "key", "value"):
        kernel = getattr(attention, f"{letter}_dense").kernel
        yield f"{prefix}.{name}.{letter[0]}.weight", kernel, (inner, width)
    yield f"{prefix}.{name}.o.weight", attention.output_dense.kernel, (width, inner)
    yield from _norm(f"{prefix}.layer_norm", sublayer.norm)


def _network(prefix, sublayer, width):
    network = sublayer.layer
    denses = {"wi": network.intermediate_dense}
    if hasattr(network, "linear_dense"):
        denses = {"wi_0": network.intermediate_dense, "wi_1": network.linear_dense}
    for name, dense in denses.items():
        yield f"{prefix}.DenseReluDense.{name}.weight", dense.kernel, (network.intermediate_dim, width)
    shape = (width, network.intermediate_dim)
    yield f"{prefix}.DenseReluDense.wo.weight", network.output_dense.kernel, shape
    yield from _norm(f"{prefix}.layer_norm", sublayer.norm)


def _norm(name, layer):
    yield f"{name}.weight", layer.scale, tuple(layer.scale.shape)

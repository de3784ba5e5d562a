"""BERT and its kin with the same names, MiniLM among them, as a text embedder (Devlin et al. 2019).

How vectors are pooled is read from modules.json and 1_Pooling/config.json, as sentence-transformers writes
them; without them it is their mean, which is not normalised.
"""

import re
from math import prod

from training.imports import bert_tokenizer
from training.imports.imported import Imported
from training.imports.source_folder import SourceFolder
from training.imports.tensors import Tensors
from training.tasks.text_embedding import (
    EmbeddedTextConfig,
    TextEmbedderConfig,
    TextEmbeddingConfig,
    make_model,
)

ACTIVATIONS = {"gelu": "gelu", "relu": "relu", "silu": "silu", "swish": "silu"}
# What a folder may hold besides: heads that a sentence's vector does not need, and positions as numbers.
LEFT_OUT = re.compile(
    r"(bert\.)?(pooler\.dense\..+|cls\..+|classifier\.(weight|bias)|embeddings\.position_ids)"
)
# Modules of sentence-transformers, by the last part of their type.
MODULES = ("Transformer", "Pooling", "Normalize")
POOLINGS = {"mean_tokens": "mean", "cls_token": "first", "max_tokens": "max"}


def read(source: SourceFolder) -> Imported:
    """The folder as a run of a text embedder.

    Raises:
        ValueError: something in it is missing, surplus, damaged or not supported: one line that names it.
    """
    model_config = _model_config(source)
    vocabulary_size = source.value("vocab_size", int)
    tokenizer = bert_tokenizer.read(source)
    if tokenizer.vocabulary_size > vocabulary_size:
        raise ValueError(
            f"The vocabulary must fit the embedding, vocab_size {vocabulary_size}. "
            f"Received: {tokenizer.vocabulary_size} pieces."
        )
    config = TextEmbeddingConfig(
        data=EmbeddedTextConfig(max_length=_max_length(source, model_config.max_length)), model=model_config
    )
    tensors = Tensors(source)
    model = make_model(model_config, vocabulary_size)
    left_out = take(tensors, model.encoder)
    facts = {"max_length": config.data.max_length}
    return Imported(config, model, {"text": tokenizer}, facts, left_out)


def _model_config(source):
    source.refuse_unless("position_embedding_type", "absolute")
    for name in ("is_decoder", "add_cross_attention"):
        source.refuse_unless(name, False)
    source.refuse_unless("pad_token_id", 0, None)
    source.refuse_unless("hidden_act", *ACTIVATIONS)
    pooling, normalize = _pooling(source)
    return TextEmbedderConfig(
        num_layers=source.value("num_hidden_layers", int),
        hidden_dim=source.value("hidden_size", int),
        num_heads=source.value("num_attention_heads", int),
        intermediate_dim=source.value("intermediate_size", int),
        dropout=source.value("hidden_dropout_prob", float, 0.1),
        attention_dropout=source.value("attention_probs_dropout_prob", float, 0.1),
        activation=ACTIVATIONS[source.config.get("hidden_act", "gelu")],
        max_length=source.value("max_position_embeddings", int),
        num_segments=source.value("type_vocab_size", int, 2),
        norm_epsilon=source.value("layer_norm_eps", float, 1e-12),
        pooling=pooling,
        normalize=normalize,
    )


def _pooling(source):
    """(pooling, whether the vector is normalised), by the modules of sentence-transformers, if any."""
    modules = source.json("modules.json", list)
    if modules is None:
        return "mean", False
    kinds = [str(module.get("type") if isinstance(module, dict) else module) for module in modules]
    names = [kind.rpartition(".")[2] for kind in kinds]
    if names not in (list(MODULES), list(MODULES[:2])):
        raise ValueError(
            f"modules.json must name {', '.join(MODULES[:2])} and, if at all, {MODULES[2]}, in this order. "
            f"Received: {', '.join(names)[:80]}."
        )
    file = f"{modules[1].get('path', '1_Pooling')}/config.json"
    config = source.json(file)
    if config is None:
        raise ValueError(f"{source.path} must hold {file}, which modules.json names. Received: none.")
    modes = [
        name.removeprefix("pooling_mode_") for name, on in config.items() if on is True and "_mode_" in name
    ]
    if len(modes) != 1 or modes[0] not in POOLINGS:
        raise ValueError(f"{file} must have one pooling_mode of {', '.join(POOLINGS)}. Received: {modes}.")
    return POOLINGS[modes[0]], len(names) == 3


def _max_length(source, positions):
    """Tokens that are read of a text: what sentence-transformers or the tokenizer says, if it is less."""
    lengths = [positions]
    for file, name in (
        ("sentence_bert_config.json", "max_seq_length"),
        ("tokenizer_config.json", "model_max_length"),
    ):
        found = (source.json(file) or {}).get(name)
        if type(found) is int:
            lengths.append(found)
            break
    return max(min(lengths), 3)


def take(tensors: Tensors, encoder) -> list[str]:
    """Gives a `layers.TextEncoder` the weights.

    Args:
        tensors: of the folder.
        encoder: built, of the folder's sizes.

    Returns:
        Names of tensors that are no part of an encoder.

    Raises:
        ValueError: a tensor is missing or surplus, or has another shape.
    """
    # With a head on it the encoder is a part called bert; old files have other names for a norm's weights.
    stored = {}
    for name in tensors:
        plain = name.removeprefix("bert.")
        plain = re.sub(r"(LayerNorm\.)gamma$", r"\1weight", plain)
        stored[re.sub(r"(LayerNorm\.)beta$", r"\1bias", plain)] = name
    taken = set()
    for name, variable, shape, is_transposed in _targets(encoder):
        value = tensors.read(stored.get(name, name), shape)
        variable.assign((value.T if is_transposed else value).reshape(variable.shape))
        taken.add(name)
    return tensors.refuse_others({stored[name] for name in taken}, LEFT_OUT)


def _targets(encoder):
    """(name, variable, shape as stored, whether it is stored as (out, in)) of all weights of the encoder."""
    yield from (
        (f"embeddings.{name}_embeddings.weight", variable, tuple(variable.shape), False)
        for name, variable in (
            ("word", encoder.token_embedding.embeddings),
            ("position", encoder.positions.embeddings),
            ("token_type", encoder.segment_embedding.embeddings),
        )
    )
    yield from _norm("embeddings.LayerNorm", encoder.norm)
    for index, layer in enumerate(encoder.encoder.layers):
        prefix = f"encoder.layer.{index}"
        attention, network = layer.self_attention, layer.feed_forward
        for name in ("query", "key", "value"):
            dense = getattr(attention.layer, f"_{name}_dense")
            yield from _dense(f"{prefix}.attention.self.{name}", dense, encoder.hidden_dim)
        yield from _dense(
            f"{prefix}.attention.output.dense", attention.layer._output_dense, encoder.hidden_dim
        )
        yield from _norm(f"{prefix}.attention.output.LayerNorm", attention.norm)
        yield from _dense(
            f"{prefix}.intermediate.dense", network.layer.intermediate_dense, encoder.hidden_dim
        )
        yield from _dense(f"{prefix}.output.dense", network.layer.output_dense, encoder.intermediate_dim)
        yield from _norm(f"{prefix}.output.LayerNorm", network.norm)


def _dense(name, layer, inner):
    yield f"{name}.weight", layer.kernel, (prod(layer.kernel.shape) // inner, inner), True
    yield f"{name}.bias", layer.bias, (prod(layer.bias.shape),), False


def _norm(name, layer):
    yield f"{name}.weight", layer.gamma, tuple(layer.gamma.shape), False
    yield f"{name}.bias", layer.beta, tuple(layer.beta.shape), False

"""Marian's models as transformers has them, OPUS-MT above all, as a translator (Tiedemann, Thottingal 2020).

Marian's padding is its last id, its decoder begins with it, and it has no start token. Here the special ids
stand first: the rows of the embedding are taken in another order, and one more is the start token, a copy of
the padding's row that no search can reach. Scores and texts stay what they were. A decoder may
also begin with a token of its own, as in folders that serving.export writes: that is then the start token.
"""

import re

import numpy as np

from keras_transformer.saving import marian_tensors
from keras_transformer.special_ids import START_ID
from training.imports import marian_tokenizer
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

ACTIVATIONS = {"swish": "silu", "silu": "silu", "relu": "relu", "gelu": "gelu"}
LOGITS = "lm_head.weight"
# What a folder may hold besides: the logits' matrix, which is the embedding's, and sinusoids as numbers.
LEFT_OUT = re.compile(r"lm_head\.weight|model\.(encoder|decoder)\.embed_(positions|tokens)\.weight")


def read(source: SourceFolder) -> Imported:
    """The folder as a run of a translator.

    Raises:
        ValueError: something in it is missing, surplus, damaged or not supported: one line that names it.
    """
    config = _config(source)
    tokenizers, orders = marian_tokenizer.read(source)
    task = Translation(config)
    task.tokenizers = tokenizers
    model = task.make_model(task.sizes)
    left_out = take(Tensors(source), model, orders)
    return Imported(config, model, tokenizers, task.facts, left_out)


def _config(source):
    for name in ("normalize_before", "normalize_embedding", "add_final_layer_norm"):
        source.refuse_unless(name, False, None)
    source.refuse_unless("static_position_embeddings", True, None)
    source.refuse_unless("tie_word_embeddings", True)
    for name in ("attention_heads", "ffn_dim"):
        # Layers of encoder and decoder are alike.
        source.refuse_unless(f"decoder_{name}", source.value(f"encoder_{name}", int))
    if "activation_function" not in source.config:
        raise ValueError("config.json must have an activation_function. Received: none.")
    source.refuse_unless("activation_function", *ACTIVATIONS)
    side = TokenizerConfig(kind="imported")
    return TranslationConfig(
        data=DataConfig(name="parallel_text", max_length=source.value("max_position_embeddings", int)),
        tokenizer=TokenizersConfig(source=side, target=side),
        model=TransformerConfig(
            num_layers=source.value("encoder_layers", int),
            num_decoder_layers=source.value("decoder_layers", int),
            hidden_dim=source.value("d_model", int),
            num_heads=source.value("encoder_attention_heads", int),
            intermediate_dim=source.value("encoder_ffn_dim", int),
            positions={"name": "sinusoid", "layout": "halves"},
            activation=ACTIVATIONS[source.config["activation_function"]],
            norm_epsilon=1e-5,
            dropout=source.value("dropout", float, 0.1),
            attention_dropout=source.value("attention_dropout", float, 0.0),
            activation_dropout=source.value("activation_dropout", float, 0.0),
            share_embeddings=source.value("share_encoder_decoder_embeddings", bool, True),
            embedding_scale=None if source.value("scale_embedding", bool, False) else 1.0,
            use_logits_bias=True,
        ),
    )


def take(tensors: Tensors, model, orders: dict[str, np.ndarray]) -> list[str]:
    """Gives a `models.Transformer` the weights.

    Args:
        tensors: of the folder.
        model: built, of the folder's sizes.
        orders: {"source", "target"}: the folder's id of each of the model's, int (V,); see
            `marian_tokenizer.read`.

    Returns:
        Names of tensors that the model has no use for.

    Raises:
        ValueError: a tensor is missing or surplus, or has another shape.
    """
    sizes = {side: len(set(order)) for side, order in orders.items()}  # a copy is there twice in an order
    for side, name, embedding in marian_tensors.embeddings(model):
        if name not in tensors and model.share_embeddings and LOGITS in tensors:
            name = LOGITS  # tied, and saved once
        value = tensors.read(name, (sizes[side], model.hidden_dim))
        assign_rows(embedding.embeddings, value, orders[side])
    order, size = orders["target"], sizes["target"]
    bias = np.zeros(size, "float32")  # what the library takes where none was saved
    if marian_tensors.LOGITS_BIAS in tensors:
        bias = tensors.read(marian_tensors.LOGITS_BIAS, (1, size))[0]
    bias = bias[order]
    if size < len(order):
        bias[START_ID] = UNREACHABLE
    model.target_embedding.logits_bias.assign(bias)
    for name, variable, shape in marian_tensors.layers(model):
        rows = tensors.read(name, shape)
        variable.assign((rows.T if len(shape) == 2 else rows).reshape(variable.shape))
    return tensors.refuse_unread(LEFT_OUT)

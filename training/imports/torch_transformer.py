"""PyTorch's `nn.Transformer` as a translator: a state_dict, and what it cannot say in config.json.

The layers are found by their names, whatever stands before them; embeddings, logits and positions are the
user's own modules, so config.json names their tensors. docs/pretrained.md has all options.
"""

import re

import numpy as np

from keras_transformer.special_ids import END_ID, PAD_ID, START_ID, UNKNOWN_ID
from training.imports import torch_positions, torch_weights, vocabulary
from training.imports.imported import Imported
from training.imports.source_folder import SourceFolder
from training.imports.tensors import Tensors
from training.run_config import TokenizerConfig
from training.tasks.translation import (
    DataConfig,
    TokenizersConfig,
    TransformerConfig,
    Translation,
    TranslationConfig,
)

NEEDED = ("nhead", "source_embedding", "target_embedding", "scale_embedding", "positions", "source_controls")
OPTIONS = (
    *("generator", "activation", "norm_first", "layer_norm_eps", "dropout", "max_length"),
    *("source_vocabulary", "target_vocabulary", "source_sentencepiece", "target_sentencepiece"),
)
TOKENS = {
    PAD_ID: ("pad_token", "<pad>"),
    UNKNOWN_ID: ("unk_token", "<unk>"),
    START_ID: ("bos_token", "<s>"),
    END_ID: ("eos_token", "</s>"),
}
FIRST = "encoder.layers.0.self_attn.in_proj_weight"
NONE = re.compile("(?!)")


def read(source: SourceFolder) -> Imported:
    """The folder as a run of a translator.

    Raises:
        ValueError: something in it is missing, surplus, damaged or not supported: one line that names it.
    """
    source.refuse_others(*NEEDED, *OPTIONS, *(name for name, _ in TOKENS.values()))
    for name in NEEDED:
        if name not in source.config:
            raise ValueError(f"config.json must have {name}, which a state_dict cannot say. Received: none.")
    tensors = Tensors(source, "config.json and the other tensors")
    prefix = _prefix(tensors)
    names = {side: source.value(f"{side}_embedding", str) for side in ("source", "target")}
    made = {side: _side(source, side, tensors.shape(names[side], 2)) for side in names}
    width = tensors.shape(names["target"], 2)[-1]
    embeddings = {side: tensors.read(name, (len(made[side][0]), width)) for side, name in names.items()}
    logits, bias = torch_weights.generator(source, tensors, embeddings["target"])
    positions = torch_positions.read(source, tensors, width)
    pieces = [made[side][0] for side in ("source", "target")]
    config = _config(
        source,
        tensors,
        prefix,
        positions,
        share_embeddings=pieces[0] == pieces[1] and np.array_equal(*embeddings.values()),
        tie_logits=logits is None,
    )
    task = Translation(config)
    task.tokenizers = {side: tokenizer for side, (_, tokenizer, _) in made.items()}
    model = task.make_model(task.sizes)

    orders = {side: order for side, (_, _, order) in made.items()}
    for side in ("target",) if model.share_embeddings else ("source", "target"):
        getattr(model, f"{side}_embedding").embeddings.assign(embeddings[side][orders[side]])
    target, order = model.target_embedding, orders["target"]
    if logits is not None:
        target.reverse_embeddings.assign(logits[order].T)
    target.logits_bias.assign(vocabulary.ordered_bias(bias, order))
    for side, table in positions["tables"].items():
        getattr(model, f"{side}_positions").embeddings.assign(table)
    torch_weights.take(tensors, model, prefix)
    return Imported(config, model, task.tokenizers, task.facts, tensors.refuse_unread(NONE))


def _prefix(tensors):
    """What stands before the names of `nn.Transformer`: "", "transformer.", "module.model.", ..."""
    found = [name.removesuffix(FIRST) for name in tensors if name.endswith(FIRST)]
    if len(found) != 1:
        raise ValueError(
            f"The weights must hold one nn.Transformer, one tensor with a name like {FIRST}. "
            f"Received: {len(found)}."
        )
    return found[0]


def _side(source, side, shape):
    """(pieces in the folder's order, one for each row of the embedding; tokenizer; order) of a side."""
    file, model_file = (source.config.get(f"{side}_{kind}") for kind in ("vocabulary", "sentencepiece"))
    pieces = model = None
    if model_file is not None:
        model, pieces = vocabulary.read_model(source, source.value(f"{side}_sentencepiece", str))
    if file is not None:
        pieces = source.lines(source.value(f"{side}_vocabulary", str))
    if pieces is None:
        raise ValueError(
            f"config.json must have {side}_vocabulary, a file in the folder with a token a line, or "
            f"{side}_sentencepiece, such a model. Received: {file!r:.80}."
        )
    name = file or model_file
    special = {}
    for place, (option, default) in TOKENS.items():
        token = source.config.get(option, default)
        if token is not None and token not in pieces:
            raise ValueError(
                f"{name} must hold {option}, {token!r:.80}; config.json may have another, or null for none. "
                f"Received: {len(pieces)} others."
            )
        special[place] = None if token is None else pieces.index(token)
    if special[START_ID] is None or special[END_ID] is None:
        raise ValueError("bos_token and eos_token must be tokens. Received: null.")
    if len(pieces) > shape[0]:
        raise ValueError(
            f"{name} must have at most as many tokens as the embedding has rows, {shape[0]}. "
            f"Received: {len(pieces)}."
        )
    # An embedding may be padded to a multiple. A text has no such piece: a space is not in any.
    pieces = [*pieces, *(f"<extra row {number}>" for number in range(len(pieces), shape[0]))]
    controls = _controls(source)
    adds_start = side == "source" and controls["start"]
    return pieces, *vocabulary.make(name, pieces, special, model, adds_start)


def _controls(source):
    found = source.config["source_controls"]
    is_whole = isinstance(found, dict) and set(found) == {"start", "end"}
    if not is_whole or not all(type(value) is bool for value in found.values()):
        raise ValueError(
            f"source_controls of config.json must say start and end, true or false. Received: {found!r:.80}."
        )
    return found


def _config(source, tensors, prefix, positions, **options):
    source.refuse_unless("activation", "relu", "gelu")
    layers = f"{prefix}encoder.layers.0"
    longest = len(positions["tables"]["source"]) if positions["tables"] else 512
    max_length = source.value("max_length", int, longest)
    if max_length < 2 or positions["tables"] and max_length != longest:
        raise ValueError(
            "max_length must be at least 2, and the number of learned positions where there are some. "
            f"Received: {max_length}."
        )
    has_final_norm = {f"{prefix}{coder}.norm.weight" in tensors for coder in ("encoder", "decoder")}
    if len(has_final_norm) != 1:
        raise ValueError(
            "Encoder and decoder must both end with a norm, or neither. Received: one that does."
        )
    side = TokenizerConfig(kind="imported")
    return TranslationConfig(
        data=DataConfig(name="parallel_text", max_length=max_length),
        tokenizer=TokenizersConfig(source=side, target=side),
        model=TransformerConfig(
            num_layers=_num_layers(tensors, f"{prefix}encoder"),
            num_decoder_layers=_num_layers(tensors, f"{prefix}decoder"),
            hidden_dim=tensors.shape(f"{prefix}{FIRST}", 2)[-1],
            num_heads=source.value("nhead", int),
            intermediate_dim=tensors.shape(f"{layers}.linear1.weight", 2)[0],
            positions=positions["config"],
            activation=source.config.get("activation", "relu"),
            norm_first=source.value("norm_first", bool, False),
            final_norm=has_final_norm.pop(),
            norm_epsilon=source.value("layer_norm_eps", float, 1e-5),
            dropout=source.value("dropout", float, 0.1),
            attention_dropout=source.value("dropout", float, 0.1),
            activation_dropout=source.value("dropout", float, 0.1),
            embedding_scale=None if source.value("scale_embedding", bool) else 1.0,
            use_logits_bias=True,
            reads_source_end=_controls(source)["end"],
            **options,
        ),
    )


def _num_layers(tensors, coder):
    pattern = re.compile(rf"{re.escape(coder)}\.layers\.(\d+)\..*")
    return len({found.group(1) for name in tensors if (found := pattern.fullmatch(name))}) or 1

"""OpenNMT-tf's Transformers as translators: checkpoints of its version 2, vocabularies, and its YAML.

Klein et al. 2017, "OpenNMT: Open-Source Toolkit for Neural Machine Translation".

Its padding, start and end are the ids 0 to 2, and unknown is the last. Here the special ids stand first: the
rows are taken in another order. Scores and texts stay what they were.
"""

import re

import numpy as np

from command_line import yaml_files
from keras_transformer.special_ids import END_ID, PAD_ID, START_ID, UNKNOWN_ID
from training.imports import vocabulary
from training.imports.checkpoint_file import CheckpointTensors
from training.imports.imported import Imported
from training.imports.source_folder import SourceFolder
from training.run_config import TokenizerConfig
from training.tasks.translation import (
    DataConfig,
    TokenizersConfig,
    TransformerConfig,
    Translation,
    TranslationConfig,
)

# Where the run's YAML is, the first that there is; and what `onmt-main` writes of the model.
YAML_FILES = ("data.yml", "data.yaml", "config.yml", "config.yaml")
DESCRIPTION_FILE = "model_description.py"
FROM_CATALOG = re.compile(r"get_model_from_catalog\(\s*[\"'](\w+)[\"']\s*\)")
# Heads of the models of its catalog; all else is seen in the tensors.
CATALOG = {
    "Transformer": 8,
    "TransformerBase": 8,
    "TransformerBaseRelative": 8,
    "TransformerBaseSharedEmbeddings": 8,
    "TransformerBig": 16,
    "TransformerBigRelative": 16,
    "TransformerBigSharedEmbeddings": 16,
    "TransformerRelative": 8,
    "TransformerTiny": 2,
    "ScalingNmtEnDe": 16,
    "ScalingNmtEnFr": 16,
}
# Those that may read a source with an end token although the YAML does not say so.
WITH_END = ("ScalingNmtEnDe", "ScalingNmtEnFr")
SPECIAL = ("<blank>", "<s>", "</s>")
UNKNOWN = "<unk>"
OPTIONS = ("num_heads", "activation", "dropout", "attention_dropout", "ffn_dropout")
SOURCE, TARGET = (f"model/examples_inputter/{name}_inputter/embedding" for name in ("features", "labels"))
LOGITS = "model/decoder/output_layer/kernel"
NONE = re.compile("(?!)")


def read(source: SourceFolder) -> Imported:
    """The folder as a run of a translator.

    Raises:
        ValueError: something in it is missing, surplus, damaged or not supported: one line that names it.
    """
    source.refuse_others(*OPTIONS)
    told = _yaml(source)
    model_name = _model_name(source)
    controls = _controls(told, model_name)
    tensors = CheckpointTensors(source)
    made = {side: _side(source, told, side, controls) for side in ("source", "target")}
    if TARGET not in tensors and made["source"][0] != made["target"][0]:
        raise ValueError(
            f"Both vocabularies must be the same where both sides share an embedding, without {TARGET}. "
            "Received: two."
        )
    config = _config(source, told, model_name, tensors, controls)
    task = Translation(config)
    task.tokenizers = {side: tokenizer for side, (_, tokenizer, _) in made.items()}
    model = task.make_model(task.sizes)
    left_out = take(tensors, model, {side: order for side, (_, _, order) in made.items()})
    return Imported(config, model, task.tokenizers, task.facts, left_out)


def _yaml(source):
    """What the run's YAML says, with `data`."""
    for name in YAML_FILES:
        path = source.file(name)
        if path is not None:
            told = yaml_files.read(path)
            if not isinstance(told, dict) or not isinstance(told.get("data"), dict):
                raise ValueError(f"{path} must have data, with vocabularies. Received: {told!r:.80}.")
            return told
    raise ValueError(
        f"A folder of OpenNMT-tf holds its run's YAML, {' or '.join(YAML_FILES)}. "
        f"Received: {source.path}, without."
    )


def _model_name(source):
    """The model's name in the catalog, None if it is a user's own. The file is read, never run."""
    lines = source.lines(DESCRIPTION_FILE)
    found = None if lines is None else FROM_CATALOG.search("\n".join(lines))
    return found and found.group(1)


def _controls(told, model_name):
    """Which of {"start", "end"} stand around a source."""
    found = told["data"].get("source_sequence_controls")
    if found is None and model_name in WITH_END:
        raise ValueError(
            f"data must have source_sequence_controls for {model_name}: --auto_config gives it an end. "
            "Received: none."
        )
    found = {} if found is None else found
    if not isinstance(found, dict) or not all(
        key in ("start", "end") and type(value) is bool for key, value in found.items()
    ):
        raise ValueError(
            f"source_sequence_controls must say start and end, true or false. Received: {found!r:.80}."
        )
    return {name for name, is_there in found.items() if is_there}


def _side(source, told, side, controls):
    """(pieces in the folder's order, tokenizer, order) of a side; see `vocabulary.make`."""
    name = told["data"].get(f"{side}_vocabulary")
    pieces = source.lines(name) if isinstance(name, str) else None
    if pieces is None:
        raise ValueError(
            f"{side}_vocabulary of data must be a file in the folder, a token a line. Received: {name!r:.80}."
        )
    if tuple(pieces[: len(SPECIAL)]) != SPECIAL:
        raise ValueError(f"{name} must begin with {', '.join(SPECIAL)}. Received: {pieces[:3]!r:.80}.")
    model = _model(source, told, side)
    # Unknown is whatever is not in the file; a file may list it all the same.
    special = {PAD_ID: 0, UNKNOWN_ID: len(pieces), START_ID: 1, END_ID: 2}
    unknown = UNKNOWN if UNKNOWN not in pieces else "<<unk>>"
    adds_start = side == "source" and "start" in controls
    return pieces, *vocabulary.make(name, [*pieces, unknown], special, model, adds_start)


def _model(source, told, side):
    """The SentencePiece model that cuts a side's texts; None if they come as tokens."""
    name = f"{side}_tokenization"
    found = told["data"].get(name)
    if isinstance(found, str) and source.file(found) is not None:
        found = yaml_files.read(source.file(found))
    if found is None:
        return None
    if not isinstance(found, dict):
        raise ValueError(f"{name} must be a mapping, or a file with one. Received: {found!r:.80}.")
    kind = found.get("type", "OpenNMTTokenizer")
    options = found.get("params") or {} if "type" in found else found
    if kind == "SpaceTokenizer" and not options:
        return None
    if isinstance(options, dict):
        if kind == "SentencePieceTokenizer" and set(options) <= {"model", "nbest_size", "alpha"}:
            return vocabulary.read_model(source, str(options.get("model")))[0]
        is_plain = options.get("mode") == "none" and "sp_model_path" in options
        drawn = {"sp_nbest_size", "sp_alpha"}
        if kind == "OpenNMTTokenizer" and is_plain and set(options) <= {"mode", "sp_model_path", *drawn}:
            return vocabulary.read_model(source, str(options["sp_model_path"]))[0]
    raise ValueError(
        f"{name} must be SpaceTokenizer, SentencePieceTokenizer, or OpenNMTTokenizer with mode none and "
        "sp_model_path; without it, texts are tokens with spaces between, cut by your own program. "
        f"Received: {found!r:.200}."
    )


def _config(source, told, model_name, tensors, controls):
    width = tensors.shape(SOURCE, 2)[-1]
    prefix = "model/encoder/layers/0"
    relative = f"{prefix}/self_attention/layer/relative_position_keys"
    positions = {"name": "sinusoid", "layout": "halves", "endpoint": True, "first_position": 1}
    num_heads = CATALOG.get(model_name)
    if relative in tensors:
        rows, key_dim = tensors.shape(relative, 2)
        positions = {"name": "relative_keys_values", "max_distance": rows // 2}
        num_heads = width // key_dim
    if num_heads is None and "num_heads" not in source.config:
        raise ValueError(
            "config.json must have num_heads for a model that is not of the catalog, "
            '{"model_type": "opennmt_tf", "num_heads": 8}. '
            f"Received: {source.path}, without."
        )
    source.refuse_unless("activation", "relu", "gelu", "silu")
    params = told.get("params")
    length = params.get("maximum_decoding_length") if isinstance(params, dict) else None
    length = length if type(length) is int and length > 1 else 250
    side = TokenizerConfig(kind="imported")
    return TranslationConfig(
        data=DataConfig(name="parallel_text", max_length=length),
        tokenizer=TokenizersConfig(source=side, target=side),
        model=TransformerConfig(
            num_layers=_num_layers(tensors, "encoder"),
            num_decoder_layers=_num_layers(tensors, "decoder"),
            hidden_dim=width,
            num_heads=source.value("num_heads", int, num_heads),
            intermediate_dim=tensors.shape(f"{prefix}/ffn/layer/inner/kernel", 2)[-1],
            positions=positions,
            activation=source.config.get("activation", "relu"),
            norm_first=f"{prefix}/ffn/input_layer_norm/gamma" in tensors,
            norm_epsilon=1e-3,
            dropout=source.value("dropout", float, 0.1),
            attention_dropout=source.value("attention_dropout", float, 0.1),
            activation_dropout=source.value("ffn_dropout", float, 0.1),
            share_embeddings=TARGET not in tensors,
            use_logits_bias=True,
            tie_logits=LOGITS not in tensors,
            reads_source_end="end" in controls,
        ),
    )


def _num_layers(tensors, coder):
    pattern = re.compile(rf"model/{coder}/layers/(\d+)/.*")
    return len({found.group(1) for name in tensors if (found := pattern.fullmatch(name))}) or 1


def take(tensors: CheckpointTensors, model, orders: dict[str, np.ndarray]) -> list[str]:
    """Gives a `models.Transformer` the weights.

    Args:
        tensors: of the folder.
        model: built, of the tensors' sizes.
        orders: {"source", "target"}: the folder's id of each of the model's, int (V,).

    Returns:
        Names of tensors that the model has no use for: none.

    Raises:
        ValueError: a tensor is missing or surplus, or has another shape.
    """
    width, order = model.hidden_dim, orders["target"]
    # The embedding that both sides share has the source's name.
    names = {"target": SOURCE if model.share_embeddings else TARGET}
    if not model.share_embeddings:
        names["source"] = SOURCE
    for side, name in names.items():
        rows = tensors.read(name, (len(orders[side]), width))
        getattr(model, f"{side}_embedding").embeddings.assign(rows[orders[side]])
    embedding = model.target_embedding
    if not model.tie_logits:
        embedding.reverse_embeddings.assign(tensors.read(LOGITS, (width, len(order)))[:, order])
    bias = "model/decoder/output_layer/bias"
    if bias in tensors:  # `output_layer_bias`
        embedding.logits_bias.assign(tensors.read(bias, (len(order),))[order])
    has_bias = "model/encoder/layers/0/self_attention/layer/linear_queries/bias" in tensors  # `mha_bias`
    for name, variable, shape in _targets(model, has_bias):
        variable.assign(tensors.read(name, shape).reshape(variable.shape))
    return tensors.refuse_unread(NONE)


def _targets(model, has_bias):
    """(name, variable, shape as stored) of all weights of the layers; matrices are stored as (in, out)."""
    for coder in ("encoder", "decoder"):
        stack = getattr(model, coder)
        for index, layer in enumerate(stack.layers):
            prefix = f"model/{coder}/layers/{index}"
            yield from _attention(
                f"{prefix}/self_attention", layer.self_attention, model.hidden_dim, has_bias
            )
            if coder == "decoder":
                name = f"{prefix}/attention/0"
                yield from _attention(name, layer.cross_attention, model.hidden_dim, has_bias)
            network, name = layer.feed_forward.layer, f"{prefix}/ffn/layer"
            yield from _dense(f"{name}/inner", network.intermediate_dense, model.hidden_dim)
            yield from _dense(f"{name}/outer", network.output_dense, model.intermediate_dim)
            yield from _sublayer_norm(f"{prefix}/ffn", layer.feed_forward)
        if stack.norm_first:
            yield from _norm(f"model/{coder}/layer_norm", stack.final_norm)


def _attention(name, sublayer, width, has_bias):
    attention = sublayer.layer
    for part in ("query", "key", "value", "output"):
        plural = {"query": "queries", "key": "keys", "value": "values"}.get(part, part)
        dense = getattr(attention, f"{part}_dense")
        yield from _dense(f"{name}/layer/linear_{plural}", dense, width, has_bias)
    if attention.position_bias is not None:
        for part in ("key", "value"):
            vectors = getattr(attention.position_bias, f"{part}_vectors")
            yield f"{name}/layer/relative_position_{part}s", vectors, tuple(vectors.shape)
    yield from _sublayer_norm(name, sublayer)


def _dense(name, layer, inner, has_bias=True):
    outer = int(np.prod(layer.kernel.shape)) // inner
    yield f"{name}/kernel", layer.kernel, (inner, outer)
    if has_bias:
        yield f"{name}/bias", layer.bias, (outer,)


def _sublayer_norm(name, sublayer):
    return _norm(f"{name}/{'input' if sublayer.norm_first else 'output'}_layer_norm", sublayer.norm)


def _norm(name, layer):
    yield f"{name}/gamma", layer.gamma, tuple(layer.gamma.shape)
    yield f"{name}/beta", layer.beta, tuple(layer.beta.shape)

"""Writes a Transformer as a folder of the library transformers, in the layout of its MarianMTModel.

    FOLDER/config.json, generation_config.json    sizes, and which ids begin, end, pad and must not come
    FOLDER/model.safetensors                      weights, float32
    FOLDER/source.spm, target.spm                 the tokenizers' models
    FOLDER/vocab.json, target_vocab.json          {piece: id}; the second if the sides differ
    FOLDER/tokenizer_config.json

`MarianMTModel.from_pretrained(FOLDER)` and `MarianTokenizer.from_pretrained(FOLDER)` open it, and
training.import_weights makes a run of it again. Ids stay as they are, the start token included, with which
Marian's own decoders do not begin.
"""

import json
import shutil
from pathlib import Path

import keras
import numpy as np

from keras_transformer import models, tokenizers
from keras_transformer.layers.position_kinds import named
from keras_transformer.layers.positions import PositionalEncoding
from keras_transformer.pipelines.translator import Translator
from keras_transformer.saving import marian_tensors
from keras_transformer.saving.layer_paths import layer_paths
from keras_transformer.saving.model_files import check_finite
from keras_transformer.special_ids import END_ID, PAD_ID, START_ID
from keras_transformer.tokenizers import MODEL_FILE
from serving import whole_folder

ACTIVATIONS = {
    keras.activations.relu: "relu",
    keras.activations.gelu: "gelu",
    keras.activations.silu: "swish",
}
# What Marian's layer norm adds to the variance there; no configuration says otherwise.
NORM_EPSILON = 1e-5
# Width of the search by default, as in the folders of OPUS-MT.
NUM_BEAMS = 4


def export(run_folder, output, checkpoint=None) -> Path:
    """Writes the model and the tokenizers of a run; see `write`.

    Args:
        run_folder: what `training.train` or `training.import_weights` made.
        output: the folder to write; must not exist.
        checkpoint: which model of the run, see `checkpoints.checkpoint_path`.

    Returns:
        `output`.
    """
    whole_folder.check_absent(output)  # before the model is loaded
    found = Translator.from_run(run_folder, checkpoint=checkpoint)
    return write(found.model, found.source_tokenizer, found.target_tokenizer, output, found.max_source_length)


def write(model, source_tokenizer, target_tokenizer, folder, max_length) -> Path:
    """Writes one model and leaves nothing behind if that fails.

    Args:
        model: a built `models.Transformer`.
        source_tokenizer, target_tokenizer: `tokenizers.SentencePieceTokenizer`s or `MarianTokenizer`s with
            the model's ids.
        folder: must not exist; the folders above it are made if absent.
        max_length: tokens of the longest source or target, the end token included.

    Returns:
        `folder`.

    Raises:
        ValueError: `safetensors` is not installed, `folder` exists, a weight is not finite, or the model or a
            tokenizer is one that Marian's layout does not have.
        OSError: it cannot be written.
    """
    try:
        from safetensors.numpy import save_file
    except ImportError as error:
        raise ValueError(
            'This format needs the package safetensors: pip install ".[serving]" in a clone. '
            f"Received: {error}."
        ) from error

    folder = Path(folder)
    whole_folder.check_absent(folder)
    _check(model)
    check_finite(model, model.name)
    sides = {"source": source_tokenizer, "target": target_tokenizer}
    vocabularies = {side: _vocabulary(side, tokenizer, model) for side, tokenizer in sides.items()}
    files = {
        "config.json": _config(model, max_length),
        "generation_config.json": _generation(max_length),
        "vocab.json": vocabularies["source"],
        "tokenizer_config.json": _tokenizer_config(max_length),
    }
    if vocabularies["source"] != vocabularies["target"]:
        files["target_vocab.json"] = vocabularies["target"]
        files["tokenizer_config.json"]["separate_vocabs"] = True
    with whole_folder.beside(folder.parent) as beside:
        for name, content in files.items():
            text = json.dumps(content, ensure_ascii=False, indent=1)
            (beside / name).write_text(text + "\n", encoding="utf-8")
        for side, tokenizer in sides.items():
            tokenizer.save(beside / side)
            (beside / side / MODEL_FILE).rename(beside / f"{side}.spm")
            shutil.rmtree(beside / side)
        weights = beside / "model.safetensors"
        save_file(_tensors(model), weights, metadata={"format": "pt"})
        weights.chmod((beside / "vocab.json").stat().st_mode)  # the library keeps it to its owner
        return whole_folder.into_place(beside, folder)


def _check(model):
    """Raises ValueError unless Marian's layout has all that the model is made of: names the rule."""
    if not isinstance(model, models.Transformer) or not model.built:
        raise ValueError(f"`model` must be a built `models.Transformer`. Received: {model!r}.")
    heads_width = model.hidden_dim // model.num_heads
    positions = model.source_positions
    is_sinusoid = isinstance(positions, PositionalEncoding) and (
        positions.max_wavelength,
        positions.endpoint,
        positions.first_position,
    ) == (10_000, False, 0)
    for rule, is_kept, name in (
        ("a norm behind each sub-layer", not model.norm_first, "norm_first"),
        ("no norm behind a stack", not model.config.has_final_norm, "final_norm"),
        ("a source whose end is read", model.reads_source_end, "reads_source_end"),
        ("layer norms", model.normalization == "layer_norm", "normalization"),
        (f"a norm_epsilon of at most {NORM_EPSILON}", model.norm_epsilon <= NORM_EPSILON, "norm_epsilon"),
        ("the paper's sinusoids as positions, interleaved or in halves", is_sinusoid, "positions"),
        ("the activation relu, gelu or silu", model.activation in ACTIVATIONS, "activation"),
        ("heads of the width hidden_dim / num_heads", model.key_dim in (None, heads_width), "key_dim"),
        (
            "keys and values for each head",
            model.num_key_value_heads in (None, model.num_heads),
            "num_key_value_heads",
        ),
        ("self-attention to everything", model.sliding_window is None, "sliding_window"),
        ("no norm of queries and keys", model.qk_norm is None, "qk_norm"),
        ("embeddings times sqrt(hidden_dim) or 1", _is_scaled(model) is not None, "embedding_scale"),
        ("logits without a scale", model.logits_scale in (None, 1.0), "logits_scale"),
        ("logits by the target's embedding", model.tie_logits, "tie_logits"),
    ):
        if not is_kept:
            value = named(model.config.positions, "learned" if model.max_length else "sinusoid")
            value = value if name == "positions" else getattr(model, name)
            raise ValueError(
                f"A Marian folder of transformers must have {rule}. "
                f"Received: {name}={getattr(value, '__name__', value)!r}."
            )
    quantized = [path for path, layer in layer_paths(model).items() if layer.quantization_mode is not None]
    if quantized:
        raise ValueError(
            "A Marian folder of transformers must have float32 weights. "
            f"Received: quantized layers, the first of them {quantized[0]}."
        )


def _is_scaled(model):
    """Whether embeddings are scaled by the square root of the width; None if by something else."""
    if model.embedding_scale in (None, model.hidden_dim**0.5):
        return True
    return False if model.embedding_scale == 1 else None


def _vocabulary(side, tokenizer, model):
    """{piece: id} of a tokenizer."""
    kinds = (tokenizers.SentencePieceTokenizer, tokenizers.MarianTokenizer)
    if not isinstance(tokenizer, kinds):
        raise ValueError(
            f"In a Marian folder of transformers the {side} tokenizer must be a "
            f"{' or a '.join(kind.__name__ for kind in kinds)}. "
            f"Received: {tokenizer!r}."
        )
    size = getattr(model, f"{side}_vocabulary_size")
    if tokenizer.vocabulary_size != size:
        raise ValueError(
            f"The {side} tokenizer must have the model's {size} ids. "
            f"Received: a tokenizer with {tokenizer.vocabulary_size}."
        )
    pieces = tokenizer.id_to_piece(np.arange(size, dtype="int32")).numpy()
    return {piece.decode("utf-8"): number for number, piece in enumerate(pieces)}


def _config(model, max_length):
    sizes = {
        f"{coder}_{name}": size
        for coder in ("encoder", "decoder")
        for name, size in (
            ("layers", getattr(model, coder).num_layers),
            ("attention_heads", model.num_heads),
            ("ffn_dim", model.intermediate_dim),
        )
    }
    return {
        "architectures": ["MarianMTModel"],
        "model_type": "marian",
        "vocab_size": model.source_vocabulary_size,
        "decoder_vocab_size": model.target_vocabulary_size,
        "d_model": model.hidden_dim,
        **sizes,
        "activation_function": ACTIVATIONS[model.activation],
        "max_position_embeddings": max_length,
        "static_position_embeddings": True,
        "normalize_before": False,
        "normalize_embedding": False,
        "add_final_layer_norm": False,
        "scale_embedding": _is_scaled(model),
        "share_encoder_decoder_embeddings": model.share_embeddings,
        "tie_word_embeddings": True,
        "dropout": model.dropout,
        "attention_dropout": model.attention_dropout,
        "activation_dropout": model.activation_dropout,
        "is_encoder_decoder": True,
        "use_cache": True,
        "forced_eos_token_id": None,
        **SPECIAL_IDS,
    }


SPECIAL_IDS = {
    "pad_token_id": PAD_ID,
    "bos_token_id": START_ID,
    "eos_token_id": END_ID,
    "decoder_start_token_id": START_ID,
}


def _generation(max_length):
    return {
        # What a search here never chooses.
        "bad_words_ids": [[PAD_ID], [START_ID]],
        "num_beams": NUM_BEAMS,
        "max_length": max_length + 1,  # the start token counts there
        **SPECIAL_IDS,
    }


def _tokenizer_config(max_length):
    return {
        "tokenizer_class": "MarianTokenizer",
        "separate_vocabs": False,
        "model_max_length": max_length,
        "clean_up_tokenization_spaces": False,
        "bos_token": "<s>",
    }


def _tensors(model):
    """{name: float32} as transformers stores them."""
    # Marian's sinusoid has all sines first: all that is as wide as the stream is put in this order.
    channels = np.arange(model.hidden_dim)
    if model.source_positions.layout == "interleaved":
        channels = np.concatenate([channels[::2], channels[1::2]])
    found = {
        name: _array(layer.embeddings)[:, channels] for _, name, layer in marian_tensors.embeddings(model)
    }
    bias = np.zeros(model.target_vocabulary_size, "float32")
    if model.use_logits_bias:
        bias = _array(model.target_embedding.logits_bias)
    found[marian_tensors.LOGITS_BIAS] = bias[None]
    for name, variable, shape in marian_tensors.layers(model):
        value = np.zeros(shape, "float32") if variable is None else _array(variable)
        value = value.reshape(shape[::-1]).T
        part, leaf = name.split(".")[-2:]
        if part not in marian_tensors.READERS:
            value = value[channels]
        elif leaf == "weight":
            value = value[:, channels]
        found[name] = value
    # What is written are the bytes as they lie.
    return {name: np.ascontiguousarray(value) for name, value in found.items()}


def _array(tensor):
    return np.asarray(keras.ops.convert_to_numpy(tensor), "float32")

"""Writes a Transformer as a model folder of CTranslate2, a runtime without TensorFlow.

    FOLDER/model.bin, config.json               weights, and which tokens CTranslate2 adds by itself
    FOLDER/source_vocabulary.json, target_...   pieces in the order of their ids; shared_... if equal
    FOLDER/tokenizer/source, tokenizer/target   the tokenizers, sentencepiece.model

CTranslate2 reads and writes pieces, not text: `ctranslate2.Translator(FOLDER).translate_batch([pieces])`
takes what the source tokenizer made, without the end token. What `decoding.Greedy(max_length=L)` decodes
it decodes with `beam_size=1, max_decoding_length=L, min_decoding_length=0`, and with
`suppress_sequences=[["<pad>"], ["<s>"]]` where a model has not learnt to leave these two out.
"""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_transformer import layers, models, tokenizers
from keras_transformer.layers.position_kinds import named
from keras_transformer.layers.positions import sinusoid
from keras_transformer.pipelines.translator import Translator
from keras_transformer.saving.layer_paths import layer_paths
from keras_transformer.saving.model_files import check_finite
from keras_transformer.special_ids import END_ID, START_ID, UNKNOWN_ID
from serving import whole_folder

# By the names that CTranslate2 gives them; its SWISH is also called silu. Of a gated network, its gate's.
ACTIVATIONS = {
    keras.activations.relu: "RELU",
    keras.activations.gelu: "GELU",
    keras.activations.silu: "SWISH",
    "geglu": "GELU",
    "geglu_tanh": "GELUTanh",
    "glu": "Sigmoid",
    "reglu": "RELU",
    "swiglu": "SWISH",
}
# Positions that attention alone knows, T5's and Shaw's.
RELATIVE = ("relative_bias", "relative_keys_values")


def export(run_folder, output, quantization=None, checkpoint=None) -> Path:
    """Writes the model and the tokenizers of a run; see `write`.

    Args:
        run_folder: what `training.train` made.
        output: the folder to write; must not exist.
        quantization: see `write`.
        checkpoint: which model of the run, see `checkpoints.checkpoint_path`.

    Returns:
        `output`.
    """
    whole_folder.check_absent(output)  # before the model is loaded
    found = Translator.from_run(run_folder, checkpoint=checkpoint)
    return write(found.model, found.source_tokenizer, found.target_tokenizer, output, quantization)


def write(model, source_tokenizer, target_tokenizer, folder, quantization=None, max_length=1024) -> Path:
    """Writes one model and leaves nothing behind if that fails.

    Args:
        model: a built `models.Transformer`.
        source_tokenizer, target_tokenizer: `tokenizers.SentencePieceTokenizer`s, `PieceTokenizer`s (Marian's
            and T5's are some) or `WordTokenizer`s, with the model's ids.
        folder: must not exist; the folders above it are made if absent.
        quantization: how weights are stored, by CTranslate2's names: "int8", "int16", "float16", ...;
            float32 if None.
        max_length: tokens of the longest source or target, the end token included, that a sinusoid is
            written for; a model with learned positions has its own limit.

    Returns:
        `folder`.

    Raises:
        ValueError: `ctranslate2` is not installed, `folder` exists, `quantization` is unknown, a weight is
            not finite or does not stay so, or the model or a tokenizer is one that CTranslate2 cannot
            represent.
        OSError: it cannot be written.
    """
    folder = Path(folder)
    whole_folder.check_absent(folder)
    spec = _specification(model, max_length)
    spec.register_source_vocabulary(_vocabulary("source", source_tokenizer, model.source_vocabulary_size))
    pieces = _vocabulary("target", target_tokenizer, model.target_vocabulary_size)
    spec.register_target_vocabulary(pieces)
    spec.config.unk_token, spec.config.bos_token, spec.config.eos_token = pieces[UNKNOWN_ID : END_ID + 1]
    spec.config.decoder_start_token = pieces[START_ID]
    spec.validate()
    try:
        with np.errstate(all="ignore"):  # What overflows is told below.
            spec.optimize(quantization=quantization)
    except (RuntimeError, ValueError) as error:  # bfloat16 needs PyTorch
        raise ValueError(
            f"`quantization` must be one that CTranslate2 can make. Received: {quantization!r}: {error}"
        ) from error
    for name, variable in spec.variables().items():
        # A variable that stands for another is the name of that.
        if not isinstance(variable, str) and not np.isfinite(variable.numpy()).all():
            raise ValueError(
                f"Weights must be finite also as {quantization or 'float32'}. Received: {name}, which is not."
            )

    with whole_folder.beside(folder.parent) as beside:
        spec.save(str(beside))
        source_tokenizer.save(beside / "tokenizer" / "source")
        target_tokenizer.save(beside / "tokenizer" / "target")
        return whole_folder.into_place(beside, folder)


def _specification(model, max_length):
    """The model's structure and weights as a `ctranslate2.specs.TransformerSpec`, without vocabularies."""
    try:
        from ctranslate2 import specs
    except ImportError as error:
        raise ValueError(
            'This format needs the package ctranslate2: pip install ".[ctranslate2]" in a clone. '
            f"Received: {error}."
        ) from error

    _check(model)
    check_finite(model, model.name)
    layout = {
        "num_heads": model.num_heads,
        "head_dim": model.key_dim,
        "pre_norm": True,  # only then is there room for a final norm
        "no_final_norm": not model.config.has_final_norm,
        "activation": specs.Activation[ACTIVATIONS[model.activation]],
        "relative_attention_bias": _is_relative(model, "relative_bias"),
        "relative_position": _is_relative(model, "relative_keys_values"),
        "ffn_glu": model.config.is_gated,
        "rms_norm": model.normalization == "rms_norm",
    }
    spec = specs.TransformerSpec(
        specs.TransformerEncoderSpec(model.encoder.num_layers, **layout),
        specs.TransformerDecoderSpec(model.decoder.num_layers, **layout),
    )
    spec.encoder.pre_norm = spec.decoder.pre_norm = model.norm_first
    # Its own default is another epsilon, and no end token after the source.
    spec.config.layer_norm_epsilon = model.encoder.norm_epsilon
    spec.config.add_source_eos = model.reads_source_end

    # Embeddings are scaled by sqrt(D) unless the specification says otherwise.
    if model.embedding_scale is not None:
        spec.encoder.scale_embeddings = np.dtype("float32").type(model.embedding_scale)
        spec.decoder.scale_embeddings = np.dtype("float32").type(model.embedding_scale)
    spec.encoder.embeddings[0].weight = _array(model.source_embedding.embeddings)
    spec.decoder.embeddings.weight = _array(model.target_embedding.embeddings)
    spec.decoder.projection.weight = _logits_matrix(model)
    if model.logits_scale is not None:
        spec.decoder.scale_outputs = np.dtype("float32").type(model.logits_scale)
    if model.use_logits_bias:
        spec.decoder.projection.bias = _array(model.target_embedding.logits_bias)
    if model.source_positions is not None:
        # Without a table CTranslate2 would use a sinusoid whose sines come first and cosines last.
        spec.encoder.position_encodings.encodings = _position_table(model.source_positions, model, max_length)
        spec.decoder.position_encodings.encodings = _position_table(model.target_positions, model, max_length)

    for layer_spec, layer in zip(spec.encoder.layer, model.encoder.layers, strict=True):
        _set_self_attention(layer_spec.self_attention, layer.self_attention)
        _set_feed_forward(layer_spec.ffn, layer.feed_forward)
    for layer_spec, layer in zip(spec.decoder.layer, model.decoder.layers, strict=True):
        _set_self_attention(layer_spec.self_attention, layer.self_attention)
        _set_cross_attention(layer_spec.attention, layer.cross_attention)
        _set_feed_forward(layer_spec.ffn, layer.feed_forward)
    if model.config.has_final_norm:
        _set_norm(spec.encoder.layer_norm, model.encoder.final_norm)
        _set_norm(spec.decoder.layer_norm, model.decoder.final_norm)
    return spec


def _check(model):
    """Raises unless CTranslate2 has all that the model is made of."""
    if not isinstance(model, models.Transformer) or not model.built:
        raise ValueError(f"`model` must be a built `models.Transformer`. Received: {model!r}.")
    plain = layers.LayerConfig(num_heads=1, intermediate_dim=1)
    names = ("num_key_value_heads", "sliding_window", "qk_norm")
    other = [name for name in names if getattr(model.config, name) != getattr(plain, name)]
    if model.source_positions is None and not any(_is_relative(model, name) for name in RELATIVE):
        other.append("positions")
    if other:
        raise ValueError(
            "For CTranslate2 a Transformer must have positions that are added, T5's or Shaw's, and heads "
            "with keys of their own that see everything. "
            f"Received: {', '.join(f'{name}={getattr(model.config, name)!r}' for name in other)}."
        )
    if model.activation not in ACTIVATIONS:
        raise ValueError(
            "CTranslate2 has the activations relu, gelu and swish, and those of gates but bilinear. "
            f"Received: activation={getattr(model.activation, '__name__', model.activation)}."
        )
    quantized = [path for path, layer in layer_paths(model).items() if layer.quantization_mode is not None]
    if quantized:
        raise ValueError(
            "CTranslate2 quantizes by itself: the model must not be quantized by Keras. "
            f"Received: quantized layers, the first of them {quantized[0]}."
        )


def _is_relative(model, kind):
    """Whether positions are of a kind that CTranslate2 has, T5's both ways in the encoder, else backwards."""
    name, options = named(model.config.positions)
    return name == kind and "bidirectional" not in options and "value_dim" not in options


def _vocabulary(side, tokenizer, size):
    """The pieces of a tokenizer in the order of their ids."""
    kinds = (tokenizers.SentencePieceTokenizer, tokenizers.PieceTokenizer, tokenizers.WordTokenizer)
    if not isinstance(tokenizer, kinds):
        raise ValueError(
            f"The {side} tokenizer must be a {', a '.join(kind.__name__ for kind in kinds)}. "
            f"Received: {tokenizer!r}."
        )
    if tokenizer.vocabulary_size != size:
        raise ValueError(
            f"The {side} tokenizer must have the model's {size} ids. "
            f"Received: a tokenizer with {tokenizer.vocabulary_size}."
        )
    # Each is there once, so that a piece stands for its id.
    return [piece.decode("utf-8") for piece in tokenizer.id_to_piece(tf.range(size)).numpy()]


def _logits_matrix(model):
    """What the decoder's output is multiplied by, (V, D)."""
    embedding = model.target_embedding
    matrix = embedding.embeddings if model.tie_logits else keras.ops.transpose(embedding.reverse_embeddings)
    return _array(matrix)


def _position_table(positions, model, max_length):
    """What a positional encoding adds, (positions, D)."""
    if isinstance(positions, layers.LearnedPositionalEncoding):
        return _array(positions.embeddings)
    places = np.arange(max_length) + positions.first_position
    layout = positions.max_wavelength, positions.layout, positions.endpoint
    return _array(sinusoid(places, model.hidden_dim, *layout))


def _set_self_attention(spec, sublayer):
    attention = sublayer.layer
    _set_linear(spec.linear[0], attention.query_dense, attention.key_dense, attention.value_dense)
    _set_linear(spec.linear[1], attention.output_dense, num_axes=2)
    if isinstance(attention.position_bias, layers.RelativePositionBias):
        spec.relative_attention_bias = _array(attention.position_bias.embeddings)
        spec.relative_attention_max_distance = np.dtype("int32").type(attention.position_bias.max_distance)
    if isinstance(attention.position_bias, layers.RelativeKeysAndValues):
        spec.relative_position_keys = _array(attention.position_bias.key_vectors)
        spec.relative_position_values = _array(attention.position_bias.value_vectors)
    _set_norm(spec.layer_norm, sublayer.norm)


def _set_cross_attention(spec, sublayer):
    attention = sublayer.layer
    _set_linear(spec.linear[0], attention.query_dense)
    _set_linear(spec.linear[1], attention.key_dense, attention.value_dense)
    _set_linear(spec.linear[2], attention.output_dense, num_axes=2)
    _set_norm(spec.layer_norm, sublayer.norm)


def _set_feed_forward(spec, sublayer):
    _set_linear(spec.linear_0, sublayer.layer.intermediate_dense)
    if hasattr(spec, "linear_0_noact"):
        _set_linear(spec.linear_0_noact, sublayer.layer.linear_dense)
    _set_linear(spec.linear_1, sublayer.layer.output_dense)
    _set_norm(spec.layer_norm, sublayer.norm)


def _set_linear(spec, *denses, num_axes=1):
    """One linear map, (outputs, inputs), of one or more that share their input: a kernel's first axes."""
    kernels = [_array(dense.kernel) for dense in denses]
    kernels = [kernel.reshape(np.prod(kernel.shape[:num_axes]), -1) for kernel in kernels]
    spec.weight = np.concatenate(kernels, axis=1).T
    if denses[0].bias is not None:
        spec.bias = np.concatenate([_array(dense.bias).reshape(-1) for dense in denses])


def _set_norm(spec, norm):
    if isinstance(norm, keras.layers.RMSNormalization):
        spec.gamma = _array(norm.scale)
        return
    spec.gamma = _array(norm.gamma)
    spec.beta = _array(norm.beta)


def _array(tensor):
    # A copy: CTranslate2 quantizes in place.
    return np.array(keras.ops.convert_to_numpy(tensor), "float32")

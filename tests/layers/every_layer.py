"""Every public layer, small, with inputs of any size: for the tests that all of them pass.

`LAYERS[name]` is (make, inputs): `make(**kwargs)` returns a new layer, `inputs(B, T, S, D)` the shapes of its
positional call arguments; of those in `IDS` so many of the first hold integers. Axes that have to agree do.
Layers take every width.
"""

import numpy as np

from keras_transformer import layers

VOCABULARY = 11
IDS = {
    "AlibiBias": 2,
    "RelativeKeysAndValues": 2,
    "RelativePositionBias": 2,
    "TextEncoder": 1,
    "TokenEmbedding": 1,
}
STACK = {"num_layers": 1, "num_heads": 2, "intermediate_dim": 5, "key_dim": 3}


def _one(B, T, S, D):
    return [(B, T, D)]


def _two(B, T, S, D):
    return [(B, T, D), (B, S, D)]


def _query(B, T, S, D):
    return [(B, D), (B, S, D)]


def _grid(B, T, S, D):
    return [(B, T, S, D)]


def _ids(B, T, S, D):
    return [(B, T)]


def _positions(B, T, S, D):
    return [(B, T), (B, S)]


def _encoder_layer(**kwargs):
    return layers.EncoderLayer(2, 5, key_dim=3, **kwargs)


def _decoder_layer(**kwargs):
    return layers.DecoderLayer(2, 5, key_dim=3, **kwargs)


def _recurrent_attention(**kwargs):
    score = layers.GeneralScore(dtype=kwargs.get("dtype"))
    return layers.RecurrentAttention(score, window=2, **kwargs)


def _recurrent_decoder(**kwargs):
    policy = {"dtype": kwargs.get("dtype")}
    attention = layers.RecurrentAttention(layers.AdditiveScore(**policy), **policy)
    return layers.RecurrentDecoder(2, 4, 3, attention, **kwargs)


def _sublayer(**kwargs):
    return layers.Sublayer(layers.FeedForward(5, dtype=kwargs.get("dtype")), **kwargs)


def _text_encoder(**kwargs):
    return layers.TextEncoder(VOCABULARY, 1, 6, 2, 5, max_length=13, **kwargs)


LAYERS = {
    "AdditiveScore": (layers.AdditiveScore, _two),
    "AlibiBias": (lambda **kwargs: layers.AlibiBias(3, **kwargs), _positions),
    "AttentionPooling": (layers.AttentionPooling, _one),
    "ConcatScore": (layers.ConcatScore, _two),
    "ConvDecoder": (
        lambda **kwargs: layers.ConvDecoder(1, 4, **kwargs),
        lambda B, T, S, D: [(B, T, D), (B, S, D), (B, S, D)],
    ),
    "ConvDecoderLayer": (
        lambda **kwargs: layers.ConvDecoderLayer(3, **kwargs),
        lambda B, T, S, D: [(B, T, D), (B, T, D + 1), (B, S, D + 1), (B, S, D + 1)],
    ),
    "ConvEncoder": (lambda **kwargs: layers.ConvEncoder(1, 4, **kwargs), _one),
    "ConvStem": (lambda **kwargs: layers.ConvStem(2, 6, **kwargs), _grid),
    "Decoder": (lambda **kwargs: layers.Decoder(norm_first=True, **STACK, **kwargs), _two),
    "DecoderLayer": (_decoder_layer, _two),
    "DotScore": (layers.DotScore, _two),
    "Encoder": (lambda **kwargs: layers.Encoder(norm_first=True, **STACK, **kwargs), _one),
    "EncoderLayer": (_encoder_layer, _one),
    "FeedForward": (lambda **kwargs: layers.FeedForward(5, **kwargs), _one),
    "FinalState": (layers.FinalState, _query),
    "GatedConvolution": (lambda **kwargs: layers.GatedConvolution(3, **kwargs), _one),
    "GatedFeedForward": (lambda **kwargs: layers.GatedFeedForward(5, **kwargs), _one),
    "GeneralScore": (layers.GeneralScore, _two),
    "GridPositionalEncoding": (layers.GridPositionalEncoding, _grid),
    "GroupedQueryAttention": (lambda **kwargs: layers.GroupedQueryAttention(3, 4, 2, **kwargs), _two),
    "ImageEncoder": (lambda **kwargs: layers.ImageEncoder((3, 4), **kwargs), _grid),
    "LearnedPositionalEncoding": (lambda **kwargs: layers.LearnedPositionalEncoding(13, **kwargs), _one),
    "MultiHeadAttention": (lambda **kwargs: layers.MultiHeadAttention(2, 3, **kwargs), _two),
    "PositionalEncoding": (layers.PositionalEncoding, _one),
    "RecurrentAttention": (_recurrent_attention, _query),
    "RecurrentDecoder": (_recurrent_decoder, _two),
    "RecurrentEncoder": (lambda **kwargs: layers.RecurrentEncoder(2, 4, **kwargs), _one),
    "RelativeKeysAndValues": (
        lambda **kwargs: layers.RelativeKeysAndValues(2, **kwargs),
        lambda B, T, S, D: [(B, T), (B, S), (B, 3, T, D)],
    ),
    "RelativePositionBias": (lambda **kwargs: layers.RelativePositionBias(3, **kwargs), _positions),
    "ResidualBlock": (lambda **kwargs: layers.ResidualBlock(3, **kwargs), _grid),
    "RotaryEmbedding": (layers.RotaryEmbedding, lambda B, T, S, D: [(B, 3, T, 2 * D)]),
    "SpatialSelfAttention": (layers.SpatialSelfAttention, _grid),
    "Sublayer": (_sublayer, _one),
    "TextEncoder": (_text_encoder, _ids),
    "TokenEmbedding": (lambda **kwargs: layers.TokenEmbedding(VOCABULARY, 6, **kwargs), _ids),
}


def integer(name, index):
    """Whether the call argument at `index` holds integers."""
    return index < IDS.get(name, 0)


def drawn(name, shapes, seed=0, dtype=None):
    """Arrays of these shapes: ids for arguments that hold integers, else normally distributed numbers."""
    rng = np.random.default_rng(seed)
    return [
        rng.integers(0, VOCABULARY, shape).astype(dtype or "int32")
        if integer(name, index)
        else rng.normal(size=shape).astype(dtype or "float32")
        for index, shape in enumerate(shapes)
    ]


# What a constructor's argument has to be, by its name.
SIZES = """channels embedding_dim filters hidden_dim intermediate_dim kernel_size key_dim max_length
    num_classes num_heads num_layers num_segments output_dim patch_size reduction source_vocabulary_size units
    target_vocabulary_size value_dim vocabulary_size window num_buckets max_distance""".split()
RATES = ("dropout", "attention_dropout", "activation_dropout")
POSITIVE = ("norm_epsilon", "max_wavelength", "scale", "logits_scale")
INNER = ("attention", "layer", "score")  # layers
BAD = {
    **dict.fromkeys(SIZES, (0, -1, True, 2.0, "2")),
    **dict.fromkeys(RATES, (1.0, -0.1, float("nan"), "0.1", True)),
    **dict.fromkeys(POSITIVE, (0, -1.0, float("nan"), float("inf"), "1", True)),
    **dict.fromkeys(INNER, ("no such", 3)),
}


def bad_configs(config):
    """(name, config) with one argument out of range, for each argument and each way."""
    for name in config.keys() & BAD.keys():
        if name in INNER and isinstance(config[name], bool):
            continue  # whether there is one
        for value in BAD[name]:
            yield name, {**config, name: [3, value] if isinstance(config[name], list) else value}

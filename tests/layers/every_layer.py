"""Every public layer, small, with inputs of any size: for the tests that all of them pass.

`LAYERS[name]` is (make, inputs): `make(**kwargs)` returns a new layer, `inputs(B, T, S, D)` the shapes of its
positional call arguments; those of `IDS` hold ids. Axes that have to agree do. Layers take every width.
"""

import numpy as np

from keras_transformer import layers

VOCABULARY = 11
IDS = ("TextEncoder", "TokenEmbedding")
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
    "Decoder": (lambda **kwargs: layers.Decoder(norm_first=True, **STACK, **kwargs), _two),
    "DecoderLayer": (_decoder_layer, _two),
    "DotScore": (layers.DotScore, _two),
    "Encoder": (lambda **kwargs: layers.Encoder(norm_first=True, **STACK, **kwargs), _one),
    "EncoderLayer": (_encoder_layer, _one),
    "FeedForward": (lambda **kwargs: layers.FeedForward(5, **kwargs), _one),
    "FinalState": (layers.FinalState, _query),
    "GatedConvolution": (lambda **kwargs: layers.GatedConvolution(3, **kwargs), _one),
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
    "ResidualBlock": (lambda **kwargs: layers.ResidualBlock(3, **kwargs), _grid),
    "SpatialSelfAttention": (layers.SpatialSelfAttention, _grid),
    "Sublayer": (_sublayer, _one),
    "TextEncoder": (_text_encoder, _ids),
    "TokenEmbedding": (lambda **kwargs: layers.TokenEmbedding(VOCABULARY, 6, **kwargs), _ids),
}


def drawn(name, shapes, seed=0, dtype=None):
    """Arrays of these shapes: ids for a layer that takes ids, else normally distributed numbers."""
    rng = np.random.default_rng(seed)
    if name in IDS:
        return [rng.integers(0, VOCABULARY, shape).astype(dtype or "int32") for shape in shapes]
    return [rng.normal(size=shape).astype(dtype or "float32") for shape in shapes]

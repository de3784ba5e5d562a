"""Layers of attention models, for any Keras 3 model (TensorFlow, JAX and PyTorch backends)."""

from keras_transformer.layers.attention import MultiHeadAttention
from keras_transformer.layers.conv_decoder import ConvDecoder, ConvDecoderLayer
from keras_transformer.layers.conv_encoder import ConvEncoder
from keras_transformer.layers.decoder import Decoder, DecoderLayer
from keras_transformer.layers.dot_product import scaled_dot_product_attention
from keras_transformer.layers.embedding import TokenEmbedding
from keras_transformer.layers.encoder import Encoder, EncoderLayer
from keras_transformer.layers.gated_convolution import GatedConvolution
from keras_transformer.layers.positions import LearnedPositionalEncoding, PositionalEncoding
from keras_transformer.layers.sublayer import FeedForward, Sublayer

__all__ = [
    "ConvDecoder",
    "ConvDecoderLayer",
    "ConvEncoder",
    "Decoder",
    "DecoderLayer",
    "Encoder",
    "EncoderLayer",
    "FeedForward",
    "GatedConvolution",
    "LearnedPositionalEncoding",
    "MultiHeadAttention",
    "PositionalEncoding",
    "Sublayer",
    "TokenEmbedding",
    "scaled_dot_product_attention",
]

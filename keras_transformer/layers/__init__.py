"""Layers of attention models, for any Keras 3 model (TensorFlow, JAX and PyTorch backends)."""

from keras_transformer.layers.attention import MultiHeadAttention
from keras_transformer.layers.attention_pooling import AttentionPooling
from keras_transformer.layers.attention_scores import AdditiveScore, ConcatScore, DotScore, GeneralScore
from keras_transformer.layers.conv_decoder import ConvDecoder, ConvDecoderLayer
from keras_transformer.layers.conv_encoder import ConvEncoder
from keras_transformer.layers.conv_stem import ConvStem
from keras_transformer.layers.decoder import Decoder, DecoderLayer
from keras_transformer.layers.dot_product import scaled_dot_product_attention
from keras_transformer.layers.embedding import TokenEmbedding
from keras_transformer.layers.encoder import Encoder, EncoderLayer
from keras_transformer.layers.feed_forward import GatedFeedForward
from keras_transformer.layers.gated_convolution import GatedConvolution
from keras_transformer.layers.grouped_query_attention import GroupedQueryAttention
from keras_transformer.layers.image_encoder import ImageEncoder, ResidualBlock
from keras_transformer.layers.layer_config import LayerConfig
from keras_transformer.layers.position_bias import AlibiBias, RelativePositionBias
from keras_transformer.layers.positions import (
    GridPositionalEncoding,
    LearnedPositionalEncoding,
    PositionalEncoding,
)
from keras_transformer.layers.recurrent_attention import FinalState, RecurrentAttention
from keras_transformer.layers.recurrent_decoder import RecurrentDecoder
from keras_transformer.layers.recurrent_encoder import RecurrentEncoder
from keras_transformer.layers.relative_positions import RelativeKeysAndValues
from keras_transformer.layers.rotary import RotaryEmbedding
from keras_transformer.layers.spatial_attention import SpatialSelfAttention
from keras_transformer.layers.sublayer import FeedForward, Sublayer
from keras_transformer.layers.text_encoder import TextEncoder

__all__ = [
    "AdditiveScore",
    "AlibiBias",
    "AttentionPooling",
    "ConcatScore",
    "ConvDecoder",
    "ConvDecoderLayer",
    "ConvEncoder",
    "ConvStem",
    "Decoder",
    "DecoderLayer",
    "DotScore",
    "Encoder",
    "EncoderLayer",
    "FeedForward",
    "FinalState",
    "GatedConvolution",
    "GatedFeedForward",
    "GeneralScore",
    "GridPositionalEncoding",
    "GroupedQueryAttention",
    "ImageEncoder",
    "LayerConfig",
    "LearnedPositionalEncoding",
    "MultiHeadAttention",
    "PositionalEncoding",
    "RecurrentAttention",
    "RecurrentDecoder",
    "RecurrentEncoder",
    "RelativeKeysAndValues",
    "RelativePositionBias",
    "ResidualBlock",
    "RotaryEmbedding",
    "SpatialSelfAttention",
    "Sublayer",
    "TextEncoder",
    "TokenEmbedding",
    "scaled_dot_product_attention",
]

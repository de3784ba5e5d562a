"""The models of the zoo."""

from keras_transformer.models.attention_cnn import AttentionCNN
from keras_transformer.models.base import AutoregressiveModel
from keras_transformer.models.causal_lm import CausalLM
from keras_transformer.models.classifiers import SequenceClassifier, TokenClassifier
from keras_transformer.models.conv_seq2seq import ConvSeq2Seq
from keras_transformer.models.image_captioner import ImageCaptioner
from keras_transformer.models.masked_lm import MaskedLM
from keras_transformer.models.rnn_classifier import RNNClassifier
from keras_transformer.models.rnn_seq2seq import RNNSeq2Seq
from keras_transformer.models.sentence_encoder import SentenceEncoder
from keras_transformer.models.transformer import Transformer
from keras_transformer.models.vision_transformer import VisionTransformer

__all__ = [
    "AttentionCNN",
    "AutoregressiveModel",
    "CausalLM",
    "ConvSeq2Seq",
    "ImageCaptioner",
    "MaskedLM",
    "RNNClassifier",
    "RNNSeq2Seq",
    "SentenceEncoder",
    "SequenceClassifier",
    "TokenClassifier",
    "Transformer",
    "VisionTransformer",
]

"""The models of the zoo."""

from keras_transformer.models.base import AutoregressiveModel
from keras_transformer.models.causal_lm import CausalLM
from keras_transformer.models.conv_seq2seq import ConvSeq2Seq
from keras_transformer.models.rnn_seq2seq import RNNSeq2Seq
from keras_transformer.models.transformer import Transformer

__all__ = ["AutoregressiveModel", "CausalLM", "ConvSeq2Seq", "RNNSeq2Seq", "Transformer"]

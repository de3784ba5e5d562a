"""The models of the zoo."""

from keras_transformer.models.base import AutoregressiveModel
from keras_transformer.models.rnn_seq2seq import RNNSeq2Seq
from keras_transformer.models.transformer import Transformer

__all__ = ["AutoregressiveModel", "RNNSeq2Seq", "Transformer"]

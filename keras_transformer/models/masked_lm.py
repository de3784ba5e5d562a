"""The masked language model (Devlin et al. 2019, "BERT")."""

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from keras_transformer.layers.normalization import norm_layer
from keras_transformer.models.text_model import TextModel
from keras_transformer.types import Tensor


@keras.saving.register_keras_serializable(package="keras_transformer")
class MaskedLM(TextModel):
    """Predicts tokens that `token_masking.masked_tokens` has hidden, from both sides.

    Devlin et al. 2019, section 3.1, task 1: the encoder, then dense, gelu, layer norm and the transposed
    token embedding with a bias. Train it with `losses.SmoothedCrossEntropy` on labels that are 0 wherever
    nothing was hidden: the loss is then the mean over the hidden tokens. The paper's second task, whether
    two texts follow each other, is left out (Liu et al. 2019, section 4.2: it does not help); the pooled
    output that it trains is a part of `SequenceClassifier`.

    Args:
        encoder: a `layers.TextEncoder`.
        activation: of the dense layer; gelu in the paper.

    Call arguments:
        inputs: {"token_ids": (B, T), "segment_ids": (B, T), may be left out}, see `layers.TextEncoder`.
        training: whether dropout is active.

    Returns:
        Logits, float32, (B, T, V).
    """

    def __init__(self, encoder: keras.layers.Layer, activation: str = "gelu", **kwargs: Any):
        super().__init__(encoder, **kwargs)
        self.activation = activation
        policy, width = self.dtype_policy, encoder.hidden_dim
        self.dense = keras.layers.Dense(width, activation=activation, dtype=policy, name="dense")
        config = encoder.config
        self.norm = norm_layer(config.normalization, config.norm_epsilon, dtype=policy, name="norm")

    def build(self, input_shape: Any = None) -> None:
        super().build(input_shape)
        width = (None, None, self.encoder.hidden_dim)
        self.dense.build(width)
        self.norm.build(width)
        self.bias = self.add_weight(name="bias", shape=(self.encoder.vocabulary_size,), initializer="zeros")

    def call(self, inputs: Mapping[str, Tensor], training: bool | None = None) -> Tensor:
        hidden = self.norm(self.dense(self.encode(inputs, training=training)))
        logits = self.encoder.token_embedding(hidden, reverse=True)
        return logits + ops.cast(self.bias, "float32")

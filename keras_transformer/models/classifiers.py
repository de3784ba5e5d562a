"""Classes of texts and of tokens, on an encoder that a masked language model has trained."""

from collections.abc import Mapping
from typing import Any, Self

import keras

from keras_transformer import arguments, layers
from keras_transformer.models.text_model import TextModel
from keras_transformer.saving.layer_paths import layer_paths
from keras_transformer.types import Tensor


class EncoderClassifier(TextModel):
    """Base of `SequenceClassifier` and `TokenClassifier`.

    Args:
        encoder: a `layers.TextEncoder`. It is part of the model and is trained with it;
            `encoder.trainable = False` before `compile` keeps it as it is.
        num_classes: number of classes, >= 2.
        dropout: probability of dropping one value before the last layer, 0 <= p < 1.

    Raises:
        ValueError: `num_classes` is out of range.
    """

    def __init__(self, encoder: keras.layers.Layer, num_classes: int, dropout: float = 0.1, **kwargs: Any):
        super().__init__(encoder, **kwargs)
        arguments.check_classes(num_classes)
        arguments.check_rates(dropout=dropout)
        self.num_classes = num_classes
        self.dropout = dropout
        self.dropout_layer = keras.layers.Dropout(dropout, dtype=self.dtype_policy)
        self.classifier = keras.layers.Dense(num_classes, dtype="float32", name="classifier")

    @classmethod
    def from_masked_lm(cls, masked_lm: keras.Model, num_classes: int, **kwargs: Any) -> Self:
        """A classifier that begins with a copy of the encoder of a `MaskedLM`.

        Args:
            masked_lm: the trained model; it stays as it is.
            num_classes: number of classes.
            **kwargs: further constructor arguments.
        """
        encoder = layers.TextEncoder.from_config(masked_lm.encoder.get_config())
        encoder.build()
        encoder.set_weights(masked_lm.encoder.get_weights())
        return cls(encoder, num_classes, **kwargs)

    def build(self, input_shape: Any = None) -> None:
        super().build(input_shape)
        if not self.encoder.trainable:
            for layer in layer_paths(self.encoder).values():
                layer.trainable = False  # what the build made knows nothing of it, in a loaded model too
        self.classifier.build((None, self.encoder.hidden_dim))


@keras.saving.register_keras_serializable(package="keras_transformer")
class SequenceClassifier(EncoderClassifier):
    """The class of a text: dense(dropout(pooled)), pooled = tanh(dense(hidden state of the first token)).

    Devlin et al. 2019, section 4.1 and figure 4 (a, b). Every text must begin with the same token, say the
    start token (the paper's [CLS]). The pooling's weights are new: see `MaskedLM`.

    Args, errors: those of `EncoderClassifier`.

    Call arguments:
        inputs: {"token_ids": (B, T), "segment_ids": (B, T), may be left out}, see `layers.TextEncoder`.
        training: whether dropout is active.

    Returns:
        Logits, float32, (B, num_classes).
    """

    def __init__(self, encoder: keras.layers.Layer, num_classes: int, dropout: float = 0.1, **kwargs: Any):
        super().__init__(encoder, num_classes, dropout, **kwargs)
        self.pooler = keras.layers.Dense(
            encoder.hidden_dim, activation="tanh", dtype=self.dtype_policy, name="pooler"
        )

    def build(self, input_shape: Any = None) -> None:
        super().build(input_shape)
        self.pooler.build((None, self.encoder.hidden_dim))

    def call(self, inputs: Mapping[str, Tensor], training: bool | None = None) -> Tensor:
        pooled = self.pooler(self.encode(inputs, training=training)[:, 0])
        return self.classifier(self.dropout_layer(pooled, training=training))


@keras.saving.register_keras_serializable(package="keras_transformer")
class TokenClassifier(EncoderClassifier):
    """The class of each token: dense(dropout(hidden state)); Devlin et al. 2019, figure 4 (d).

    With `losses.SmoothedCrossEntropy`, class 0 is for tokens that do not count, padding or later pieces of
    a word: count the tags from 1.

    Args, errors: those of `EncoderClassifier`.

    Call arguments:
        inputs: {"token_ids": (B, T), "segment_ids": (B, T), may be left out}, see `layers.TextEncoder`.
        training: whether dropout is active.

    Returns:
        Logits, float32, (B, T, num_classes).
    """

    def call(self, inputs: Mapping[str, Tensor], training: bool | None = None) -> Tensor:
        hidden = self.encode(inputs, training=training)
        return self.classifier(self.dropout_layer(hidden, training=training))

"""The class of a text by a recurrent network that weighs the words (Yang et al. 2016)."""

from collections.abc import Mapping
from typing import Any, Literal

import keras

from keras_transformer import arguments, layers, masks
from keras_transformer.models.base import ZooModel, check_inputs, id_specs
from keras_transformer.types import Tensor, Tree


@keras.saving.register_keras_serializable(package="keras_transformer")
class RNNClassifier(ZooModel):
    """dense(dropout(pooled)), pooled = the states of both directions, weighted by word attention.

    Yang et al. 2016, sections 2.2 and 3.3, for one sentence or a short document: the words' level of their
    hierarchy without that of sentences. Paper's sizes by default.

    Args:
        vocabulary_size: V, number of ids, special ids included.
        num_classes: number of classes, >= 2.
        embedding_dim: E, width of the embedding, >= 1.
        hidden_dim: D, of both directions together, even.
        num_layers: recurrent layers, >= 1; the paper has one.
        cell: "gru" or "lstm"; the paper has GRUs.
        dropout: probability of dropping one value of an embedding, between two layers, or before the last
            layer, 0 <= p < 1; the paper has none.

    Call arguments:
        inputs: {"token_ids": (B, T)}, integers, padded with 0.
        training: whether dropout is active.

    Returns:
        Logits, float32, (B, num_classes). `attention` gives the weights of the words.

    Raises:
        ValueError: a size or name is out of range.
    """

    def __init__(
        self,
        vocabulary_size: int,
        num_classes: int,
        embedding_dim: int = 200,
        hidden_dim: int = 100,
        num_layers: int = 1,
        cell: Literal["gru", "lstm"] = "gru",
        dropout: float = 0.0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        arguments.check_sizes(vocabulary_size=vocabulary_size, embedding_dim=embedding_dim)
        arguments.check_classes(num_classes)
        self.vocabulary_size = vocabulary_size
        self.num_classes = num_classes
        self.embedding_dim = embedding_dim
        self.hidden_dim = hidden_dim
        self.num_layers = num_layers
        self.cell = cell
        self.dropout = dropout
        policy = self.dtype_policy
        self.embedding = layers.TokenEmbedding(vocabulary_size, embedding_dim, dtype=policy, name="embedding")
        self.encoder = layers.RecurrentEncoder(
            num_layers, hidden_dim, cell, dropout=dropout, dtype=policy, name="encoder"
        )
        self.pooling = layers.AttentionPooling(dtype=policy, name="pooling")
        self.dropout_layer = keras.layers.Dropout(dropout, dtype=policy)
        self.classifier = keras.layers.Dense(num_classes, dtype="float32", name="classifier")

    def build(self, input_shape: Any = None) -> None:
        self.embedding.build((None, None))
        self.encoder.build((None, None, self.embedding_dim))
        self.pooling.build((None, None, self.hidden_dim))
        self.classifier.build((None, self.hidden_dim))

    def call(self, inputs: Mapping[str, Tensor], training: bool | None = None) -> Tensor:
        pooled, _ = self._pooled(inputs, training)
        return self.classifier(self.dropout_layer(pooled, training=training))

    def attention(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """How much each token counts.

        Args:
            inputs: as in a call.

        Returns:
            (B, T), 0 at padding, in the compute dtype.
        """
        return self._pooled(inputs, training=False)[1]

    def _attention_weights(self, inputs):
        # "pooling", of one layer and head.
        return {"pooling": self.attention(inputs)[:, None, None, None]}

    def _pooled(self, inputs, training):
        """(B, D), and the weights of the words, (B, T)."""
        check_inputs(inputs, "token_ids")
        token_ids = inputs["token_ids"]
        mask = masks.padding_mask(token_ids)
        embedded = self.dropout_layer(self.embedding(token_ids), training=training)
        hidden = self.encoder(embedded, mask=mask, training=training)
        return self.pooling.attend(hidden, mask)

    def input_specs(self) -> Tree:
        """See `ZooModel`."""
        return id_specs("token_ids")

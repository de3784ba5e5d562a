"""Texts as vectors whose cosine says how near they are in meaning (Reimers and Gurevych 2019)."""

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from keras_transformer import arguments, masks
from keras_transformer.models.text_model import TextModel
from keras_transformer.types import Tensor

POOLINGS = ("mean", "first", "max")


@keras.saving.register_keras_serializable(package="keras_transformer")
class SentenceEncoder(TextModel):
    """One vector for each text: its hidden states, pooled.

    Reimers and Gurevych 2019, "Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks", section 3.

    Args:
        encoder: a `layers.TextEncoder`.
        pooling: "mean" of the hidden states of all tokens, start and end among them, as in the paper; their
            "max", each channel for itself; or the "first" token's, [CLS].
        normalize: whether the vector gets the length 1, so that a dot product is a cosine.

    Call arguments:
        inputs: {"token_ids": (B, T), "segment_ids": (B, T), may be left out}, see `layers.TextEncoder`.
        training: whether dropout is active.

    Returns:
        Vectors, float32, (B, D); zero for a row that is all padding, but for the "first".

    Raises:
        ValueError: there is no such pooling.
    """

    def __init__(
        self, encoder: keras.layers.Layer, pooling: str = "mean", normalize: bool = True, **kwargs: Any
    ):
        super().__init__(encoder, **kwargs)
        arguments.check_choices(POOLINGS, pooling=pooling)
        self.pooling = pooling
        self.normalize = normalize

    def call(self, inputs: Mapping[str, Tensor], training: bool | None = None) -> Tensor:
        hidden = ops.cast(self.encode(inputs, training=training), "float32")  # (B, T, D)
        mask = ops.cast(masks.padding_mask(inputs["token_ids"]), "float32")[:, :, None]
        if self.pooling == "mean":
            pooled = ops.sum(hidden * mask, axis=1) / ops.maximum(ops.sum(mask, axis=1), 1.0)
        elif self.pooling == "max":
            # The lowest number, not -inf: a row of padding alone stays finite.
            highest = ops.max(ops.where(mask > 0, hidden, -3.4e38), axis=1)
            pooled = ops.where(ops.max(mask, axis=1) > 0, highest, 0.0)
        else:
            pooled = hidden[:, 0]
        if self.normalize:
            length = ops.sqrt(ops.sum(ops.square(pooled), axis=-1, keepdims=True))
            pooled = pooled / ops.maximum(length, 1e-12)
        return pooled

"""Base of the models on BERT's encoder (Devlin et al. 2019)."""

from collections.abc import Mapping
from typing import Any, Self

import keras

from keras_transformer.layers import TextEncoder
from keras_transformer.models.base import ZooModel, check_inputs, id_specs
from keras_transformer.types import Tensor, Tree


class TextModel(ZooModel):
    """Base of the models that are a `layers.TextEncoder` and what stands on it: their inputs."""

    def __init__(self, encoder: keras.layers.Layer, **kwargs: Any):
        super().__init__(**kwargs)
        if not isinstance(encoder, TextEncoder):
            raise ValueError(f"`encoder` must be a `layers.TextEncoder`. Received: encoder={encoder!r}.")
        self.encoder = encoder
        self.takes_segments = False

    @property
    def vocabulary_size(self) -> int:
        """V, of the encoder."""
        return self.encoder.vocabulary_size

    def build(self, input_shape: Any = None) -> None:
        self.takes_segments = input_shape is not None and "segment_ids" in input_shape
        if not self.encoder.built:  # else it has weights that are to be kept
            self.encoder.build()

    def encode(self, inputs: Mapping[str, Tensor], training: bool | None = None) -> Tensor:
        """The inputs of `call` -> hidden states (B, T, D)."""
        check_inputs(inputs, "token_ids")
        return self.encoder(inputs["token_ids"], inputs.get("segment_ids"), training=training)

    def _attention_weights(self, inputs):
        # "encoder".
        check_inputs(inputs, "token_ids")
        return {"encoder": self.encoder.attend(inputs["token_ids"], inputs.get("segment_ids"))[1]}

    def input_specs(self) -> Tree:
        """See `ZooModel`; "segment_ids" are among them if they were at the first call."""
        return id_specs("token_ids", *(["segment_ids"] if self.takes_segments else []))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "encoder": keras.saving.serialize_keras_object(self.encoder)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**{**config, "encoder": keras.saving.deserialize_keras_object(config["encoder"])})

"""A small image classifier with self-attention over the grid (Zhang et al. 2019; He et al. 2016)."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_transformer import arguments, layers
from keras_transformer.models.base import ZooModel, image_spec
from keras_transformer.types import Tensor, Tree


@keras.saving.register_keras_serializable(package="keras_transformer")
class AttentionCNN(ZooModel):
    """Residual convolutions, self-attention over the grid, the mean over all positions, one dense layer.

    `layers.ImageEncoder` says what is inside. 147,020 weights for grey pixels and ten classes; 142,922
    without attention: the same network without these layers, to see what attention gives.

    Args:
        num_classes: number of classes, >= 2.
        filters: numbers of channels, one for each block; height and width are halved between blocks.
        attention: whether positions of the grid attend to each other.
        dropout: probability of dropping one value before the last layer, 0 <= p < 1.

    Call arguments:
        image: (B, H, W, C), floats from 0 to 1, or uint8; any height and width.
        training: whether dropout is active and norms use the batch's statistics.

    Returns:
        Logits, float32, (B, num_classes).

    Raises:
        ValueError: `num_classes` or a number of filters is out of range.
    """

    def __init__(
        self,
        num_classes: int,
        filters: Sequence[int] = (32, 64, 64),
        attention: bool = True,
        dropout: float = 0.2,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        arguments.check_classes(num_classes)
        arguments.check_rates(dropout=dropout)
        self.num_classes = num_classes
        self.attention = attention
        self.dropout = dropout
        policy = self.dtype_policy
        self.encoder = layers.ImageEncoder(filters, attention, dtype=policy, name="encoder")
        self.filters = self.encoder.filters
        self.pooling = keras.layers.GlobalAveragePooling2D(dtype=policy)
        self.dropout_layer = keras.layers.Dropout(dropout, dtype=policy)
        self.classifier = keras.layers.Dense(num_classes, dtype="float32", name="classifier")

    def build(self, input_shape: Any = None) -> None:
        if input_shape is None:
            raise ValueError(
                "`input_shape` must be (None, None, None, C): before the first call, the number of channels "
                "is not known. Received: input_shape=None."
            )
        self.channels = input_shape[-1]
        self.encoder.build(input_shape)
        self.classifier.build((None, self.filters[-1]))

    def call(self, image: Tensor, training: bool | None = None) -> Tensor:
        pooled = self.pooling(self.encoder(image, training=training))
        return self.classifier(self.dropout_layer(pooled, training=training))

    def input_specs(self) -> Tree:
        """See `ZooModel`."""
        return image_spec(self.channels)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "filters": list(self.filters)}

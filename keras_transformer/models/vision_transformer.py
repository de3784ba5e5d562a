"""The Vision Transformer: classes of images, which it reads by patches (Dosovitskiy et al. 2021)."""

from collections.abc import Sequence
from typing import Any, Unpack

import keras
from keras import ops

from keras_transformer import arguments, layers
from keras_transformer.layers.layer_config import LayerFields, TakesLayerConfig
from keras_transformer.layers.position_kinds import encoded, input_encoding, named
from keras_transformer.models.base import ZooModel
from keras_transformer.types import Tensor, Tree


@keras.saving.register_keras_serializable(package="keras_transformer")
class VisionTransformer(TakesLayerConfig, ZooModel):
    """dense(mean of the patches that `layers.Encoder` has seen together).

    Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words", section 3.1; defaults are ViT-B/16. Like there,
    sub-layers normalise their input, and positions are learned, patches counted row by row. Unlike there,
    patches are embedded by `layers.ConvStem`, and the mean of all stands in the place of a class token: as
    good (appendix D.3; Zhai et al. 2022), no token that is no patch, and better with few data (Beyer et al.
    2022).

    Args:
        num_classes: number of classes, >= 2.
        image_shape: (H, W, C) of the images, H and W multiples of `patch_size`.
        patch_size: P, height and width of a patch in pixels: a power of 2.
        num_layers: N, >= 1.
        hidden_dim: D, width of every layer's input and output.
        num_heads: H, 12 if None.
        intermediate_dim: width inside the feed-forward networks, 3,072 if None.
        key_dim: width of one head; hidden_dim / num_heads if None.
        config: a whole `layers.LayerConfig` in place of its fields.
        **fields: the others of `layers.LayerConfig`; `dropout` (0.1) also drops values of an embedding; None
            as `positions` are learned ones. What stands as attribute `positions` is the layer that adds
            them, or None.

    Call arguments:
        image: (B, H, W, C), floats from 0 to 1, or uint8.
        training: whether dropout is active and norms use the batch's statistics.

    Returns:
        Logits, float32, (B, num_classes). `attention` and `rollout` say what it looked at.

    Raises:
        ValueError: a size is out of range, or images are of another shape.
    """

    layer_defaults = {
        "num_heads": 12,
        "intermediate_dim": 3072,
        "dropout": 0.1,
        "activation": "gelu",
        "norm_first": True,
    }

    def __init__(
        self,
        num_classes: int,
        image_shape: Sequence[int],
        patch_size: int = 16,
        num_layers: int = 12,
        hidden_dim: int = 768,
        num_heads: int | None = None,
        intermediate_dim: int | None = None,
        key_dim: int | None = None,
        *,
        config: layers.LayerConfig | None = None,
        **fields: Unpack[LayerFields],
    ):
        super().__init__(
            num_heads=num_heads, intermediate_dim=intermediate_dim, key_dim=key_dim, config=config, **fields
        )
        arguments.check_classes(num_classes)
        arguments.check_sizes(num_layers=num_layers, hidden_dim=hidden_dim)
        arguments.check_heads(hidden_dim, self.num_heads, self.key_dim)
        policy, config = self.dtype_policy, self.config
        self.stem = layers.ConvStem(patch_size, hidden_dim, dtype=policy, name="stem")
        self.num_classes = num_classes
        self.image_shape = _checked(image_shape, patch_size)
        self.patch_size = patch_size
        self.num_layers = num_layers
        self.hidden_dim = hidden_dim

        height, width = self.grid_shape
        is_learned = named(config.positions, "learned")[0] == "learned"
        self.positions = input_encoding(
            config.positions, height * width if is_learned else None, dtype=policy, name="positions"
        )
        self.dropout_layer = keras.layers.Dropout(self.dropout, dtype=policy)
        self.encoder = layers.Encoder(num_layers, config=config, dtype=policy, name="encoder")
        self.classifier = keras.layers.Dense(num_classes, dtype="float32", name="classifier")

    @property
    def grid_shape(self) -> tuple[int, int]:
        """Rows and columns of patches, H / P and W / P."""
        height, width, _ = self.image_shape
        return height // self.patch_size, width // self.patch_size

    def build(self, input_shape: Any = None) -> None:
        self.stem.build((None, *self.image_shape))
        if self.positions is not None:
            self.positions.build((None, None, self.hidden_dim))
        self.encoder.build((None, None, self.hidden_dim))
        self.classifier.build((None, self.hidden_dim))

    def call(self, image: Tensor, training: bool | None = None) -> Tensor:
        hidden = self.encoder(self._patches(image, training), training=training)
        return self.classifier(ops.mean(hidden, axis=1))

    def attention(self, image: Tensor) -> Tensor:
        """The attention weights of all layers and heads, (B, N, H, T, T), patches row by row."""
        return self.encoder.attend(self._patches(image, training=False))[1]

    def _attention_weights(self, inputs):
        # "encoder", of an image's patches.
        return {"encoder": self.attention(inputs)}

    def rollout(self, image: Tensor) -> Tensor:
        """How much each patch counts for the mean of all behind the last layer, by `attention_rollout`.

        Returns:
            float32, (B, H / P, W / P); an image's weights have the sum 1.
        """
        weights = ops.mean(attention_rollout(self.attention(image)), axis=1)
        return ops.reshape(weights, (-1, *self.grid_shape))

    def _patches(self, image, training):
        """What the encoder sees, (B, T, D), patches row by row."""
        if not self.built:  # it was never called
            self.build()
        if tuple(image.shape[1:]) != self.image_shape:
            raise ValueError(
                f"Images must have the model's shape {self.image_shape}. "
                f"Received: shape {tuple(image.shape[1:])}."
            )
        grid = self.stem(image, training=training)
        height, width = self.grid_shape
        patches = ops.reshape(grid, (-1, height * width, self.hidden_dim))
        return self.dropout_layer(encoded(self.positions, patches), training=training)

    def input_specs(self) -> Tree:
        """See `ZooModel`."""
        return keras.layers.InputSpec(shape=(None, *self.image_shape), dtype="float32", name="image")

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "image_shape": list(self.image_shape),
            "patch_size": self.patch_size,
            "num_layers": self.num_layers,
            "hidden_dim": self.hidden_dim,
        }


def attention_rollout(weights: Tensor) -> Tensor:
    """How much of each input position reaches each output position of a stack.

    Abnar & Zuidema 2020, section 3: product of 0.5 A + 0.5 I over the layers, A the mean of a layer's heads,
    I for the residual connection.

    Args:
        weights: attention weights (B, N, H, T, T), from the first layer to the last.

    Returns:
        float32, (B, T, T); rows, the output positions, have the sum 1.
    """
    weights = ops.mean(ops.cast(weights, "float32"), axis=2)  # (B, N, T, T)
    steps = 0.5 * weights + 0.5 * ops.eye(weights.shape[-1])
    rolled = steps[:, 0]
    for index in range(1, weights.shape[1]):
        rolled = ops.matmul(steps[:, index], rolled)
    return rolled


def _checked(image_shape, patch_size):
    """The shape as a tuple. Raises ValueError unless it is one that divides into patches."""
    shape = tuple(image_shape) if isinstance(image_shape, list | tuple) else ()
    if len(shape) != 3 or not all(map(arguments.is_size, shape)):
        raise ValueError(
            "`image_shape` must be a height, a width and a number of channels. "
            f"Received: image_shape={image_shape!r}."
        )
    height, width, _ = shape
    if height % patch_size or width % patch_size:
        raise ValueError(
            "Height and width of `image_shape` must be multiples of `patch_size`. "
            f"Received: image_shape={list(shape)}, patch_size={patch_size}."
        )
    return shape

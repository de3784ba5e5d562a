"""A small residual network from an image to a grid of vectors (He et al. 2016)."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_transformer import arguments
from keras_transformer.layers.spatial_attention import SpatialSelfAttention
from keras_transformer.saving.quantization import KeepsQuantization
from keras_transformer.types import Shape, Tensor


def convolution(
    filters: int, size: int, input_shape: Shape, strides: int = 1, **kwargs: Any
) -> list[keras.layers.Layer]:
    """A built convolution and its batch norm, which makes a bias superfluous, for `through`.

    Args:
        filters: number of channels of the output.
        size: height and width of the kernel.
        input_shape: (B, H, W, C).
        strides: height and width are divided by it, rounded up.
        **kwargs: `name`, `dtype`.
    """
    layer = keras.layers.Conv2D(
        filters,
        size,
        strides=strides,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        **kwargs,
    )
    norm = keras.layers.BatchNormalization(momentum=0.9, **kwargs | {"name": f"{kwargs['name']}_norm"})
    layer.build(input_shape)
    norm.build((*input_shape[:-1], filters))
    return [layer, norm]


def through(convolution_and_norm: list[keras.layers.Layer], x: Tensor, training: bool | None) -> Tensor:
    """What a `convolution` makes of x, (B, H, W, C); x itself if it is empty."""
    if convolution_and_norm:
        layer, norm = convolution_and_norm
        x = norm(layer(x), training=training)
    return x


def pixels(image: Tensor, dtype: str) -> Tensor:
    """An image as floats from 0 to 1, of which uint8 makes them; floats stay as they are."""
    if keras.backend.standardize_dtype(image.dtype) == "uint8":
        return keras.ops.cast(image, dtype) / 255
    return image


@keras.saving.register_keras_serializable(package="keras_transformer")
class ResidualBlock(arguments.KnownArguments, keras.layers.Layer):
    """relu(norm(conv(relu(norm(conv(x))))) + shortcut(x)), with 3x3 convolutions.

    He et al. 2016, "Deep Residual Learning for Image Recognition", figure 2 and section 3.3. The shortcut is
    x itself, or a 1x1 convolution and norm of it where the number of channels changes (option B). Norm is
    batch normalisation (Ioffe & Szegedy 2015) whose moving averages forget a tenth at each step.

    Args:
        filters: number of channels of the output, >= 1.

    Call arguments:
        x: (B, H, W, C).
        training: whether norms use the batch's statistics and update the moving ones; else the moving ones.

    Returns:
        (B, H, W, filters) in the compute dtype.

    Raises:
        ValueError: `filters` is not a positive integer.
    """

    def __init__(self, filters: int, **kwargs: Any):
        super().__init__(**kwargs)
        arguments.check_sizes(filters=filters)
        self.filters = filters

    def build(self, input_shape: Shape) -> None:
        arguments.check_shapes(4, x=input_shape)
        self.channels = input_shape[-1]
        output_shape = (*input_shape[:-1], self.filters)
        policy = self.dtype_policy
        self.first = convolution(self.filters, 3, input_shape, dtype=policy, name="first")
        self.second = convolution(self.filters, 3, output_shape, dtype=policy, name="second")
        self.shortcut = []
        if input_shape[-1] != self.filters:
            self.shortcut = convolution(self.filters, 1, input_shape, dtype=policy, name="shortcut")

    def call(self, x: Tensor, training: bool | None = None) -> Tensor:
        arguments.check_vectors((None, None, None, self.channels), x=x)
        hidden = keras.ops.relu(through(self.first, x, training))
        hidden = through(self.second, hidden, training)
        return keras.ops.relu(hidden + through(self.shortcut, x, training))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-1], self.filters)


@keras.saving.register_keras_serializable(package="keras_transformer")
class ImageEncoder(KeepsQuantization, arguments.KnownArguments, keras.layers.Layer):
    """Image -> grid: a `ResidualBlock` for each number of filters, between them max-pooling by 2.

    With `attention`, a `SpatialSelfAttention` stands behind each block but the first, or behind the only one:
    Zhang et al. 2019, section 5.1, find the middle and higher layers the best places, and Wang et al. 2018,
    section 5.1, several places better than one. On the full height and width of the first block it would cost
    most: time and memory grow with the square of the number of positions.

    Args:
        filters: numbers of channels, one for each block.
        attention: whether positions of the grid attend to each other.

    Call arguments:
        image: (B, H, W, C), floats from 0 to 1; or uint8 from 0 to 255, of which it makes them.
        training: see `ResidualBlock`.

    Returns:
        (B, H', W', filters[-1]) in the compute dtype; H' and W' are H and W halved `len(filters) - 1` times,
        rounded up.

    Raises:
        ValueError: `filters` is empty, or one of them is not a positive integer.
    """

    def __init__(self, filters: Sequence[int], attention: bool = True, **kwargs: Any):
        super().__init__(**kwargs)
        if not isinstance(filters, list | tuple) or not filters:
            raise ValueError(f"`filters` must name at least one block. Received: filters={filters}.")
        self.filters = tuple(filters)
        self.attention = attention
        policy = self.dtype_policy
        self.blocks = [
            ResidualBlock(count, dtype=policy, name=f"block_{index}") for index, count in enumerate(filters)
        ]
        self.pooling = keras.layers.MaxPooling2D(2, padding="same", dtype=policy)
        attending = range(min(1, len(filters) - 1), len(filters)) if attention else ()
        # A list: TensorFlow tracks no dictionary whose keys are numbers.
        self.attentions = [
            SpatialSelfAttention(dtype=policy, name=f"attention_{index}") for index in attending
        ]

    def _blocks_and_attentions(self):
        """Each block, and the attention behind it or None."""
        without = [None] * (len(self.blocks) - len(self.attentions))
        return zip(self.blocks, [*without, *self.attentions], strict=True)

    def build(self, input_shape: Shape) -> None:
        arguments.check_shapes(4, image=input_shape)
        self.channels = input_shape[-1]
        shape = (None, None, None, self.channels)
        for block, attention in self._blocks_and_attentions():
            block.build(shape)
            shape = block.compute_output_shape(shape)
            if attention is not None:
                attention.build(shape)

    def call(self, image: Tensor, training: bool | None = None) -> Tensor:
        hidden = pixels(image, self.compute_dtype)
        arguments.check_vectors((None, None, None, self.channels), image=hidden)
        for index, (block, attention) in enumerate(self._blocks_and_attentions()):
            hidden = self.pooling(hidden) if index else hidden
            hidden = block(hidden, training=training)
            hidden = hidden if attention is None else attention(hidden)
        return hidden

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], *self.grid_shape(*input_shape[1:3]), self.filters[-1])

    def grid_shape(self, height: int | None, width: int | None) -> Shape:
        """(H', W') of an image of so many pixels; None stays None."""
        step = 2 ** (len(self.filters) - 1)
        return tuple(None if size is None else -(-size // step) for size in (height, width))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "filters": list(self.filters)}

"""Patches of an image as vectors, by small convolutions (Xiao et al. 2021)."""

from typing import Any

import keras

from keras_transformer import arguments
from keras_transformer.layers.image_encoder import convolution, pixels, through
from keras_transformer.types import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_transformer")
class ConvStem(arguments.KnownArguments, keras.layers.Layer):
    """Image -> a vector for each patch: relu(norm(conv(x))), again and again, then a 1x1 convolution.

    Xiao et al. 2021, "Early Convolutions Help Transformers See Better", section 4. In place of one
    convolution of the patch's size and stride (Dosovitskiy et al. 2021), which is hard to train: pairs of 3x3
    convolutions, each pair with half the height and width and twice the channels of the one before, until a
    position stands for a patch. The authors, whose patches are of 16 pixels, begin with a stride of 2
    and have single convolutions but in their largest stem; a patch of 4 pixels would have too few. A vector
    depends on the neighbours of its patch, too.

    Args:
        patch_size: P, height and width of a patch in pixels: a power of 2.
        output_dim: D, width of the vectors, >= 1; also the channels of the last pair.

    Call arguments:
        image: (B, H, W, C), floats from 0 to 1, or uint8.
        training: whether norms use the batch's statistics and update the moving ones; else the moving ones.

    Returns:
        (B, H / P, W / P, D) in the compute dtype, sizes rounded up.

    Raises:
        ValueError: a size is out of range.
    """

    def __init__(self, patch_size: int, output_dim: int, **kwargs: Any):
        super().__init__(**kwargs)
        arguments.check_sizes(patch_size=patch_size, output_dim=output_dim)
        if patch_size & (patch_size - 1):
            raise ValueError(f"`patch_size` must be a power of 2. Received: patch_size={patch_size}.")
        self.patch_size = patch_size
        self.output_dim = output_dim

    def build(self, input_shape: Shape) -> None:
        arguments.check_shapes(4, image=input_shape)
        self.channels = input_shape[-1]
        policy = self.dtype_policy
        shape = (None, None, None, self.channels)
        halvings = self.patch_size.bit_length() - 1
        self.convolutions = []  # flat, each with its norm: Keras saves no layers of lists in lists
        for index in range(halvings + 1):
            filters = max(1, self.output_dim >> halvings - index)
            for strides in (2 if index else 1, 1):
                name = f"convolution_{len(self.convolutions) // 2}"
                options = {"strides": strides, "dtype": policy, "name": name}
                self.convolutions += convolution(filters, 3, shape, **options)
                shape = (None, None, None, filters)
        self.output_convolution = keras.layers.Conv2D(self.output_dim, 1, dtype=policy, name="output")
        self.output_convolution.build(shape)

    def call(self, image: Tensor, training: bool | None = None) -> Tensor:
        hidden = pixels(image, self.compute_dtype)
        arguments.check_vectors((None, None, None, self.channels), image=hidden)
        for first in range(0, len(self.convolutions), 2):
            hidden = keras.ops.relu(through(self.convolutions[first : first + 2], hidden, training))
        return self.output_convolution(hidden)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        batch_size, *sizes, _ = input_shape
        halved = (None if size is None else -(-size // self.patch_size) for size in sizes)
        return (batch_size, *halved, self.output_dim)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "patch_size": self.patch_size, "output_dim": self.output_dim}

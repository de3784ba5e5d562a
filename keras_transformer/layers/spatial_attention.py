"""Self-attention over the positions of a grid (Zhang et al. 2019; Wang et al. 2018, non-local networks)."""

from typing import Any

import keras
from keras import ops

from keras_transformer import arguments
from keras_transformer.layers.attention import MultiHeadAttention
from keras_transformer.saving.quantization import KeepsQuantization
from keras_transformer.types import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_transformer")
class SpatialSelfAttention(KeepsQuantization, arguments.KnownArguments, keras.layers.Layer):
    """y = gamma o + x, where o is what each position of x reads from all positions.

    Zhang et al. 2019, "Self-Attention Generative Adversarial Networks", section 3; a non-local block of Wang
    et al. 2018, "embedded Gaussian". Queries (W_f x), keys (W_g x), values (W_h x) and the output (W_v) are
    1x1 convolutions without biases, as in the paper. One thing is not: the scores are divided by the square
    root of the queries' width, as in Vaswani et al. 2017; the kernels can undo it. gamma is one learned
    number that begins at 0: a new layer is the identity, and learns to look around.

    Args:
        reduction: k, how many times narrower than x queries, keys and values are, >= 1; 8 in the paper.
            They have at least one channel.

    Call arguments:
        x: (B, H, W, C).
        return_attention_scores: whether to return (output, weights (B, HW, HW)); positions row by row.

    Returns:
        (B, H, W, C) in the compute dtype.

    Raises:
        ValueError: `reduction` is not a positive integer, or an input is not of rank 4.
    """

    def __init__(self, reduction: int = 8, **kwargs: Any):
        super().__init__(**kwargs)
        arguments.check_sizes(reduction=reduction)
        self.reduction = reduction

    def build(self, input_shape: Shape) -> None:
        arguments.check_shapes(4, x=input_shape)
        self.channels = channels = input_shape[-1]
        self.attention = MultiHeadAttention(
            num_heads=1,
            key_dim=max(1, channels // self.reduction),
            use_bias=False,
            dtype=self.dtype_policy,
            name="attention",
        )
        self.attention.build((None, None, channels), (None, None, channels))
        self.gamma = self.add_weight(name="gamma", shape=(), initializer="zeros")

    def call(self, x: Tensor, return_attention_scores: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        arguments.check_vectors((None, None, None, self.channels), x=x)
        _, height, width, channels = ops.shape(x)
        positions = ops.reshape(x, (-1, height * width, channels))
        output, weights = self.attention(positions, return_attention_scores=True)
        output = self.gamma * ops.reshape(output, ops.shape(x)) + x
        return (output, weights[:, 0]) if return_attention_scores else output

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def compute_output_spec(
        self, x: Tensor, return_attention_scores: bool = False
    ) -> keras.KerasTensor | tuple[keras.KerasTensor, keras.KerasTensor]:
        output = keras.KerasTensor(x.shape, dtype=self.compute_dtype)
        _, height, width, _ = x.shape
        length = None if None in (height, width) else height * width
        weights = keras.KerasTensor((x.shape[0], length, length), dtype=self.compute_dtype)
        return (output, weights) if return_attention_scores else output

"""The convolution of ConvS2S and how its weights begin (Gehring et al. 2017, sections 3.2, 3.4 and 3.5)."""

import math
from typing import Any

import keras
from keras import ops

from keras_transformer import arguments
from keras_transformer.saving.quantization import KeepsQuantization
from keras_transformer.types import Shape, Tensor

# Times a sum of two terms of equal variance: keeps that variance (section 3.4).
SQRT_HALF = math.sqrt(0.5)


def scaled_normal(dropout: float = 0.0, gain: float = 1.0) -> keras.Initializer:
    """Initial weights from N(0, gain * p / n) for n inputs each kept with probability p: section 3.5.

    Args:
        dropout: 1 - p, of the layer's inputs.
        gain: 4 before a gated linear unit, which has a quarter of its input's variance; else 1.
    """
    return keras.initializers.VarianceScaling(gain * (1.0 - dropout), "fan_in", "untruncated_normal")


def linear(units: int, dropout: float = 0.0, **kwargs: Any) -> keras.layers.Dense:
    """A `Dense` that begins as section 3.5 has it: a map between two of the model's widths."""
    return keras.layers.Dense(units, kernel_initializer=scaled_normal(dropout), **kwargs)


@keras.saving.register_keras_serializable(package="keras_transformer")
class GatedConvolution(KeepsQuantization, arguments.KnownArguments, keras.layers.Layer):
    """Convolution over time, then a gated linear unit: [A B] = W * x + b gives A times sigmoid(B).

    Gehring et al. 2017, section 3.2, without the residual connection. Paper symbols: k = kernel_size,
    d = the input's width D. The paper's weight normalisation (Salimans & Kingma 2016) is left out: Keras has
    none that is saved and exported like a plain weight. Its initial values (section 3.5) are kept.

    Args:
        kernel_size: k, positions that an output sees, >= 1. An even one sees one more to the right.
        causal: whether it sees the last k positions; else as many before as after.
        dropout: probability of dropping one value of the input, 0 <= p < 1.

    Call arguments:
        x: (B, T, D). Positions beyond its ends count as zeros, and padding has to be zeros.
        training: whether dropout is active.

    Returns:
        (B, T, D) in the compute dtype.

    Raises:
        ValueError: `kernel_size` is not a positive integer.
    """

    def __init__(self, kernel_size: int, causal: bool = False, dropout: float = 0.0, **kwargs: Any):
        super().__init__(**kwargs)
        arguments.check_sizes(kernel_size=kernel_size)
        arguments.check_rates(dropout=dropout)
        self.kernel_size = kernel_size
        self.causal = causal
        self.dropout = dropout
        self.dropout_layer = keras.layers.Dropout(dropout, dtype=self.dtype_policy)

    def build(self, input_shape: Shape) -> None:
        arguments.check_shapes(3, x=input_shape)
        self.width = input_shape[-1]
        self.convolution = keras.layers.Conv1D(
            2 * self.width,
            self.kernel_size,
            kernel_initializer=scaled_normal(self.dropout, gain=4.0),
            dtype=self.dtype_policy,
            name="convolution",
        )
        self.convolution.build((None, None, self.width))

    def call(self, x: Tensor, training: bool | None = None) -> Tensor:
        arguments.check_vectors((None, None, self.width), x=x)
        if 0 in x.shape[:2]:
            return x  # nothing to convolve, which TensorFlow's convolution gets wrong
        before = self.kernel_size - 1 if self.causal else (self.kernel_size - 1) // 2
        after = self.kernel_size - 1 - before
        x = self.dropout_layer(x, training=training)
        return self._of_windows(ops.pad(x, [[0, 0], [before, after], [0, 0]]))

    def _of_windows(self, x):
        """(B, T + k - 1, D) -> (B, T, D)."""
        value, gate = ops.split(self.convolution(x), 2, axis=-1)
        return value * ops.sigmoid(gate)

    def initial_state(self, batch_size: int) -> Tensor:
        """What a causal convolution has seen before the first position: zeros, (B, k - 1, D)."""
        return ops.zeros((batch_size, self.kernel_size - 1, self.width), self.compute_dtype)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """One position: equals its row of a full causal `call`.

        Args:
            x: (B, 1, D).
            state: (B, k - 1, D), the inputs before, from `initial_state` or the last `step`.

        Returns:
            (B, 1, D), and the new state.
        """
        window = ops.concatenate([state, ops.cast(x, state.dtype)], axis=1)  # (B, k, D)
        return self._of_windows(window), window[:, 1:]

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape


class ConvStack(KeepsQuantization, arguments.KnownArguments, keras.layers.Layer):
    """Base of `ConvEncoder` and `ConvDecoder`: equal layers of width D between maps F -> D and D -> F."""

    def __init__(
        self, num_layers: int, hidden_dim: int, kernel_size: int = 3, dropout: float = 0.0, **kwargs: Any
    ):
        super().__init__(**kwargs)
        arguments.check_sizes(num_layers=num_layers, hidden_dim=hidden_dim, kernel_size=kernel_size)
        arguments.check_rates(dropout=dropout)
        self.num_layers = num_layers
        self.hidden_dim = hidden_dim
        self.kernel_size = kernel_size
        self.dropout = dropout
        self.layers = [self._layer(f"layer_{index}") for index in range(num_layers)]
        self.supports_masking = True

    def _layer(self, name):
        """One layer, (B, T, D) to (B, T, D)."""
        raise NotImplementedError

    def _build_stack(self, embedded_shape, *layer_shapes):
        arguments.check_shapes(3, embedded=embedded_shape)
        self.width = embedded_shape[-1]
        width, policy = (None, None, self.hidden_dim), self.dtype_policy
        self.input_dense = linear(self.hidden_dim, self.dropout, dtype=policy, name="input")
        self.input_dense.build(embedded_shape)
        for layer in self.layers:
            layer.build(width, *layer_shapes)
        self.output_dense = linear(embedded_shape[-1], dtype=policy, name="output")
        self.output_dense.build(width)

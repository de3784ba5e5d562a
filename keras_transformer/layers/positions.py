"""Position information that is added to the input (Vaswani et al. 2017, section 3.5)."""

import math
from typing import Any

import keras
from keras import ops

from keras_transformer import arguments
from keras_transformer.types import Identifier, Shape, Tensor


def sinusoid(positions: Tensor, width: int, max_wavelength: int = 10_000) -> Tensor:
    """PE(pos, 2i) = sin(pos / wavelength^(2i / d)), PE(pos, 2i + 1) = cos(the same).

    Vaswani et al. 2017, section 3.5. Sine and cosine are interleaved, as in the paper.

    Args:
        positions: (T,), positions counted from 0.
        width: D, number of channels.
        max_wavelength: the base of the geometric progression of wavelengths (over 2 pi).

    Returns:
        float32, (T, D).
    """
    channels = ops.arange(width)
    exponents = ops.cast(2 * (channels // 2), "float32") / width
    rates = ops.exp(-math.log(max_wavelength) * exponents)  # (D,)
    angles = ops.cast(positions, "float32")[:, None] * rates[None, :]  # (T, D)
    return ops.where(channels % 2 == 0, ops.sin(angles), ops.cos(angles))


@keras.saving.register_keras_serializable(package="keras_transformer")
class PositionalEncoding(arguments.KnownArguments, keras.layers.Layer):
    """Adds the fixed sinusoid of section 3.5; no weights, any length.

    Args:
        max_wavelength: base of the wavelengths' geometric progression; 10,000 in the paper.

    Call arguments:
        x: (B, T, D).
        start_index: position of the first row, an integer scalar from 0 on; for decoding step by step.

    Returns:
        (B, T, D) in the compute dtype.
    """

    def __init__(self, max_wavelength: int = 10_000, **kwargs: Any):
        super().__init__(**kwargs)
        arguments.check_positive(max_wavelength=max_wavelength)
        self.max_wavelength = max_wavelength
        self.supports_masking = True

    def build(self, input_shape: Shape) -> None:
        arguments.check_shapes(3, x=input_shape)

    def call(self, x: Tensor, start_index: int | Tensor = 0) -> Tensor:
        arguments.check_vectors((None, None, None), x=x)
        _known_start(start_index)
        positions = ops.arange(ops.shape(x)[1]) + start_index
        return x + ops.cast(sinusoid(positions, x.shape[-1], self.max_wavelength), x.dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "max_wavelength": self.max_wavelength}


@keras.saving.register_keras_serializable(package="keras_transformer")
class GridPositionalEncoding(arguments.KnownArguments, keras.layers.Layer):
    """Adds a sinusoid of the row to the first half of the channels, and of the column to the rest.

    Section 3.5 in two dimensions, as in Carion et al. 2020, "End-to-End Object Detection with Transformers",
    appendix. No weights, any height and width.

    Call arguments:
        x: (B, H, W, D).

    Returns:
        (B, H, W, D) in the compute dtype.
    """

    def build(self, input_shape: Shape) -> None:
        arguments.check_shapes(4, x=input_shape)

    def call(self, x: Tensor) -> Tensor:
        arguments.check_vectors((None, None, None, None), x=x)
        _, height, width, channels = ops.shape(x)
        rows = sinusoid(ops.arange(height), channels // 2)[:, None, :]  # (H, 1, D / 2)
        columns = sinusoid(ops.arange(width), channels - channels // 2)[None, :, :]
        # Each half with zeros in the place of the other: their sum is the whole grid.
        rows = ops.pad(rows, [[0, 0], [0, 0], [0, channels - channels // 2]])
        columns = ops.pad(columns, [[0, 0], [0, 0], [channels // 2, 0]])
        return x + ops.cast(rows + columns, x.dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape


@keras.saving.register_keras_serializable(package="keras_transformer")
class LearnedPositionalEncoding(arguments.KnownArguments, keras.layers.Layer):
    """Adds one learned vector per position (Gehring et al. 2017, section 3.1; row E of Table 3).

    Args:
        max_length: number of positions that have a vector, >= 1.
        initializer: of the vectors.

    Call arguments:
        x: (B, T, D), T + start_index <= max_length.
        start_index: position of the first row, an integer scalar from 0 on; for decoding step by step.

    Returns:
        (B, T, D) in the compute dtype.

    Raises:
        ValueError: a position that is known when called (not inside a graph) has no vector.
    """

    def __init__(self, max_length: int, initializer: Identifier = "glorot_uniform", **kwargs: Any):
        super().__init__(**kwargs)
        arguments.check_sizes(max_length=max_length)
        self.max_length = max_length
        self.initializer = keras.initializers.get(initializer)
        self.supports_masking = True

    def build(self, input_shape: Shape) -> None:
        arguments.check_shapes(3, x=input_shape)
        self.embeddings = self.add_weight(
            name="embeddings",
            shape=(self.max_length, input_shape[-1]),
            initializer=self.initializer,
        )

    def call(self, x: Tensor, start_index: int | Tensor = 0) -> Tensor:
        arguments.check_vectors((None, None, self.embeddings.shape[-1]), x=x)
        length, first = x.shape[1], _known_start(start_index)
        if length is not None and first + length > self.max_length:
            raise ValueError(
                f"Only {self.max_length} positions were learned (`max_length`). "
                f"Received: {length} tokens from position {first} on."
            )
        positions = ops.arange(ops.shape(x)[1]) + start_index
        return x + ops.take(self.embeddings, positions, axis=0)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "max_length": self.max_length,
            "initializer": keras.saving.serialize_keras_object(self.initializer),
        }


def _known_start(start_index):
    """The position of the first row, or 0 where it is known only in the graph.

    Raises:
        ValueError: it is known, and no integer from 0 on.
    """
    known = arguments.known_value(start_index)
    if known is None:
        return 0
    if known.shape or known.dtype.kind not in "iu" or known < 0:
        raise ValueError(
            f"`start_index` must be an integer, 0 or above. Received: start_index={known.tolist()!r}."
        )
    return int(known)


def positional_encoding(
    max_length: int | None = None, **kwargs: Any
) -> PositionalEncoding | LearnedPositionalEncoding:
    """The sinusoid, which has no limit, if `max_length` is None; else so many learned positions."""
    if max_length is None:
        return PositionalEncoding(**kwargs)
    return LearnedPositionalEncoding(max_length, **kwargs)

"""Position information that is added to the input (Vaswani et al. 2017, section 3.5)."""

import math
from typing import Any, Literal

import keras
import numpy as np
from keras import ops

from keras_transformer import arguments
from keras_transformer.types import Identifier, Shape, Tensor

# Where the two numbers of a pair stand among the channels: side by side, or all first ones before all second.
LAYOUTS = ("interleaved", "halves")


def positions_from(start_index: Any, length: Any) -> Any:
    """Positions counted from an integer scalar, (T,), or from one integer for each row, (B, T)."""
    start_index = ops.convert_to_tensor(start_index, "int32")
    if len(start_index.shape):
        start_index = start_index[:, None]
    return start_index + ops.arange(length)


def sinusoid(
    positions: Tensor,
    width: int,
    max_wavelength: int = 10_000,
    layout: Literal["interleaved", "halves"] = "interleaved",
    endpoint: bool = False,
) -> Tensor:
    """PE(pos, 2i) = sin(pos / wavelength^(2i / d)), PE(pos, 2i + 1) = cos(the same).

    Vaswani et al. 2017, section 3.5. See `PositionalEncoding` for its relatives.

    Args:
        positions: (..., T), positions counted from 0.
        width: D, number of channels.
        max_wavelength: the base of the geometric progression of wavelengths (over 2 pi).
        layout: "interleaved" or "halves".
        endpoint: whether the last wavelength is `max_wavelength` itself.

    Returns:
        float32, (..., T, D).
    """
    channels = np.arange(width)
    if layout == "halves":
        channels = np.concatenate([channels[::2], channels[1::2]])
    channels = ops.convert_to_tensor(channels, "int32")
    steps = max(2 * ((width - 1) // 2), 1) if endpoint else width
    exponents = ops.cast(2 * (channels // 2), "float32") / steps
    rates = ops.exp(-math.log(max_wavelength) * exponents)  # (D,)
    angles = ops.cast(positions, "float32")[..., None] * rates  # (..., T, D)
    return ops.where(channels % 2 == 0, ops.sin(angles), ops.cos(angles))


@keras.saving.register_keras_serializable(package="keras_transformer")
class PositionalEncoding(arguments.KnownArguments, keras.layers.Layer):
    """Adds the fixed sinusoid of section 3.5; no weights, any length.

    The last three arguments are for weights of other projects, which have relatives of the paper's formula:
    Hugging Face's Marian has halves; tensor2tensor and Marian have halves and the endpoint; so have
    OpenNMT-tf, which counts from 1, and fairseq, M2M-100 and NLLB, which count from 2.

    Args:
        max_wavelength: base of the wavelengths' geometric progression; 10,000 in the paper.
        layout: "interleaved": sine and cosine side by side, as in the paper; "halves": all sines, then all
            cosines.
        endpoint: whether the last wavelength (over 2 pi) is `max_wavelength` itself; else the progression
            stops one before it, as in the paper.
        first_position: the position of the first row, an integer from 0 on.

    Call arguments:
        x: (B, T, D).
        start_index: number of rows before the first one, an integer from 0 on, or (B,) integers, one for each
            row of the batch; for decoding step by step.

    Returns:
        (B, T, D) in the compute dtype.

    Raises:
        ValueError: a number is out of range, or there is no such layout.
    """

    def __init__(
        self,
        max_wavelength: int = 10_000,
        layout: Literal["interleaved", "halves"] = "interleaved",
        endpoint: bool = False,
        first_position: int = 0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        arguments.check_positive(max_wavelength=max_wavelength)
        arguments.check_choices(LAYOUTS, layout=layout)
        arguments.check_counts(first_position=first_position)
        self.max_wavelength = max_wavelength
        self.layout = layout
        self.endpoint = endpoint
        self.first_position = first_position
        self.supports_masking = True

    def build(self, input_shape: Shape) -> None:
        arguments.check_shapes(3, x=input_shape)

    def call(self, x: Tensor, start_index: int | Tensor = 0) -> Tensor:
        arguments.check_vectors((None, None, None), x=x)
        known_start(start_index, x.shape[0])
        positions = positions_from(start_index, ops.shape(x)[1]) + self.first_position
        encoded = sinusoid(positions, x.shape[-1], self.max_wavelength, self.layout, self.endpoint)
        return x + ops.cast(encoded, x.dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape


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
        start_index: position of the first row, an integer from 0 on, or (B,) integers, one for each row of
            the batch; for decoding step by step.

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
        length, first = x.shape[1], known_start(start_index, x.shape[0])
        if length is not None and first + length > self.max_length:
            raise ValueError(
                f"Only {self.max_length} positions were learned (`max_length`). "
                f"Received: {length} tokens from position {first} on."
            )
        positions = positions_from(start_index, ops.shape(x)[1])
        return x + ops.take(self.embeddings, positions, axis=0)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "initializer": keras.saving.serialize_keras_object(self.initializer)}


def known_start(start_index: Any, batch_size: int | None = None) -> int:
    """The largest position of a first row, or 0 where it is known only in the graph.

    Raises:
        ValueError: it is known, and no integer from 0 on, nor one for each of the `batch_size` rows.
    """
    shape = tuple(getattr(start_index, "shape", ()))
    known = arguments.known_value(start_index)
    if known is not None:
        shape = known.shape
    fits = not shape or len(shape) == 1 and (shape[0] == batch_size or None in (shape[0], batch_size))
    if not fits or known is not None and (known.dtype.kind not in "iu" or (known < 0).any()):
        received = f"shape={shape}" if known is None else f"start_index={known.tolist()!r}"
        raise ValueError(
            f"`start_index` must be an integer, 0 or above, or one for each row. Received: {received}."
        )
    return 0 if known is None or not known.size else int(known.max())

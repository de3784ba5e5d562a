"""Rotary position embedding (Su et al. 2021, "RoFormer")."""

import math
from typing import Any

import keras
from keras import ops

from keras_transformer import arguments
from keras_transformer.layers.positions import LAYOUTS, known_start, positions_from


@keras.saving.register_keras_serializable(package="keras_transformer")
class RotaryEmbedding(arguments.KnownArguments, keras.layers.Layer):
    """Turns each pair of channels by an angle that grows with the position; no weights, any length.

    Su et al. 2021, section 3.2.2 and equation 34: pair i of a query or key at position m is turned by
    m * max_wavelength^(-2 i / K). Products of a query and a key then depend on their distance alone. For
    the `rotary` of a `MultiHeadAttention` that is a self-attention.

    Args:
        max_wavelength: base of the angles' geometric progression; 10,000 in the paper.
        layout: which channels are a pair. "interleaved": 2 i and 2 i + 1, as in the paper, GPT-J and Llama's
            own weights; "halves": i and i + K / 2, as in GPT-NeoX and Llama's weights at Hugging Face.

    Call arguments:
        heads: (B, H, T, K), queries or keys; K is even.
        start_index: position of the first one, an integer from 0 on, or (B,) integers, one for each row of
            the batch; for decoding step by step.

    Returns:
        (B, H, T, K) in the compute dtype.

    Raises:
        ValueError: K is odd, a number is out of range, or there is no such layout.
    """

    def __init__(self, max_wavelength: float = 10_000, layout: str = "interleaved", **kwargs: Any):
        super().__init__(**kwargs)
        arguments.check_positive(max_wavelength=max_wavelength)
        arguments.check_choices(LAYOUTS, layout=layout)
        self.max_wavelength = max_wavelength
        self.layout = layout

    def build(self, heads_shape: Any) -> None:
        arguments.check_shapes(4, heads=heads_shape)
        self.width = heads_shape[-1]
        if self.width % 2:
            raise ValueError(
                "Rotary positions turn pairs of channels: the width of a head must be even. "
                f"Received: key_dim={self.width}."
            )

    def call(self, heads: Any, start_index: Any = 0) -> Any:
        arguments.check_vectors((None, None, None, self.width), heads=heads)
        known_start(start_index, heads.shape[0])
        positions = positions_from(start_index, ops.shape(heads)[2])
        exponents = ops.arange(0, self.width, 2, dtype="float32") / self.width
        rates = ops.exp(-math.log(self.max_wavelength) * exponents)  # (K / 2,)
        angles = ops.cast(positions, "float32")[..., None] * rates  # (T, K / 2) or (B, T, K / 2)
        if len(angles.shape) == 3:
            angles = angles[:, None]
        sine, cosine = (ops.cast(f(angles), heads.dtype) for f in (ops.sin, ops.cos))

        if self.layout == "interleaved":
            first, second = heads[..., ::2], heads[..., 1::2]
        else:
            first, second = ops.split(heads, 2, axis=-1)
        turned = (first * cosine - second * sine, first * sine + second * cosine)
        if self.layout == "interleaved":
            return ops.reshape(ops.stack(turned, axis=-1), ops.shape(heads))
        return ops.concatenate(turned, axis=-1)

    def compute_output_shape(self, heads_shape: Any) -> Any:
        return heads_shape

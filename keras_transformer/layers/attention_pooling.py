"""Attention pooling: one vector for a text, the weighted mean of its states (Yang et al. 2016)."""

from typing import Any

import keras
from keras import ops

from keras_transformer import arguments, masks
from keras_transformer.layers.dot_product import masked_softmax
from keras_transformer.saving.quantization import KeepsQuantization
from keras_transformer.types import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_transformer")
class AttentionPooling(KeepsQuantization, arguments.KnownArguments, keras.layers.Layer):
    """sum_t a_t h_t with a = softmax_t(u_w^T tanh(W_w h_t + b_w)); u_w asks every text alike.

    Yang et al. 2016, "Hierarchical Attention Networks for Document Classification", section 2.2, equations 5
    to 7. Soft-max in float32.

    Args:
        units: U, width of u_w, >= 1; that of the inputs if None, as in the paper.

    Call arguments:
        inputs: h, (B, T, D).
        mask: bool, (B, T); True = a real token. Keras's implicit mask if None. A row with no True gives
            zeros.

    Returns:
        (B, D) in the compute dtype. `attend` gives the weights as well.

    Raises:
        ValueError: `units` is not a positive integer.
    """

    def __init__(self, units: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        arguments.check_optional_sizes(units=units)
        self.units = units
        self.supports_masking = True

    def build(self, inputs_shape: Shape) -> None:
        arguments.check_shapes(3, inputs=inputs_shape)
        self.width = inputs_shape[-1]
        units = self.width if self.units is None else self.units
        policy = self.dtype_policy
        self.inner = keras.layers.Dense(units, activation="tanh", dtype=policy, name="inner")  # W_w, b_w
        self.context = keras.layers.Dense(1, use_bias=False, dtype=policy, name="context")  # u_w
        self.inner.build((None, None, self.width))
        self.context.build((None, None, units))

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.attend(inputs, mask)[0]

    def attend(self, inputs: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """As a call; returns (B, D), and the weights a, (B, T), both in the compute dtype."""
        mask = masks.implicit_mask(inputs, mask)
        arguments.check_vectors((None, None, self.width), inputs=inputs)
        arguments.check_masks(inputs.shape[:2], mask=mask)
        scores = ops.cast(self.context(self.inner(inputs))[..., 0], "float32")  # (B, T)
        weights = ops.cast(masked_softmax(scores, mask), inputs.dtype)
        return ops.matmul(weights[:, None], inputs)[:, 0], weights

    def compute_mask(self, inputs: Tensor, mask: Tensor | None = None) -> None:
        return None  # no words are left

    def compute_output_shape(self, inputs_shape: Shape) -> Shape:
        return (inputs_shape[0], inputs_shape[-1])

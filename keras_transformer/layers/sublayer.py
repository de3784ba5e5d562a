"""The two pieces that every layer of the Transformer repeats (Vaswani et al. 2017, section 3.1, 3.3)."""

from typing import Any, Self

import keras
from keras import ops

from keras_transformer import arguments
from keras_transformer.layers.normalization import norm_layer
from keras_transformer.saving.quantization import KeepsQuantization
from keras_transformer.types import Identifier, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_transformer")
class Sublayer(KeepsQuantization, arguments.KnownArguments, keras.layers.Layer):
    """Residual connection, dropout and normalisation around a layer.

    norm after (the paper, section 3.1 and 5.4):  LayerNorm(x + Dropout(f(x)))
    norm first (Xiong et al. 2020):               x + Dropout(f(LayerNorm(x)))

    Args:
        layer: f, a layer that keeps the shape.
        dropout: probability of dropping one value of f's output, 0 <= p < 1.
        norm_first: whether f sees the normalised input; else the sum is normalised.
        norm_epsilon: added to the variance.
        normalization: "layer_norm", as in the paper; or "rms_norm" (Zhang and Sennrich 2019), without mean
            and offset, as in T5 and Llama.

    Call arguments:
        x: (B, T, D).
        training: whether dropout is active; Keras hands it on to the layers inside.

    Returns:
        (B, T, D) in the compute dtype.
    """

    def __init__(
        self,
        layer: keras.layers.Layer,
        dropout: float = 0.0,
        norm_first: bool = False,
        norm_epsilon: float = 1e-6,
        normalization: str = "layer_norm",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        arguments.check_layers(layer=layer)
        arguments.check_rates(dropout=dropout)
        arguments.check_positive(norm_epsilon=norm_epsilon)
        self.layer = layer
        self.dropout = dropout
        self.norm_first = norm_first
        self.norm_epsilon = norm_epsilon
        self.normalization = normalization
        self.norm = norm_layer(normalization, norm_epsilon, name="norm", dtype=self.dtype_policy)
        self.dropout_layer = keras.layers.Dropout(dropout, dtype=self.dtype_policy)
        self.supports_masking = True

    def build(self, input_shape: Shape) -> None:
        arguments.check_shapes(None, x=input_shape)
        self.width = input_shape[-1]
        self.norm.build(input_shape)
        if not self.layer.built:
            self.layer.build(input_shape)

    def call(self, x: Tensor, training: bool | None = None) -> Tensor:
        arguments.check_vectors((*x.shape[:-1], self.width), x=x)
        return self.after(x, self.layer(self.before(x)))

    def before(self, x: Tensor) -> Tensor:
        """f's input. With `after`, for an f that takes or returns more than one tensor.

        Args:
            x: (B, T, D), the input of the sub-layer.

        Returns:
            (B, T, D).
        """
        return self.norm(x) if self.norm_first else x

    def after(self, x: Tensor, output: Tensor) -> Tensor:
        """The sub-layer's result.

        Args:
            x: (B, T, D), the input of the sub-layer.
            output: (B, T, D), what f made of `before(x)`.

        Returns:
            (B, T, D).
        """
        arguments.check_vectors(x.shape, output=output)
        # Not `ops.add`: on TensorFlow it takes an empty batch, (0, 0, D), for a bias.
        total = ops.convert_to_tensor(x) + self.dropout_layer(output)
        return total if self.norm_first else self.norm(total)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "layer": keras.saving.serialize_keras_object(self.layer)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**{**config, "layer": keras.saving.deserialize_keras_object(config["layer"])})


@keras.saving.register_keras_serializable(package="keras_transformer")
class FeedForward(KeepsQuantization, arguments.KnownArguments, keras.layers.Layer):
    """FFN(x) = activation(x W_1 + b_1) W_2 + b_2, at each position alone.

    Vaswani et al. 2017, section 3.3, equation 2. Paper symbol: d_ff = intermediate_dim.

    Args:
        intermediate_dim: width of the inner layer, >= 1.
        dropout: probability of dropping one inner value, 0 <= p < 1; the paper has none here.
        activation: of the inner layer; the paper's is "relu".
        use_bias: whether b_1 and b_2 are added; T5 has none.

    Call arguments:
        x: (B, T, D).
        training: whether dropout is active.

    Returns:
        (B, T, D) in the compute dtype.
    """

    def __init__(
        self,
        intermediate_dim: int,
        dropout: float = 0.0,
        activation: Identifier = "relu",
        use_bias: bool = True,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        arguments.check_sizes(intermediate_dim=intermediate_dim)
        arguments.check_rates(dropout=dropout)
        self.intermediate_dim = intermediate_dim
        self.dropout = dropout
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
        self.supports_masking = True

    def build(self, input_shape: Shape) -> None:
        arguments.check_shapes(None, x=input_shape)
        self.width = input_shape[-1]
        policy, use_bias = self.dtype_policy, self.use_bias
        self.intermediate_dense = keras.layers.Dense(
            self.intermediate_dim, self.activation, use_bias=use_bias, name="intermediate", dtype=policy
        )
        self.intermediate_dense.build(input_shape)
        self.output_dense = keras.layers.Dense(
            input_shape[-1], use_bias=use_bias, name="output", dtype=policy
        )
        self.output_dense.build((*input_shape[:-1], self.intermediate_dim))
        self.dropout_layer = keras.layers.Dropout(self.dropout, dtype=policy)

    def call(self, x: Tensor, training: bool | None = None) -> Tensor:
        arguments.check_vectors((*x.shape[:-1], self.width), x=x)
        # As one matrix product each: with rank 3, TensorFlow's `Dense` costs ten small operations more and
        # keeps the product, the bias and the activation apart.
        rows = ops.reshape(x, (-1, x.shape[-1]))
        inner = self.dropout_layer(self._inner(rows))
        return ops.reshape(self.output_dense(inner), ops.shape(x))  # with -1, no positions would be no rows

    def _inner(self, rows):
        return self.intermediate_dense(rows)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "activation": keras.activations.serialize(self.activation)}

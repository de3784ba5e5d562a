"""The feed-forward network, by name, also with a gate (Shazeer 2020, "GLU Variants Improve Transformer")."""

from typing import Any

import keras

from keras_transformer.layers.sublayer import FeedForward


@keras.saving.register_keras_serializable(package="keras_transformer")
def gelu_tanh(x: Any) -> Any:
    """GELU by its formula with tanh (Hendrycks and Gimpel 2016, section 2), as GPT-2 and T5 1.1 have it."""
    return keras.activations.gelu(x, approximate=True)


# The paper's names, and what the gate's activation is. T5 1.1 has "geglu_tanh".
GATED = {
    "bilinear": "linear",
    "geglu": "gelu",
    "geglu_tanh": gelu_tanh,
    "glu": "sigmoid",
    "reglu": "relu",
    "swiglu": "silu",
}


@keras.saving.register_keras_serializable(package="keras_transformer")
class GatedFeedForward(FeedForward):
    """FFN(x) = (activation(x W) * x V) W_2, at each position alone; * by element.

    Shazeer 2020, equations 5 and 6: SwiGLU by default; GEGLU with "gelu". It has three matrices: for as many
    weights as the 2017 network has, take two thirds of its `intermediate_dim`, as the paper does.

    Args:
        intermediate_dim: width of the inner layer, >= 1.
        dropout: probability of dropping one inner value, 0 <= p < 1.
        activation: of the gate.
        use_bias: whether the three maps add a bias; the paper's do not.

    Call arguments and returns: those of `FeedForward`.
    """

    def __init__(
        self,
        intermediate_dim: int,
        dropout: float = 0.0,
        activation: Any = "silu",
        use_bias: bool = False,
        **kwargs: Any,
    ):
        super().__init__(intermediate_dim, dropout, activation, use_bias, **kwargs)

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        self.linear_dense = keras.layers.Dense(
            self.intermediate_dim, use_bias=self.use_bias, name="linear", dtype=self.dtype_policy
        )
        self.linear_dense.build(input_shape)

    def _inner(self, rows):
        return super()._inner(rows) * self.linear_dense(rows)


def feed_forward(intermediate_dim: int, activation: Any = "relu", **kwargs: Any) -> FeedForward:
    """The network of equation 2, or a gated one if `activation` is one of its names, say "swiglu".

    Args:
        intermediate_dim: width of the inner layer, >= 1.
        activation: a name from `GATED`, or what `FeedForward` takes.
        **kwargs: other arguments of `FeedForward` or `GatedFeedForward`.
    """
    if isinstance(activation, str) and activation in GATED:
        return GatedFeedForward(intermediate_dim, activation=GATED[activation], **kwargs)
    return FeedForward(intermediate_dim, activation=activation, **kwargs)

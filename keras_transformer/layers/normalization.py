"""The norm of a sub-layer, of a stack, and of queries and keys, by name."""

from typing import Any

import keras
from keras import ops

from keras_transformer import arguments
from keras_transformer.types import Tensor


@keras.saving.register_keras_serializable(package="keras_transformer")
class LayerNormalization(keras.layers.LayerNormalization):
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta, over the last axis (Ba et al. 2016).

    Keras's layer, its weights too. On TensorFlow Keras multiplies out, x a + b, with an `a` and a `b` as
    large as x; in the order of the formula fewer such tensors are written.
    """

    def call(self, inputs: Tensor) -> Tensor:
        if keras.backend.backend() != "tensorflow":  # PyTorch has a kernel, XLA does it by itself
            return super().call(inputs)
        x = ops.cast(inputs, keras.backend.result_type(inputs.dtype, "float32"))
        gamma, beta = (ops.cast(weight, x.dtype) for weight in (self.gamma, self.beta))
        centred = x - ops.mean(x, axis=-1, keepdims=True)
        variance = ops.mean(ops.square(centred), axis=-1, keepdims=True)
        normal = beta + centred * (ops.rsqrt(variance + self.epsilon) * gamma)
        return ops.cast(normal, self.compute_dtype)


# Ba et al. 2016, as in the paper; Zhang and Sennrich 2019, without mean and offset.
NORMS = {"layer_norm": LayerNormalization, "rms_norm": keras.layers.RMSNormalization}


def norm_layer(normalization: str, epsilon: float = 1e-6, **kwargs: Any) -> keras.layers.Layer:
    """A new layer that normalises the last axis.

    Args:
        normalization: "layer_norm" or "rms_norm".
        epsilon: added to the variance, or to the mean square.
        **kwargs: `name`, `dtype`.

    Raises:
        ValueError: there is no such norm.
    """
    arguments.check_choices(NORMS, normalization=normalization)
    return NORMS[normalization](epsilon=epsilon, **kwargs)

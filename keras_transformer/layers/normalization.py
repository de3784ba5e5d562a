"""The norm of a sub-layer, of a stack, and of queries and keys, by name."""

from typing import Any

import keras

from keras_transformer import arguments

# Ba et al. 2016, as in the paper; Zhang and Sennrich 2019, without mean and offset.
NORMS = {"layer_norm": keras.layers.LayerNormalization, "rms_norm": keras.layers.RMSNormalization}


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

"""Attention models for Keras 3: layers, the Transformer, losses, schedules and decoding.

The distribution is keras-transformer-zoo: `keras_transformer_programs` knows this file by that name.
"""

from keras_transformer import (
    decoding,
    layers,
    layouts,
    losses,
    masks,
    metrics,
    models,
    schedules,
    token_masking,
)
from keras_transformer.installation import warn_of_namesake

warn_of_namesake()

__version__ = "0.1.0"
__all__ = [
    "decoding",
    "layers",
    "layouts",
    "losses",
    "masks",
    "metrics",
    "models",
    "schedules",
    "token_masking",
]

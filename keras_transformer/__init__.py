"""Attention models for Keras 3: layers, the Transformer, losses, schedules and decoding."""

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

"""Metrics over the real tokens of padded batches."""

from typing import Any

import keras
from keras import ops

from keras_transformer import arguments
from keras_transformer.losses import smoothed_cross_entropy
from keras_transformer.special_ids import PAD_ID
from keras_transformer.types import Tensor


class TokenMetric(keras.metrics.Mean):
    """Base: the mean of a value per token over the tokens that are not padding."""

    def __init__(self, pad_id: int = PAD_ID, name: str | None = None, dtype: Any = None):
        super().__init__(name=name, dtype=dtype)
        arguments.check_integers(pad_id=pad_id)
        self.pad_id = pad_id

    def update_state(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> None:
        """Adds a batch.

        Args:
            y_true: integers, (B, T).
            y_pred: logits, (B, T, V).
            sample_weight: further weights, broadcastable to (B, T).
        """
        weight = ops.cast(ops.not_equal(y_true, self.pad_id), "float32")
        if sample_weight is not None:
            weight = weight * ops.cast(sample_weight, "float32")
        # Flat: of (B, T) Keras takes means over T first, and a batch of short sentences would weigh more.
        values = ops.reshape(self.values(y_true, y_pred), (-1,))
        super().update_state(values, sample_weight=ops.reshape(weight, (-1,)))

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """One value for each token, (B, T)."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "pad_id": self.pad_id}


@keras.saving.register_keras_serializable(package="keras_transformer")
class Perplexity(TokenMetric):
    """exp of the mean cross-entropy (without smoothing) of the real tokens.

    Args:
        pad_id: labels with this id count for nothing.
    """

    def __init__(self, pad_id: int = PAD_ID, name: str = "perplexity", dtype: Any = None):
        super().__init__(pad_id=pad_id, name=name, dtype=dtype)

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return smoothed_cross_entropy(y_true, y_pred)

    def result(self) -> Tensor:
        return ops.exp(super().result())


@keras.saving.register_keras_serializable(package="keras_transformer")
class TokenAccuracy(TokenMetric):
    """Share of the real tokens whose likeliest prediction is the label.

    Args:
        pad_id: labels with this id count for nothing.
    """

    def __init__(self, pad_id: int = PAD_ID, name: str = "token_accuracy", dtype: Any = None):
        super().__init__(pad_id=pad_id, name=name, dtype=dtype)

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return ops.cast(ops.equal(ops.argmax(y_pred, axis=-1), y_true), "float32")

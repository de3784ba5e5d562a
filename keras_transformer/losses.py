"""Label-smoothed cross-entropy on integer labels, averaged over the real tokens."""

from typing import Any

import keras
from keras import ops

from keras_transformer import arguments
from keras_transformer.special_ids import PAD_ID
from keras_transformer.types import Tensor


def smoothed_cross_entropy(labels: Tensor, logits: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """-sum_v q_v log softmax(z)_v with q = (1 - epsilon) onehot(label) + epsilon / V.

    Szegedy et al. 2016, section 7; Vaswani et al. 2017, section 5.4. The mass epsilon is spread over
    the whole vocabulary, as in Keras and PyTorch. No one-hot of the labels is made: the sum is
    log sum exp z - (1 - epsilon) z_label - epsilon mean z, and its gradient softmax(z) - q.

    Args:
        labels: integers, (B, T), 0 <= label < V.
        logits: z, (B, T, V).
        label_smoothing: epsilon, 0 <= epsilon < 1.

    Returns:
        float32, (B, T).
    """
    vocabulary_size = logits.shape[-1]
    columns = ops.reshape(ops.cast(labels, "int32"), (-1, 1))
    uniform_mass = label_smoothing / vocabulary_size

    # The gradient is written out: automatic differentiation would pass over (B, T, V) three times more.
    @ops.custom_gradient
    def row_losses(z):  # (N, V) -> (N,)
        largest = ops.max(z, axis=-1, keepdims=True)
        exponentials = ops.exp(z - largest)
        normalizer = ops.sum(exponentials, axis=-1, keepdims=True)
        z_label = ops.take_along_axis(z, columns, axis=-1)
        losses = largest + ops.log(normalizer) - (1.0 - label_smoothing) * z_label
        losses = losses[:, 0]
        if label_smoothing:
            losses = losses - label_smoothing * ops.mean(z, axis=-1)

        def gradient(*args, upstream=None):
            upstream = (args[0] if upstream is None else upstream)[:, None]
            dense = exponentials * (upstream / normalizer) - uniform_mass * upstream
            at_label = ops.take_along_axis(dense, columns, axis=-1)
            at_label = at_label - (1.0 - label_smoothing) * upstream
            rows = ops.arange(ops.shape(columns)[0], dtype="int32")[:, None]
            indices = ops.concatenate([rows, columns], axis=-1)
            return ops.scatter_update(dense, indices, at_label[:, 0])

        return losses, gradient

    flat = ops.reshape(ops.cast(logits, "float32"), (-1, vocabulary_size))
    return ops.reshape(row_losses(flat), ops.shape(labels))


def symmetric_divergence(first: Tensor, second: Tensor) -> Tensor:
    """KL(p || q) + KL(q || p) = sum_v (p_v - q_v) (log p_v - log q_v) of two soft-maxes.

    The regularisation of R-Drop (Liang et al. 2021, section 2.2), twice.

    Args:
        first: logits of p, (..., V).
        second: logits of q, (..., V).

    Returns:
        float32, (...), >= 0.
    """
    log_p, log_q = (ops.log_softmax(ops.cast(logits, "float32"), axis=-1) for logits in (first, second))
    return ops.sum((ops.exp(log_p) - ops.exp(log_q)) * (log_p - log_q), axis=-1)


@keras.saving.register_keras_serializable(package="keras_transformer")
class SmoothedCrossEntropy(keras.losses.Loss):
    """Cross-entropy with label smoothing, averaged over the tokens that are not padding.

    Args:
        label_smoothing: epsilon, probability mass spread over the whole vocabulary, 0 <= epsilon < 1.
        pad_id: labels with this id count for nothing; it may be negative.
        reduction: over tokens; by default the mean over the real ones.

    Call arguments:
        y_true: integers, (B, T).
        y_pred: logits, (B, T, V).
        sample_weight: further weights, broadcastable to (B, T).

    Returns:
        A float32 scalar. `call` gives one value for each token, (B, T).
    """

    def __init__(
        self,
        label_smoothing: float = 0.0,
        pad_id: int = PAD_ID,
        reduction: str = "mean_with_sample_weight",
        name: str = "smoothed_cross_entropy",
        dtype: Any = None,
    ):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        if not arguments.is_number(label_smoothing) or not 0 <= label_smoothing < 1:
            raise ValueError(
                "`label_smoothing` must lie in 0 <= epsilon < 1. "
                f"Received: label_smoothing={label_smoothing!r}."
            )
        arguments.check_integers(pad_id=pad_id)
        self.label_smoothing = label_smoothing
        self.pad_id = pad_id

    def __call__(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        return super().__call__(y_true, y_pred, sample_weight=self._weights(y_true, sample_weight))

    def total_weight(self, y_true: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        """What the loss is the mean of, a float32 scalar: number of real tokens, or sum of weights."""
        return ops.sum(self._weights(y_true, sample_weight))

    def divergence(
        self, y_true: Tensor, first: Tensor, second: Tensor, sample_weight: Tensor | None = None
    ) -> Tensor:
        """The mean of `symmetric_divergence` over what the loss is the mean of; a float32 scalar."""
        weights = self._weights(y_true, sample_weight)
        values = symmetric_divergence(first, second)
        return ops.divide_no_nan(ops.sum(values * weights), ops.sum(weights))

    def _weights(self, y_true, sample_weight):
        weights = ops.cast(ops.not_equal(y_true, self.pad_id), "float32")
        return weights if sample_weight is None else weights * ops.cast(sample_weight, "float32")

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        if self.pad_id < 0:  # no class: what follows needs one, whatever it is
            y_true = ops.where(ops.equal(y_true, self.pad_id), 0, y_true)
        return smoothed_cross_entropy(y_true, y_pred, self.label_smoothing)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "label_smoothing": self.label_smoothing,
            "pad_id": self.pad_id,
        }

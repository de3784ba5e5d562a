"""Log-probabilities of texts that are given."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from keras import ops

from keras_transformer.decoding import programs, tensors
from keras_transformer.special_ids import PAD_ID, START_ID


def score(
    model: Any,
    inputs: Mapping[str, Any],
    target_ids: Any,
    start_id: int = START_ID,
    pad_id: int = PAD_ID,
) -> tuple[Any, Any]:
    """Log-probabilities of given targets, in one pass: what a search adds up step by step.

    Args:
        model: a `models.AutoregressiveModel`, or an `Ensemble` of some.
        inputs: the model's inputs without the target, say {"source_ids": (B, S)}.
        target_ids: int, (B, T), as `generate` returns them: without the start token, padded at the end. The
            end token counts if it is there.
        start_id, pad_id: the special ids.

    Returns:
        by token: float32, (B, T), zeros at padding; and in sum: float32, (B,).

    Raises:
        ValueError: there is not one target for each row of the inputs, or a target is longer than the model's
            learned positions.
    """
    max_length = getattr(model, "max_length", None)
    arrays = tensors.checked({"inputs": inputs, "target_ids": target_ids}, max_length)
    if not getattr(model, "built", True):  # no program may make its variables
        return _score(model, arrays, start_id, pad_id)
    padded = tensors.padded(arrays, pad_id, max_length)
    by_token, sums = programs.call(_score, model, padded, start_id, pad_id)
    if padded is not arrays:
        rows, length = arrays["target_ids"].shape
        by_token, sums = by_token[:rows, :length], sums[:rows]
    return by_token, sums


def _score(model, arrays, start_id, pad_id):
    inputs, target_ids = arrays["inputs"], arrays["target_ids"]
    seen = _seen(target_ids, start_id)
    logits = ops.cast(model({**inputs, "target_ids": seen}, training=False), "float32")
    chosen = ops.take_along_axis(logits, target_ids[..., None], axis=-1)[..., 0]
    log_probs = chosen - ops.logsumexp(logits, axis=-1)
    by_token = ops.where(target_ids == pad_id, 0.0, log_probs)
    return by_token, ops.sum(by_token, axis=1)


def _seen(target_ids, start_id):
    """What a model has seen when it predicts each of the targets (B, T)."""
    return ops.concatenate([ops.full_like(target_ids[:, :1], start_id), target_ids[:, :-1]], axis=1)


def attention_to_source(model: Any, inputs: Mapping[str, Any], target_ids: Any) -> Any:
    """Attention of given targets to their sources, in one pass: what a search keeps step by step.

    Args:
        model: as for `score`, with attention; of an `Ensemble` the first model's.
        inputs: {"source_ids": (B, S)}.
        target_ids: int, (B, T), as `generate` returns them.

    Returns:
        (B, T, layers, heads, S), zeros at padding, and of a model without attention.
    """
    model = getattr(model, "models", [model])[0]
    source_ids, target_ids = (ops.convert_to_tensor(x) for x in (inputs["source_ids"], target_ids))
    if getattr(model, "attention_name", None) == "none":
        return ops.zeros((*ops.shape(target_ids), 1, 1, ops.shape(source_ids)[1]))
    given = {"source_ids": source_ids, "target_ids": _seen(target_ids, START_ID)}
    weights = model.attention_weights(given)["cross"]  # (B, layers, heads, T, S)
    is_real = ops.cast(target_ids != PAD_ID, weights.dtype)
    return ops.transpose(weights, (0, 3, 1, 2, 4)) * is_real[:, :, None, None, None]


def perplexity(model: Any, batches: Iterable[tuple[Mapping, Any]], pad_id: int = PAD_ID) -> float:
    """exp of the mean negative log-probability of a corpus's tokens, end tokens included.

    Args:
        model: a `models.AutoregressiveModel`, or an `Ensemble` of some.
        batches: iterable of (inputs without the target, target_ids (B, T)), see `score`.
        pad_id: id of the padding, which does not count.

    Returns:
        float, from 1 (certain) to V (a guess) and beyond.

    Raises:
        ValueError: there is no token.
    """
    total, count = 0.0, 0
    for inputs, target_ids in batches:
        with programs.without_gradients():
            _, sums = score(model, inputs, target_ids, pad_id=pad_id)
        total += float(np.sum(ops.convert_to_numpy(sums), dtype="float64"))
        count += int(np.sum(ops.convert_to_numpy(target_ids) != pad_id))
    if not count:
        raise ValueError("A perplexity needs at least one token. Received: none.")
    return float(np.exp(-total / count))

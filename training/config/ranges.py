"""Ranges of a configuration's numbers, checked before anything is read or made."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass

from training.run_config import RunConfig


@dataclass(frozen=True)
class Range:
    """A rule in words, and as a function."""

    words: str
    holds: Callable


POSITIVE = Range("a positive integer", lambda x: x >= 1)
NOT_NEGATIVE = Range("a non-negative integer", lambda x: x >= 0)
# What a model is made of: more is a slip of the keyboard.
SIZE = Range("an integer from 1 to 1,048,576", lambda x: 1 <= x <= 2**20)
DEPTH = Range("an integer from 1 to 1,000", lambda x: 1 <= x <= 1000)
ABOVE_0 = Range("finite and above 0", lambda x: 0 < x < math.inf)
# 1 would never end, or never begin.
SHARE = Range("at least 0 and below 1", lambda x: 0 <= x < 1)
COLUMN = Range("an integer other than 0", lambda x: x != 0)
PART = Range("above 0 and at most 1", lambda x: 0 < x <= 1)

RANGES = {
    "optimizer.warmup_steps": POSITIVE,
    "optimizer.peak": ABOVE_0,
    "optimizer.scale": ABOVE_0,
    "optimizer.beta_1": SHARE,
    "optimizer.beta_2": SHARE,
    "optimizer.epsilon": ABOVE_0,
    "optimizer.clip_norm": ABOVE_0,
    "optimizer.ema_momentum": SHARE,
    "optimizer.label_smoothing": SHARE,
    "optimizer.r_drop": Range("finite and at least 0", lambda x: 0 <= x < math.inf),
    "fit.epochs": POSITIVE,
    "fit.steps_per_epoch": POSITIVE,
    "fit.seed": Range("an integer from 0 to 4,294,967,295", lambda x: 0 <= x < 2**32),
    "fit.num_micro_batches": POSITIVE,
    "fit.num_devices": POSITIVE,
    "checkpoints.last": POSITIVE,
    "checkpoints.best": NOT_NEGATIVE,
    "checkpoints.patience": POSITIVE,
    "quality.frequency": NOT_NEGATIVE,
    "quality.num_pairs": POSITIVE,
    "quality.num_shown": NOT_NEGATIVE,
    "data.num_examples": POSITIVE,
    "data.max_length": Range("an integer, at least 2", lambda x: x >= 2),
    "data.max_length_ratio": Range("finite and at least 1", lambda x: 1 <= x < math.inf),
    "data.weight": ABOVE_0,
    "data.batch_tokens": POSITIVE,
    "data.window": POSITIVE,
    "data.batch_size": POSITIVE,
    "data.channels": Range("1 or 3", lambda x: x in (1, 3)),
    "data.shift": NOT_NEGATIVE,
    "data.word_column": COLUMN,
    "data.tag_column": COLUMN,
    "augmentation.sampling_alpha": Range("finite and at least 0", lambda x: 0 <= x < math.inf),
    "augmentation.word_dropout": SHARE,
    "augmentation.word_unknown": SHARE,
    "augmentation.word_distance": NOT_NEGATIVE,
    "augmentation.source_token_dropout": SHARE,
    "augmentation.target_token_dropout": SHARE,
    "tokenizer.vocabulary_size": POSITIVE,
    "tokenizer.source.vocabulary_size": POSITIVE,
    "tokenizer.target.vocabulary_size": POSITIVE,
    "model.num_layers": DEPTH,
    "model.num_decoder_layers": DEPTH,
    "model.hidden_dim": SIZE,
    "model.num_heads": SIZE,
    "model.intermediate_dim": SIZE,
    "model.key_dim": SIZE,
    "model.num_key_value_heads": SIZE,
    "model.sliding_window": POSITIVE,
    "model.norm_epsilon": ABOVE_0,
    "model.embedding_scale": ABOVE_0,
    "model.logits_scale": ABOVE_0,
    "model.embedding_dim": SIZE,
    "model.kernel_size": SIZE,
    "model.patch_size": SIZE,
    "model.max_length": POSITIVE,
    "model.num_segments": SIZE,
    "model.window": POSITIVE,
    "model.dropout": SHARE,
    "model.attention_dropout": SHARE,
    "model.activation_dropout": SHARE,
    "model.masked": PART,
}
# Lists, each of whose numbers has the range.
LISTS = {"data.image_size": SIZE, "data.bucket_boundaries": POSITIVE, "model.filters": SIZE}


def check(config: RunConfig) -> None:
    """Raises ValueError if a number of a configuration is out of its range; names the field."""
    for name, value in _numbers(asdict(config)):
        check_value(name, value)
    for place, corpus in enumerate(getattr(config.data, "also", ())):
        for name in ("weight", "num_examples"):
            _check(f"data.also[{place}].{name}", getattr(corpus, name), RANGES[f"data.{name}"])


def check_value(name: str, value) -> None:
    """Raises ValueError if a value is out of the range of the field of this name, if it has one.

    Args:
        name: of the field, optimizer.peak.
        value: None and texts, where a field takes them, have no range.
    """
    if name in LISTS and isinstance(value, list):
        for item in value:
            _check(name, item, LISTS[name], value)
    elif name in RANGES:
        _check(name, value, RANGES[name])


def _check(name, value, rule, received=None):
    if isinstance(value, int | float) and not rule.holds(value):
        raise ValueError(
            f"`{name}` must be {rule.words}. Received: {name}={value if received is None else received}."
        )


def _numbers(part, prefix=""):
    for name, value in part.items():
        if isinstance(value, dict):
            yield from _numbers(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value

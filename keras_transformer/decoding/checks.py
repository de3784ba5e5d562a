"""Errors of the searches' arguments: the rule, then what came."""

import math
from numbers import Real
from typing import Any

import numpy as np

# Positions, hypotheses and ids are int32. What is below may still be too much for a machine's memory.
LARGEST = 2**31 - 1
MOST_HYPOTHESES = 2**16
MOST_TOKENS = 2**20


def check_size(search: Any, name: str, least: int = 1, most: int = LARGEST) -> None:
    """Raises unless an attribute is an integer from `least` to `most`."""
    value = getattr(search, name)
    is_size = isinstance(value, int) and not isinstance(value, bool) and value >= least
    if not is_size or value > most:
        rule = "a positive integer" if least == 1 else f"an integer >= {least}"
        rule += f" and at most {most}" if most != LARGEST or is_size else ""
        raise ValueError(f"`{name}` must be {rule}. Received: {name}={value!r}.")


def check_number(
    search: Any, name: str, least: float | None = None, above: float | None = None, most: float | None = None
) -> None:
    """Raises unless an attribute is a finite number, >= `least`, > `above` and <= `most`, as a float32."""
    value = getattr(search, name)
    is_number = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(_float32(value))
    rules = {
        f">= {least}": least is None or (is_number and value >= least),
        f"> {above}": above is None or (is_number and _float32(value) > above),
        f"<= {most}": most is None or (is_number and value <= most),
    }
    if not is_number or not all(rules.values()):
        named = [rule for rule in rules if "None" not in rule]
        raise ValueError(
            f"`{name}` must be a finite number {' and '.join(named)}. Received: {name}={value!r}."
        )


def _float32(value):
    """The number that a graph would have."""
    with np.errstate(over="ignore"):
        try:
            return float(np.float32(value))
        except OverflowError:  # an integer beyond any float
            return math.inf

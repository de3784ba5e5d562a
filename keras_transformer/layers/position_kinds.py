"""The kinds of positions by name: what is added to the input, and what each self-attention is given.

    "none"                  nothing says where a token stands
    "sinusoid"              `PositionalEncoding`, on the input (Vaswani et al. 2017)
    "learned"               `LearnedPositionalEncoding`, on the input (Gehring et al. 2017)
    "rotary"                `RotaryEmbedding`, in each self-attention (Su et al. 2021)
    "alibi"                 `AlibiBias` (Press et al. 2022)
    "relative_bias"         `RelativePositionBias`, one for all layers of a stack (Raffel et al. 2020)
    "relative_keys_values"  `RelativeKeysAndValues` (Shaw et al. 2018)

A dictionary has the name and options of that layer: {"name": "rotary", "layout": "halves"}.
"""

from typing import Any

import keras

from keras_transformer.layers.position_bias import AlibiBias, RelativePositionBias
from keras_transformer.layers.positions import LearnedPositionalEncoding, PositionalEncoding
from keras_transformer.layers.relative_positions import RelativeKeysAndValues
from keras_transformer.layers.rotary import RotaryEmbedding

ADDED = {"sinusoid": PositionalEncoding, "learned": LearnedPositionalEncoding}
ATTENDED = {
    "rotary": RotaryEmbedding,
    "alibi": AlibiBias,
    "relative_bias": RelativePositionBias,
    "relative_keys_values": RelativeKeysAndValues,
}
KINDS = ("none", *ADDED, *ATTENDED)
# Known to the model: no options.
RESERVED = ("max_length", "num_heads", "dtype", "trainable")

Positions = str | dict[str, Any] | None


def named(positions: Positions, default: str = "none") -> tuple[str, dict[str, Any]]:
    """The name of a kind, `default` if None, and the options of its layer.

    Raises:
        ValueError: there is no such kind, or an option is the model's or nothing that JSON has.
    """
    found = {"name": positions or default} if positions is None or isinstance(positions, str) else positions
    if not isinstance(found, dict) or found.get("name") not in KINDS:
        raise ValueError(
            f"`positions` must be one of {list(KINDS)}, or a dictionary with one of them as 'name'. "
            f"Received: positions={positions!r}."
        )
    options = {name: value for name, value in found.items() if name != "name"}
    plain = all(isinstance(value, str | int | float | None) for value in options.values())
    if found["name"] == "none" and options or not plain or options.keys() & set(RESERVED):
        raise ValueError(
            "Options of `positions` must be numbers, texts or None, and none of "
            f"{', '.join(RESERVED)}; 'none' has no options. Received: positions={dict(found)!r}."
        )
    return found["name"], options


def check(positions: Positions, num_heads: int) -> None:
    """Raises ValueError unless positions are None, or of a kind that there is, with options that it takes."""
    if positions is None:
        return
    name, _ = named(positions)
    if name in ADDED:
        input_encoding(positions, 1 if name == "learned" else None)
    attention_terms(positions, num_heads)


def input_encoding(
    positions: Positions, max_length: int | None = None, initializer: Any = None, **kwargs: Any
) -> keras.layers.Layer | None:
    """A new layer that adds positions to the input, or None where attention alone knows them.

    Args:
        positions: a kind; None for "learned" where there is `max_length`, else "sinusoid".
        max_length: number of learned positions; None for other kinds.
        initializer: of learned positions, where no option says another; None for the layer's own.
        **kwargs: `name`, `dtype`.

    Raises:
        ValueError: "learned" without `max_length`, or another kind with it.
    """
    name, options = named(positions, "sinusoid" if max_length is None else "learned")
    if (name == "learned") != (max_length is not None):
        raise ValueError(
            "`max_length` must be given for learned positions, and for no others. "
            f"Received: max_length={max_length}, positions={name!r}."
        )
    if name not in ADDED:
        return None
    if name == "learned":
        own = {} if initializer is None else {"initializer": initializer}
        kwargs = {**kwargs, **own, "max_length": max_length}
    return ADDED[name](**{**kwargs, **options})


def encoded(encoding: keras.layers.Layer | None, hidden: Any, start_index: Any = 0) -> Any:
    """`hidden`, (B, T, D), with what `input_encoding` made added to it."""
    return hidden if encoding is None else encoding(hidden, start_index=start_index)


def attention_terms(positions: Positions, num_heads: int, causal: bool = False, **kwargs: Any) -> dict:
    """What a self-attention is given for its positions: {}, {"rotary": ...} or {"position_bias": ...}.

    Args:
        positions: a kind, or None.
        num_heads: H of the attention.
        causal: whether no query sees a key behind it: all buckets of "relative_bias" are then for the past.
        **kwargs: `dtype`.
    """
    name, options = named(positions)
    if name not in ATTENDED:
        return {}
    argument = "rotary" if name == "rotary" else "position_bias"
    own = {"num_heads": num_heads} if name in ("alibi", "relative_bias") else {}
    own |= {"bidirectional": not causal} if name == "relative_bias" else {}
    return {argument: ATTENDED[name](**{**kwargs, **own, **options}, name=argument)}


def is_shared(positions: Positions) -> bool:
    """Whether all layers of a stack are given the same `attention_terms`, as in T5."""
    return named(positions)[0] == "relative_bias"

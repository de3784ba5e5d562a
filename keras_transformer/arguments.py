"""Errors of constructors' and calls' arguments: the rule, then what came."""

import functools
import inspect
import math
from collections.abc import Iterable
from numbers import Real
from typing import Any, get_args, is_typeddict

import keras
import numpy as np
from keras import ops

from keras_transformer.types import Shape, Tensor

# Of every layer and model, beside its own.
KERAS_ARGUMENTS = ("name", "dtype", "trainable")


def is_size(value: object, least: float = 1) -> bool:
    """Whether a value is an integer, and no bool, of at least `least`."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def is_number(value: object) -> bool:
    """Whether a value is a finite number, and no bool."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _check(rule, holds, arguments):
    for name, value in arguments.items():
        if not holds(value):
            raise ValueError(f"`{name}` must be {rule}. Received: {name}={value!r}.")


def check_sizes(**sizes: object) -> None:
    """Raises unless each is a positive integer: True, 2.0 and "2" are none."""
    _check("a positive integer", is_size, sizes)


def check_counts(**counts: object) -> None:
    """Raises unless each is an integer, 0 or above."""
    _check("an integer, 0 or above", lambda value: is_size(value, 0), counts)


def check_optional_sizes(**sizes: object) -> None:
    """Raises unless each is a positive integer or None: zero does not mean "by default"."""
    _check("a positive integer or None", lambda value: value is None or is_size(value), sizes)


def check_rates(**rates: object) -> None:
    """Raises unless each is a probability of dropping something, which cannot be all."""
    _check("a number in 0 <= p < 1", lambda value: is_number(value) and 0 <= value < 1, rates)


def check_positive(**numbers: object) -> None:
    """Raises unless each is a finite number above zero."""
    _check("a positive number", lambda value: is_number(value) and value > 0, numbers)


def check_not_negative(**numbers: object) -> None:
    """Raises unless each is a finite number, 0 or above."""
    _check("a number, 0 or above", lambda value: is_number(value) and value >= 0, numbers)


def check_choices(choices: Iterable[object], **values: object) -> None:
    """Raises unless each is one of the choices."""
    _check(f"one of {list(choices)}", lambda value: value in choices, values)


def check_integers(**integers: object) -> None:
    """Raises unless each is an integer, of any sign."""
    _check("an integer", lambda value: is_size(value, -math.inf), integers)


def check_layers(**layers: Any) -> None:
    """Raises unless each is a layer: a name stands for none."""
    _check("a Keras layer", lambda value: isinstance(value, keras.layers.Layer), layers)


def check_classes(num_classes: int) -> None:
    """Raises unless there are at least two classes."""
    if not is_size(num_classes, 2):
        raise ValueError(f"`num_classes` must be an integer above 1. Received: num_classes={num_classes!r}.")


def check_heads(hidden_dim: int, num_heads: int, key_dim: int | None = None) -> None:
    """Raises unless the width divides into heads, or a head's width is given."""
    if key_dim is None and hidden_dim % num_heads:
        raise ValueError(
            "`hidden_dim` must be a multiple of `num_heads`, unless `key_dim` is given. "
            f"Received: hidden_dim={hidden_dim}, num_heads={num_heads}."
        )


def check_shapes(rank: int | None, **shapes: Shape | None) -> None:
    """Raises unless each shape has `rank` axes (any number if None), the last of them known and not zero."""
    for name, shape in shapes.items():
        if shape is not None and (rank not in (None, len(shape)) or not shape or not is_size(shape[-1])):
            axes = "axes" if rank is None else f"{rank} axes"
            raise ValueError(
                f"`{name}` must have {axes}, the last of them of a known size above zero. "
                f"Received: shape={_sizes(shape)}."
            )


def check_vectors(shape: Shape, **tensors: Tensor) -> None:
    """Raises unless each tensor holds floats and has a shape; None is a size that is free or not known."""
    for name, tensor in tensors.items():
        dtype = keras.backend.standardize_dtype(tensor.dtype)
        if not keras.backend.is_float_dtype(dtype) or not _fits(tuple(tensor.shape), shape):
            raise ValueError(
                f"`{name}` must hold floats and have the shape {_sizes(shape)}. "
                f"Received: shape={_sizes(tensor.shape)}, dtype={dtype}."
            )


def check_masks(shape: Shape, **masks: Tensor | None) -> None:
    """Raises unless each mask that is given has the shape (B, T) of what it masks; None is not known."""
    for name, mask in masks.items():
        if mask is not None and not _fits(tuple(mask.shape), shape):
            raise ValueError(
                f"`{name}` must have the shape (batch, length) of what it masks, {_sizes(shape)}. "
                f"Received: shape={_sizes(mask.shape)}."
            )


def _fits(shape, wanted):
    both = zip(_sizes(shape), _sizes(wanted), strict=False)
    return len(shape) == len(wanted) and all(a == b or a is None or b is None for a, b in both)


def _sizes(shape):
    return tuple(size if isinstance(size, int) else None for size in shape)


def known_value(x: Tensor) -> np.ndarray | None:
    """The value of a number or tensor as NumPy's, or None where there is none yet: inside a graph."""
    try:
        return ops.convert_to_numpy(x)
    except Exception:  # symbolic: each backend has its own error for "no value yet"
        return None


class KnownArguments:
    """Mixed into a layer or a model: names that it does not take are refused with those that it takes.

    `class MyLayer(KnownArguments, keras.layers.Layer)`. Keras names the stranger alone, and in a call not
    even the layer. And what its constructor takes is kept as attributes and returned by `get_config`: a class
    says there only what JSON does not hold, or what has another name as an attribute.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        strangers = kwargs.keys() - _constructor_arguments(type(self))
        if strangers:
            names = [*_parameters(type(self).__init__), *KERAS_ARGUMENTS]
            raise ValueError(_no_such_argument(type(self), strangers, names))
        super().__init__(*args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return config | {
            name: getattr(self, name) for name in _own_arguments(type(self)) if name not in config
        }

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        names = _parameters(type(self).call)
        strangers = kwargs.keys() - set(names)
        if strangers and not _takes_any(type(self).call):
            strangers -= self._call_context_args
            if strangers:
                raise TypeError(_no_such_argument(type(self), strangers, names, "A call of "))
        return super().__call__(*args, **kwargs)


def _no_such_argument(cls, strangers, names, prefix=""):
    quoted = ", ".join(f"`{name}`" for name in sorted(strangers))
    return f"{prefix}`{cls.__name__}` takes {', '.join(f'`{name}`' for name in names)}. Received: {quoted}."


@functools.cache
def _parameters(function):
    """Names of a function's arguments, without `self` and `*args`; of `**fields: Unpack[...]` its keys."""
    found = inspect.signature(function).parameters.values()
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    names = [each.name for each in found if each.kind not in variable and each.name != "self"]
    unpacked = [key for each in found for kind in get_args(each.annotation) for key in _typed_keys(kind)]
    return [*names, *unpacked]


def _typed_keys(kind):
    return kind.__annotations__ if is_typeddict(kind) else ()


@functools.cache
def _takes_any(function):
    found = inspect.signature(function).parameters.values()
    return any(each.kind == inspect.Parameter.VAR_KEYWORD for each in found)


@functools.cache
def _own_arguments(cls):
    """What the constructors of this library take by name; a `LayerConfig` is returned by its fields."""
    ours = (base for base in cls.__mro__ if base.__module__.startswith("keras_transformer."))
    inits = (vars(base).get("__init__") for base in ours)
    found = [inspect.signature(init).parameters.values() for init in inits if init is not None]
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    names = dict.fromkeys(each.name for group in found for each in group if each.kind in kinds)
    return [name for name in names if name not in ("self", "config")]


@functools.cache
def _constructor_arguments(cls):
    """What a class and those below it take: each hands on what is not its own."""
    inits = (vars(base).get("__init__") for base in cls.__mro__ if base is not object)
    names = {name for init in inits if init is not None for name in _parameters(init)}
    return names | {"input_shape", "input_dim"}  # Keras warns of them

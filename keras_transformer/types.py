"""Names in the library's annotations. Shapes and ranges are in the docstrings: no annotation can say them."""

import os
from collections.abc import Callable
from typing import Any, TypeAlias

# Of any backend, symbolic or not; mostly NumPy's arrays and nested lists are taken, too.
Tensor: TypeAlias = Any
# Tensors in dictionaries, lists and tuples.
Tree: TypeAlias = Any
# Sizes; None is one that is not known. Any, for who has looked: a checker would have each size looked at.
Shape: TypeAlias = tuple[int | Any, ...]
StrPath: TypeAlias = str | os.PathLike[str]
# What Keras makes an activation, an initializer, ... of: a name, a configuration, or what can be called.
Identifier: TypeAlias = str | dict[str, Any] | Callable[..., Any]

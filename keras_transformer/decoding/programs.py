"""Programs that are compiled once for a model, a search and a shape, and kept as long as the model is.

The one place of this package that knows the backends apart: each compiles in a way of its own.
"""

import contextlib
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import keras

from keras_transformer.types import Tree

# Of one model; the one that has not been used for the longest time goes first.
MAX_PROGRAMS = 32

_lock = threading.Lock()
# Neither a program nor what is kept beside it holds the model: with the last reference to it all go.
_kept = weakref.WeakKeyDictionary()


def call(function: Callable[..., Tree], model: Any, arrays: Tree, *settings: Any) -> Tree:
    """`function(model, arrays, *settings)`, compiled on TensorFlow and JAX.

    Weights that change are seen. A model whose variables or dtype policies are others than before is compiled
    anew. Inside a `tf.function` or a `jax.jit` of the caller's this is an ordinary call.

    Args:
        function: of the model, tensors and settings; it keeps no reference to the model.
        model: what holds `variables`; it has been built.
        arrays: tree of tensors. On TensorFlow one program serves all numbers of rows, and all lengths where
            a tensor has two axes; on JAX each shape has a program of its own.
        settings: hashable, and without a reference to the model.
    """
    if keras.backend.backend() not in ("tensorflow", "jax") or is_traced(arrays):
        return function(model, arrays, *settings)
    make = {"tensorflow": _tensorflow_program, "jax": _jax_program}[keras.backend.backend()]
    state = _state(model)
    shapes = [(path, x.dtype, _relaxed(x.shape)) for path, x in keras.tree.flatten_with_path(arrays)]
    key = (function, settings, tuple(shapes))
    with _lock:
        programs = _kept.get(model)
        if programs is None or not programs.fits(state):
            programs = _kept[model] = _Programs(state)
        if key not in programs.by_key:
            programs.by_key[key] = make(function, weakref.ref(model), arrays, settings)
            if len(programs.by_key) > MAX_PROGRAMS:
                programs.by_key.popitem(last=False)
        programs.by_key.move_to_end(key)
        program = programs.by_key[key]
    return program(arrays)


def is_traced(arrays: Tree) -> bool:
    """Whether the caller is compiling already."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return not tf.executing_eagerly()
    if keras.backend.backend() == "jax":
        import jax

        return any(isinstance(x, jax.core.Tracer) for x in keras.tree.flatten(arrays))
    return False


def without_gradients() -> AbstractContextManager:
    """A context in which PyTorch keeps nothing for a gradient; the other backends keep nothing anyway."""
    if keras.backend.backend() == "torch":
        import torch

        return torch.no_grad()
    return contextlib.nullcontext()


def step_by_step() -> AbstractContextManager:
    """A context in which JAX runs loops in Python, as TensorFlow and PyTorch do where nothing is compiled."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.disable_jit()
    return contextlib.nullcontext()


class _Programs:
    """The programs of one model, and what of the model is built into them."""

    def __init__(self, state):
        self.variables, self.policies = state
        self.by_key = OrderedDict()

    def fits(self, state):
        variables, policies = state
        same = len(variables) == len(self.variables) and policies == self.policies
        # By identity, of variables that are held: a number of a variable that is gone may be given again.
        return same and all(a is b for a, b in zip(variables, self.variables, strict=True))


def _state(model):
    """Variables, and names of the dtype policies of all layers."""
    policies = []
    for part in getattr(model, "models", [model]):
        if isinstance(part, keras.Layer):
            # No public name lists the layers of a model, those inside others included.
            policies += [layer.dtype_policy.name for layer in part._flatten_layers()]
    return list(getattr(model, "variables", ())), policies


def _relaxed(shape):
    """On TensorFlow None for the axes that change from batch to batch."""
    shape = tuple(shape)
    if keras.backend.backend() != "tensorflow" or not shape:
        return shape
    return (None, None) if len(shape) == 2 else (None, *shape[1:])


def _tensorflow_program(function, model_of, arrays, settings):
    import tensorflow as tf

    specs = keras.tree.map_structure(lambda x: tf.TensorSpec(_relaxed(x.shape), x.dtype), arrays)

    def run(arrays):
        return function(model_of(), arrays, *settings)

    return tf.function(run, input_signature=[specs], autograph=False)


def _jax_program(function, model_of, arrays, settings):
    import jax

    @jax.jit
    def run(values, arrays):
        # As arguments: a weight that is read would become a constant of the program.
        variables = getattr(model_of(), "variables", ())
        with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
            return function(model_of(), arrays, *settings)

    return lambda arrays: run([variable.value for variable in getattr(model_of(), "variables", ())], arrays)

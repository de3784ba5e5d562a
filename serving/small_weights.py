"""Weights that lie small in an export's files, int8, float16 or bfloat16, and are float32 in memory.

A server answers with them as fast as with float32: they are made float32 once, by the operation that restores
them, in TF Serving and in `tf.saved_model.load`. Nothing small stays in memory beside them.

int8 is of weights alone: w = values * scales, |values| <= 127, with one scale for each output of a kernel and
for each row of an embedding. Biases, norms, and whatever else is neither stay float32, in the files too.
"""

import math
import re

import keras
import tensorflow as tf

from keras_transformer.layers.position_bias import PositionBias
from keras_transformer.saving.layer_paths import layer_paths

# As Keras and the library call them: matrices of products, and tables of which rows are read.
KERNELS = ("kernel", "recurrent_kernel", "reverse_embeddings")
TABLES = ("embeddings",)


class SmallWeight(tf.saved_model.experimental.TrackableResource):
    """A float32 variable whose value is small in the files; saved and loaded as what it is, a resource.

    Args:
        variable: a `tf.Variable`, which stays as it is until `round`.
        name: of the weight in its model, which no other has.
        kind: int8, float16 or bfloat16.
        axes: over which int8 weights share a scale.
    """

    def __init__(self, variable, name, kind, axes):
        super().__init__()
        self._variable = variable
        self._name = name
        self._kind = kind
        self._axes = axes
        # What the functions capture, and what an export replaces by a variable of its own.
        self.resource_handle  # noqa: B018  makes it, outside of any graph

    def __repr__(self):
        return f"SmallWeight({self._name}, {self._kind}, {tuple(self._variable.shape)})"

    @property
    def saved_bytes(self) -> int:
        """How many bytes fewer it takes in the files."""
        shape = self._variable.shape
        size, per_scale = shape.num_elements(), math.prod(shape[axis] for axis in self._axes)
        return 3 * size - 2 * size // per_scale if self._kind == "int8" else 2 * size

    def round(self) -> None:
        """Gives the variable the value that is read from the files.

        Raises:
            ValueError: a value is beyond float16.
        """
        self._restore_from_tensors(self._serialize_to_tensors())
        if not bool(tf.reduce_all(tf.math.is_finite(self._variable))):
            raise ValueError(
                f"A weight must lie within the range of {self._kind}: float16 ends at 65504. "
                f"Received: {self._name}, with a larger one."
            )

    # By these names TensorFlow finds them.
    def _create_resource(self):
        if tf.executing_eagerly():
            return self._variable.handle
        # The loader of Python makes the name another one each time.
        handle = tf.raw_ops.VarHandleOp(
            dtype=self._variable.dtype, shape=self._variable.shape, shared_name=f"small/{self._name}"
        )
        if tf.inside_function():  # in Python, where it is read once before it is restored
            tf.raw_ops.AssignVariableOp(resource=handle, value=tf.zeros(self._variable.shape))
        return handle

    def _destroy_resource(self):
        tf.raw_ops.DestroyResourceOp(resource=self.resource_handle)

    def _serialize_to_tensors(self):
        value = tf.raw_ops.ReadVariableOp(resource=self.resource_handle, dtype=self._variable.dtype)
        value = tf.ensure_shape(value, self._variable.shape)
        if self._kind != "int8":
            return {self._kind: tf.cast(value, self._kind)}
        # 8 bits of a scale times 7 of a value are exact: what was rounded is rounded to itself.
        scales = tf.cast(tf.reduce_max(tf.abs(value), self._axes, keepdims=True) / 127, tf.bfloat16)
        steps = tf.round(tf.math.divide_no_nan(value, tf.cast(scales, tf.float32)))
        return {"int8": tf.cast(tf.clip_by_value(steps, -127, 127), tf.int8), "scales": scales}

    def _restore_from_tensors(self, tensors):
        value = tf.cast(tensors[self._kind], tf.float32)
        if self._kind == "int8":
            value *= tf.cast(tensors["scales"], tf.float32)
        return tf.raw_ops.AssignVariableOp(resource=self.resource_handle, value=value)


def of(model: keras.Model, kind: str) -> list:
    """What an export saves of a model: its variables, those of kernels and embeddings as `SmallWeight`s.

    Args:
        model: built, with float32 weights.
        kind: int8, float16 or bfloat16.
    """
    owners = {}
    # Inner layers have the last word, also where an outer one shares them.
    for path, layer in sorted(layer_paths(model).items(), key=lambda item: item[0].count("/")):
        owners |= {id(variable): (f"{path}/{variable.name}", layer) for variable in layer.weights}

    def stored(variable):
        name, layer = owners.get(id(variable), (variable.name, None))
        is_large = variable.name in KERNELS + TABLES and len(variable.shape) > 1
        # A bias of the scores is small, and scores are sensitive.
        if variable.dtype != "float32" or not is_large or isinstance(layer, PositionBias):
            return variable.value
        return SmallWeight(variable.value, name, kind, _axes(variable, layer))

    return [stored(variable) for variable in model.variables]


def _axes(variable, layer):
    """The axes of a weight that are summed over, within one of its outputs; of a table those of a row."""
    axes = list(range(len(variable.shape)))
    if variable.name in TABLES:
        return axes[1:]
    if isinstance(layer, keras.layers.EinsumDense):
        _, kernel, outputs = re.split(",|->", layer.equation)
        return [axis for axis, letter in enumerate(kernel) if letter not in outputs]
    return axes[:-1]

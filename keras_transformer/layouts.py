"""Model parallelism: layouts for `keras.distribution.ModelParallel`, on the JAX backend."""

import keras


def model_parallel(
    device_mesh: keras.distribution.DeviceMesh, axis: str = "model"
) -> keras.distribution.LayoutMap:
    """The layout of all attention and feed-forward weights, and of embeddings, of the zoo's Transformers.

    As in Megatron (Shoeybi et al. 2019, section 3): attention is split by heads, the feed-forward network by
    its inner width, the embedding by the vocabulary; of each pair of products the second sums over what the
    first split. What is not named here, norms and the biases that are added after such a sum, every device
    holds.

        devices = keras.distribution.DeviceMesh((2, 4), ["batch", "model"])
        layout = layouts.model_parallel(devices)
        keras.distribution.set_distribution(
            layouts.ModelParallel(layout_map=layout, batch_dim_name="batch")
        )
        model = models.Transformer(...)  # after that, then compile and fit as ever

    Args:
        device_mesh: a `keras.distribution.DeviceMesh`. With `keras.distribution.ModelParallel` the numbers of
            heads, the inner widths and the vocabularies must be multiples of the mesh's size along `axis`;
            with `layouts.ModelParallel` those that are not stay whole.
        axis: name of the mesh's axis along which weights are split.

    Raises:
        ValueError: the mesh has no such axis.
    """
    if axis not in device_mesh.axis_names:
        raise ValueError(f"`axis` must be one of {device_mesh.axis_names}. Received: axis={axis!r}.")
    layout = keras.distribution.LayoutMap(device_mesh)
    # Of multi-head attention alone: ConvS2S and recurrent scores have maps of these names without heads, and
    # `SpatialSelfAttention` (attention_1/attention) has one head.
    heads = r".*(?<!attention_\d)/attention/(query|key|value)"
    layout[f"{heads}/kernel"] = (None, axis, None)  # (D, H, K)
    layout[f"{heads}/bias"] = (axis, None)
    layout[r".*(?<!attention_\d)/attention/attention_output/kernel"] = (axis, None, None)  # (H, K, D)
    layout[r".*/network/intermediate/kernel"] = (None, axis)
    layout[r".*/network/intermediate/bias"] = (axis,)
    layout[r".*/network/output/kernel"] = (axis, None)
    # (V, D). The two rows of segments are for no number of devices.
    layout[r".*(?<!segment_)embedding/embeddings"] = (axis, None)
    layout[r".*embedding/reverse_embeddings"] = (None, axis)
    return layout


class ModelParallel(keras.distribution.ModelParallel):
    """`keras.distribution.ModelParallel`, but what cannot be split evenly is whole on every device.

    JAX splits only evenly: three heads among two devices, or a vocabulary of 32,001, would be an error. The
    arguments are Keras's.
    """

    def get_variable_layout(self, variable: keras.Variable) -> keras.distribution.TensorLayout:
        layout = super().get_variable_layout(variable)
        if not isinstance(layout, keras.distribution.TensorLayout):
            return layout
        parts = dict(zip(self.device_mesh.axis_names, self.device_mesh.shape, strict=True))
        if len(layout.axes) != len(variable.shape):  # another layer's weight of the same name
            return keras.distribution.TensorLayout([None] * len(variable.shape), self.device_mesh)
        split = zip(layout.axes, variable.shape, strict=True)
        axes = tuple(None if axis is None or size % parts[axis] else axis for axis, size in split)
        return (
            layout if axes == tuple(layout.axes) else keras.distribution.TensorLayout(axes, self.device_mesh)
        )

"""Which weights are split among devices: for `keras.distribution.ModelParallel`, on the JAX backend."""

import keras


def model_parallel(device_mesh, axis="model") -> keras.distribution.LayoutMap:
    """The layout of all attention and feed-forward weights, and of embeddings, of the zoo's Transformers.

    As in Megatron (Shoeybi et al. 2019, section 3): attention is split by heads, the feed-forward network by
    its inner width, the embedding by the vocabulary; of each pair of products the second sums over what the
    first split. What is not named here, norms and the biases that are added after such a sum, every device
    holds.

        devices = keras.distribution.DeviceMesh((2, 4), ["batch", "model"])
        layout = layouts.model_parallel(devices)
        keras.distribution.set_distribution(
            keras.distribution.ModelParallel(layout_map=layout, batch_dim_name="batch")
        )
        model = models.Transformer(...)  # after that, then compile and fit as ever

    Args:
        device_mesh: a `keras.distribution.DeviceMesh`. The numbers of heads, the inner widths and the
            vocabularies must be multiples of the mesh's size along `axis`.
        axis: name of the mesh's axis along which weights are split.

    Raises:
        ValueError: the mesh has no such axis.
    """
    if axis not in device_mesh.axis_names:
        raise ValueError(f"`axis` must be one of {device_mesh.axis_names}. Received: axis={axis!r}.")
    layout = keras.distribution.LayoutMap(device_mesh)
    layout[r".*/(query|key|value)/kernel"] = (None, axis, None)  # (D, H, K)
    layout[r".*/(query|key|value)/bias"] = (axis, None)
    layout[r".*/attention_output/kernel"] = (axis, None, None)  # (H, K, D)
    layout[r".*/network/intermediate/kernel"] = (None, axis)
    layout[r".*/network/intermediate/bias"] = (axis,)
    layout[r".*/network/output/kernel"] = (axis, None)
    layout[r".*embedding.*/embeddings"] = (axis, None)  # (V, D)
    return layout

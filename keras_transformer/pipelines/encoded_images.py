"""Image files to pixels, in a TensorFlow graph."""

from typing import Any

import numpy as np

from keras_transformer.installation import needs

with needs("text"):
    import tensorflow as tf


def as_images(images: Any, image_shape: tuple[int, int, int]) -> np.ndarray:
    """Pixels (N, H, W, C) as an array.

    Raises:
        ValueError: they are not of that shape: one image, a file's name, a file's bytes.
    """
    rule = f"`images` must be pixels, (N, {', '.join(map(str, image_shape))})."
    if isinstance(images, str | bytes):
        raise ValueError(f"{rule} Received: one {type(images).__name__}; a file must be decoded first.")
    array = np.asarray(images)
    if array.dtype.kind not in "uif" or array.ndim != 4 or array.shape[1:] != tuple(image_shape):
        raise ValueError(f"{rule} Received: shape {array.shape}, {array.dtype}.")
    return array


def decode_images(encoded: tf.Tensor, image_shape: tuple[int, int, int]) -> tf.Tensor:
    """JPEG, PNG, GIF or BMP bytes -> pixels of one size.

    Args:
        encoded: strings, (B,). Bytes that are no image fail with InvalidArgumentError.
        image_shape: (H, W, C), C 1 or 3: all images are resized to it, with antialiasing.

    Returns:
        uint8, (B, H, W, C). Of an animation the first frame.

    Raises:
        ValueError: one image is given that is not in a batch.
    """
    encoded = tf.convert_to_tensor(encoded, tf.string)
    if encoded.shape.rank not in (None, 1):
        raise ValueError(f"`encoded` must be a batch of strings, (B,). Received: shape {encoded.shape}.")
    *size, channels = image_shape

    def decode(image_bytes):
        image = tf.io.decode_image(image_bytes, channels, expand_animations=False)
        image = tf.image.resize(image, size, antialias=True)
        return tf.cast(tf.clip_by_value(tf.round(image), 0, 255), tf.uint8)

    return tf.map_fn(decode, encoded, fn_output_signature=tf.TensorSpec(image_shape, tf.uint8))

"""Image files to pixels, in a TensorFlow graph."""

from collections.abc import Sequence

import tensorflow as tf

from keras_transformer.types import Tensor


def decode_images(encoded: Tensor, image_shape: Sequence[int]) -> tf.Tensor:
    """JPEG, PNG, GIF or BMP bytes -> pixels of one size.

    Args:
        encoded: strings, (B,). Bytes that are no image fail with InvalidArgumentError.
        image_shape: (H, W, C), C 1 or 3: all images are resized to it, with antialiasing.

    Returns:
        uint8, (B, H, W, C). Of an animation the first frame.
    """
    *size, channels = image_shape

    def decode(image_bytes):
        image = tf.io.decode_image(image_bytes, channels, expand_animations=False)
        image = tf.image.resize(image, size, antialias=True)
        return tf.cast(tf.clip_by_value(tf.round(image), 0, 255), tf.uint8)

    return tf.map_fn(decode, encoded, fn_output_signature=tf.TensorSpec(image_shape, tf.uint8))

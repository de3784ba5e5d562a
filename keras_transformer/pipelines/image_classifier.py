"""Image bytes to classes, as functions that run in a TensorFlow graph."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_transformer.installation import needs
from keras_transformer.pipelines import guards
from keras_transformer.pipelines.base import Pipeline
from keras_transformer.pipelines.encoded_images import as_images, decode_images
from keras_transformer.pipelines.guards import Limits
from keras_transformer.pipelines.signatures import IMAGE_LIMITS, Served, graph, image_requests
from keras_transformer.saving.run_files import image_facts

with needs("text"):
    import tensorflow as tf


class ImageClassifier(Pipeline):
    """Says what images show, with an `AttentionCNN` or a `VisionTransformer`; can be exported as it is.

    Args:
        model: images (B, H, W, C) -> logits (B, number of classes).
        classes: names of the classes, in the order of the logits.
        image_shape: (H, W, C), to which encoded images are resized.

    Raises:
        ValueError: there is another number of names than of classes.
    """

    model_name = "an image classifier"

    def __init__(self, model: keras.Model, classes: Sequence[str], image_shape: Sequence[int]):
        super().__init__(model, "image_classifier")
        if len(classes) != model.num_classes:
            raise ValueError(
                f"`classes` must have a name for each of the model's {model.num_classes}. "
                f"Received: {len(classes)} names."
            )
        self.classes = tuple(classes)
        self.image_shape = tuple(image_shape)

    @classmethod
    def run_arguments(cls, folder: Path) -> dict[str, Any]:
        """See `Pipeline`."""
        facts = image_facts(folder)
        if "classes" not in facts:
            raise ValueError(
                f"The run folder of {cls.model_name} names its classes. Received: {folder}, which does not."
            )
        return facts

    def __repr__(self) -> str:
        return self.described(f"{len(self.classes)} classes, images {self.image_shape}")

    def served(self, limits: Limits) -> Served:
        """See `Pipeline`."""

        @graph(image_bytes=tf.string)
        def classify(image_bytes):
            """`image_bytes` (B,) -> `class`, strings, `probability` (B,), `probabilities` (B, classes)."""
            probabilities = self.probabilities(guards.images(image_bytes, limits))
            names = tf.gather(tf.constant(self.classes), tf.argmax(probabilities, axis=1))
            return {
                "class": names,
                "probability": tf.reduce_max(probabilities, axis=1),
                "probabilities": probabilities,
            }

        functions = {"serving_default": classify, "classify": classify}
        return Served(
            functions,
            [self.tf_variables],
            *image_requests(functions, self.image_shape, limits),
            None,
            limits.of(*IMAGE_LIMITS),
        )

    def __call__(self, encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Image bytes, strings (B,) -> names of classes, strings (B,), and their probabilities, (B,)."""
        probabilities = self.probabilities(encoded)
        best = tf.argmax(probabilities, axis=1)
        return tf.gather(tf.constant(self.classes), best), tf.reduce_max(probabilities, axis=1)

    def probabilities(self, encoded: tf.Tensor) -> tf.Tensor:
        """Image bytes, strings (B,) -> float32 (B, number of classes), rows sum to 1."""
        logits = self.model(decode_images(encoded, self.image_shape), training=False)
        return tf.nn.softmax(tf.cast(logits, tf.float32))

    def look(self, images: Any) -> np.ndarray:
        """How much each patch counted: `models.VisionTransformer.rollout`.

        Args:
            images: uint8, (N, H, W, C).

        Returns:
            float32, (N, H / P, W / P); an image's weights have the sum 1. What
            `attention_maps.attention_over_image` draws.

        Raises:
            ValueError: the model has no patches, or `images` is something else.
        """
        if not hasattr(self.model, "rollout"):
            raise ValueError(
                "`look` is for a `VisionTransformer`, which weighs patches. "
                f"Received: a model of the class {type(self.model).__name__}."
            )
        return self.model.rollout(tf.constant(as_images(images, self.image_shape), tf.uint8)).numpy()

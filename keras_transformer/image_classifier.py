"""Image bytes to classes, as functions that run in a TensorFlow graph."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import keras
import tensorflow as tf

from keras_transformer.checkpoints import checkpoint_path
from keras_transformer.encoded_images import decode_images
from keras_transformer.model_files import load_model
from keras_transformer.run_files import image_facts
from keras_transformer.types import StrPath, Tensor


class ImageClassifier(tf.Module):
    """Says what images show, with a `models.AttentionCNN`; can be exported as it is.

    Args:
        model: images (B, H, W, C) -> logits (B, number of classes).
        classes: names of the classes, in the order of the logits.
        image_shape: (H, W, C), to which encoded images are resized.

    Raises:
        ValueError: there is another number of names than of classes.
    """

    def __init__(self, model: keras.Model, classes: Sequence[str], image_shape: Sequence[int]):
        super().__init__(name="image_classifier")
        if len(classes) != model.num_classes:
            raise ValueError(
                f"`classes` must have a name for each of the model's {model.num_classes}. "
                f"Received: {len(classes)} names."
            )
        self.model = model
        self.classes = tuple(classes)
        self.image_shape = tuple(image_shape)
        # A tf.Module does not see the variables inside Keras's; without them an export has none.
        self.tf_variables = [variable.value for variable in model.variables]

    @classmethod
    def from_run(cls, run_folder: StrPath, checkpoint: str | None = None) -> Self:
        """Loads what `training.train` made of an `attention_cnn`.

        Args:
            run_folder: a folder with model.keras and images.json.
            checkpoint: which model of `run_folder`, see `checkpoint_path`; model.keras if None.

        Raises:
            ValueError: the folder is no such run folder, or there is no such checkpoint.
        """
        facts = image_facts(run_folder) if (Path(run_folder) / "images.json").is_file() else {}
        if "classes" not in facts:
            raise ValueError(
                "The run folder of an image classifier holds images.json with its classes. "
                f"Received: {run_folder}, which does not."
            )
        model = load_model(checkpoint_path(run_folder, checkpoint))
        return cls(model, facts["classes"], facts["image_shape"])

    def __call__(self, encoded: Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Image bytes, strings (B,) -> names of classes, strings (B,), and their probabilities, (B,)."""
        probabilities = self.probabilities(encoded)
        best = tf.argmax(probabilities, axis=1)
        return tf.gather(tf.constant(self.classes), best), tf.reduce_max(probabilities, axis=1)

    def probabilities(self, encoded: Tensor) -> tf.Tensor:
        """Image bytes, strings (B,) -> float32 (B, number of classes), rows sum to 1."""
        logits = self.model(decode_images(encoded, self.image_shape), training=False)
        return tf.nn.softmax(tf.cast(logits, tf.float32))

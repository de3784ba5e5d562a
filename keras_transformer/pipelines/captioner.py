"""Image bytes to captions: decoder, model and search as functions that run in a TensorFlow graph."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_transformer import arguments, decoding, tokenizers
from keras_transformer.installation import needs
from keras_transformer.pipelines import guards
from keras_transformer.pipelines.base import SearchingPipeline
from keras_transformer.pipelines.encoded_images import as_images, decode_images
from keras_transformer.pipelines.guards import Limits
from keras_transformer.pipelines.signatures import (
    IMAGE_LIMITS,
    Served,
    answers_alike,
    image_requests,
    request,
    searched,
)
from keras_transformer.saving.run_files import image_facts, length
from keras_transformer.special_ids import PAD_ID

with needs("text"):
    import tensorflow as tf


class Captioner(SearchingPipeline):
    """Describes images with a `models.ImageCaptioner`; can be exported as it is.

    `__call__` and `n_best` are for graphs and take encoded images; `caption` and `look` take arrays.

    Args:
        model: an image captioner.
        tokenizer: see `keras_transformer.tokenizers`.
        search: say `decoding.BeamSearch(max_length=32)`.
        image_shape: (H, W, C), to which encoded images are resized.

    Raises:
        ValueError: the tokenizer has another number of ids than the model.
    """

    model_name = "a captioner"
    tokenizer_name = "caption"

    def __init__(
        self,
        model: keras.Model,
        tokenizer: tokenizers.Tokenizer,
        search: decoding.Search,
        image_shape: Sequence[int],
    ):
        super().__init__(model, "captioner", tokenizer, search)
        self.image_shape = tuple(image_shape)

    @classmethod
    def run_arguments(cls, folder: Path) -> dict[str, Any]:
        """See `Pipeline`; `max_length` is that of the training data."""
        shape = image_facts(folder)["image_shape"]
        return {"image_shape": shape, "max_length": length(folder, "max_length")}

    def __repr__(self) -> str:
        return self.described(f"{self.tokenizer.vocabulary_size:,} pieces, images {self.image_shape}")

    def served(self, limits: Limits) -> Served:
        """See `Pipeline`."""
        take = functools.partial(guards.images, limits=limits)
        functions = searched(self, "caption", "image_bytes", take, ("caption", "captions"))
        warm_up, samples = image_requests(functions, self.image_shape, limits)
        if self.compiled is not None:
            image = warm_up[0][1]["image_bytes"]
            warm_up += [
                (name, request(name, "image_bytes", image * rows))
                for rows, _ in self.compiled.shapes
                for name in functions
            ]
        repeatable = answers_alike(functions, self.search)
        return Served(
            functions,
            [self.tf_variables, self.tokenizer],
            warm_up,
            [sample for sample in samples if sample[0] in repeatable],
            self.search,
            limits.of(*IMAGE_LIMITS) | {"max_steps": self.search.max_length},
        )

    def model_inputs(self, encoded: tf.Tensor) -> dict[str, tf.Tensor]:
        """Image bytes, strings (B,) -> {"image": (B, H, W, C)}."""
        return {"image": decode_images(encoded, self.image_shape)}

    def caption(self, images: Any, batch_size: int = 64) -> list[str]:
        """The best caption of each image.

        Args:
            images: uint8, (N, H, W, C).
            batch_size: images that are described together, >= 1.

        Returns:
            List of N str.

        Raises:
            ValueError: `images` is something else: one image, a file's name or bytes.
        """
        arguments.check_sizes(batch_size=batch_size)
        images, found = as_images(images, self.image_shape), []
        for start in range(0, len(images), batch_size):
            batch = {"image": tf.constant(images[start : start + batch_size], tf.uint8)}
            texts, _ = self._decoded(batch)
            found += [text.decode("utf-8", "replace") for text in texts.numpy()[:, 0]]
        return found

    # By this name `callbacks.TranslationQuality` asks whatever it measures.
    translate = caption

    def look(
        self, images: Any, layer: int | None = None, head: int | None = None
    ) -> list[tuple[list[str], np.ndarray]]:
        """The best caption of each image, piece by piece, and where was looked for each.

        Args:
            images: uint8, (N, H, W, C).
            layer: which decoder layer looks, from 0; the mean over layers if None.
            head: which head, from 0; the mean over heads if None.

        Returns:
            For each image: pieces, list of T str; weights, float32 (T, H', W').
            What `attention_maps.attention_over_image` draws.

        Raises:
            ValueError: there is no such layer or head, or `images` is something else.
        """
        images = as_images(images, self.image_shape)
        ids, _, attention = decoding.generate_with_attention(
            self.model, {"image": tf.constant(images, tf.uint8)}, self.search
        )
        for name, value, size in zip(("layer", "head"), (layer, head), attention.shape[-3:-1], strict=True):
            if value is not None and not 0 <= value < size:
                raise ValueError(f"`{name}` must be from 0 to {size - 1}. Received: {name}={value}.")
        weights = tf.cast(decoding.soft_alignment(attention, layer, head), tf.float32).numpy()[:, 0]
        grid = self.model.grid_shape(*self.image_shape[:2])
        found = []
        for row, row_weights in zip(ids.numpy()[:, 0], weights, strict=True):
            length = int(np.sum(row != PAD_ID))
            pieces = self.tokenizer.id_to_piece(tf.constant(row[:length])).numpy()
            found.append(
                (
                    [piece.decode("utf-8", "replace") for piece in pieces],
                    row_weights[:length].reshape(length, *grid),
                )
            )
        return found

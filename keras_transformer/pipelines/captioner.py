"""Image bytes to captions: decoder, model and search as functions that run in a TensorFlow graph."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_transformer import decoding, tokenizers
from keras_transformer.installation import needs
from keras_transformer.pipelines import guards
from keras_transformer.pipelines.base import Pipeline, check_vocabulary
from keras_transformer.pipelines.encoded_images import as_images, decode_images
from keras_transformer.pipelines.guards import Limits
from keras_transformer.pipelines.signatures import (
    IMAGE_LIMITS,
    LOWEST,
    Served,
    answers_alike,
    draws,
    graph,
    image_requests,
    single,
)
from keras_transformer.pipelines.text_graphs import decoded_texts, same_rows
from keras_transformer.saving.checkpoints import checkpoint_path
from keras_transformer.saving.model_files import load_model
from keras_transformer.saving.run_files import check_parts, image_facts, length
from keras_transformer.special_ids import PAD_ID

with needs("text"):
    import tensorflow as tf


class Captioner(Pipeline):
    """Describes images with a `models.ImageCaptioner`; can be exported as it is.

    `__call__` and `n_best` are for graphs and take encoded images; `translate` and `look` take arrays.

    Args:
        model: an image captioner.
        tokenizer: see `keras_transformer.tokenizers`.
        search: say `decoding.BeamSearch(max_length=32)`.
        image_shape: (H, W, C), to which encoded images are resized.

    Raises:
        ValueError: the tokenizer has another number of ids than the model.
    """

    decodes = True

    def __init__(
        self,
        model: keras.Model,
        tokenizer: tokenizers.Tokenizer,
        search: decoding.Search,
        image_shape: Sequence[int],
    ):
        super().__init__(model, "captioner")
        check_vocabulary(tokenizer, model.vocabulary_size)
        self.tokenizer = tokenizer
        self.search = search
        self.image_shape = tuple(image_shape)

    @classmethod
    def from_run(
        cls,
        run_folder: str | Path,
        search: decoding.Search | Callable[[int], decoding.Search] = decoding.BeamSearch,
        checkpoint: str | None = None,
    ) -> "Captioner":
        """Loads what `training.train` made of an `image_captioner`.

        Args:
            run_folder: a folder with model.keras, tokenizer/caption and pipeline.json.
            search: a search, or a function of `max_length` that makes one; `max_length` is then that of the
                training data.
            checkpoint: which model of `run_folder`, see `checkpoint_path`; model.keras if None.

        Raises:
            ValueError: the folder is no such run folder, or there is no such checkpoint.
        """
        folder = Path(run_folder)
        check_parts(folder, "The run folder of a captioner holds tokenizer/caption", ("tokenizer/caption",))
        facts = image_facts(folder)
        if not isinstance(search, decoding.Search):
            search = search(length(folder, "max_length"))
        model = load_model(checkpoint_path(folder, checkpoint))
        captioner = cls(
            model, tokenizers.load(folder / "tokenizer" / "caption"), search, facts["image_shape"]
        )
        return captioner.of_run(run_folder)

    def __repr__(self) -> str:
        return self.described(f"{self.tokenizer.vocabulary_size:,} pieces, images {self.image_shape}")

    def served(self, limits: Limits) -> Served:
        """See `Pipeline`."""
        best = Captioner(self.model, self.tokenizer, single(self.search), self.image_shape)

        @graph(image_bytes=tf.string)
        def caption(image_bytes):
            """`image_bytes` (B,), JPEG, PNG or BMP -> `caption` (B,), strings."""
            return {"caption": best(guards.images(image_bytes, limits))}

        @graph(image_bytes=tf.string)
        def caption_nbest(image_bytes):
            """`image_bytes` (B,) -> `captions` (B, N), strings, and `scores` (B, N), log-probabilities."""
            captions, scores = self.n_best(guards.images(image_bytes, limits))
            return {"captions": captions, "scores": tf.maximum(scores, LOWEST)}

        @graph(image_bytes=tf.string, seed=tf.int32)
        def caption_seeded(image_bytes, seed):
            """`image_bytes` (B,), strings, `seed` (B,), int32 -> as `caption_nbest`, alike each time."""
            image_bytes, seed = same_rows(image_bytes=image_bytes, seed=seed)
            captions, scores = self.n_best(guards.images(image_bytes, limits), seed)
            return {"captions": captions, "scores": tf.maximum(scores, LOWEST)}

        functions = {"serving_default": caption, "caption": caption, "caption_nbest": caption_nbest}
        if draws(self.search):
            functions["caption_seeded"] = caption_seeded
        warm_up, samples = image_requests(functions, self.image_shape, limits)
        repeatable = answers_alike(functions, self.search)
        return Served(
            functions,
            [self.tf_variables, self.tokenizer],
            warm_up,
            [(name, request) for name, request in samples if name in repeatable],
            self.search,
            limits.of(*IMAGE_LIMITS) | {"max_steps": self.search.max_length},
        )

    def __call__(self, encoded: tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
        """Image bytes, strings (B,) -> captions, strings (B,)."""
        return self.n_best(encoded, seed)[0][:, 0]

    def n_best(self, encoded: tf.Tensor, seed: tf.Tensor | None = None) -> tuple[tf.Tensor, tf.Tensor]:
        """Image bytes, strings (B,) -> captions, strings (B, N), and log-probabilities, float32 (B, N).

        The captions of a beam search differ; where there are fewer than N the rest is empty, with the score
        -inf. `seed` is of a sampling, int32, a scalar or (B,); that of the search if None.
        """
        return self._decode(decode_images(encoded, self.image_shape), seed)

    def _decode(self, image, seed=None):
        return decoded_texts(self.model, self.tokenizer, self.search, {"image": image}, seed)

    def translate(self, images: Any, batch_size: int = 64) -> list[str]:
        """The best caption of each image.

        Args:
            images: uint8, (N, H, W, C).
            batch_size: images that are described together.

        Returns:
            List of N str.

        Raises:
            ValueError: `images` is something else: one image, a file's name or bytes.
        """
        images, found = as_images(images, self.image_shape), []
        for start in range(0, len(images), batch_size):
            texts, _ = self._decode(tf.constant(images[start : start + batch_size], tf.uint8))
            found += [text.decode("utf-8", "replace") for text in texts.numpy()[:, 0]]
        return found

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

"""Image bytes to captions: decoder, model and search as functions that run in a TensorFlow graph."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import keras
import numpy as np
import tensorflow as tf

from keras_transformer import decoding, tokenizers
from keras_transformer.checkpoints import checkpoint_path
from keras_transformer.encoded_images import decode_images
from keras_transformer.model_files import load_model
from keras_transformer.run_files import data_length, image_facts
from keras_transformer.special_ids import PAD_ID
from keras_transformer.types import StrPath, Tensor


class Captioner(tf.Module):
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

    def __init__(
        self,
        model: keras.Model,
        tokenizer: tokenizers.Tokenizer,
        search: decoding.Search,
        image_shape: Sequence[int],
    ):
        super().__init__(name="captioner")
        if tokenizer.vocabulary_size != model.vocabulary_size:
            raise ValueError(
                f"The tokenizer must have the model's {model.vocabulary_size} ids. "
                f"Received: a tokenizer with {tokenizer.vocabulary_size}."
            )
        self.model = model
        self.tokenizer = tokenizer
        self.search = search
        self.image_shape = tuple(image_shape)
        # A tf.Module does not see the variables inside Keras's; without them an export has none.
        self.tf_variables = [variable.value for variable in model.variables]
        image = tf.TensorSpec([None, *self.image_shape], tf.uint8)
        self._describe = tf.function(self._decode, input_signature=[image], autograph=False)

    @classmethod
    def from_run(
        cls,
        run_folder: StrPath,
        search: decoding.Search | Callable[[int], decoding.Search] = decoding.BeamSearch,
        checkpoint: str | None = None,
    ) -> Self:
        """Loads what `training.train` made of an `image_captioner`.

        Args:
            run_folder: a folder with model.keras, tokenizer/caption, images.json and config.yaml.
            search: a search, or a function of `max_length` that makes one; `max_length` is then that of the
                training data.
            checkpoint: which model of `run_folder`, see `checkpoint_path`; model.keras if None.

        Raises:
            ValueError: the folder is no such run folder, or there is no such checkpoint.
        """
        folder = Path(run_folder)
        for part in ("config.yaml", "images.json", "tokenizer/caption"):
            if not (folder / part).exists():
                raise ValueError(
                    "The run folder of a captioner holds config.yaml, images.json, tokenizer/caption. "
                    f"Received: {folder}, without {part}."
                )
        facts = image_facts(folder)
        if not isinstance(search, decoding.Search):
            search = search(data_length(folder, "max_length"))
        model = load_model(checkpoint_path(folder, checkpoint))
        return cls(model, tokenizers.load(folder / "tokenizer" / "caption"), search, facts["image_shape"])

    def __call__(self, encoded: Tensor) -> tf.Tensor:
        """Image bytes, strings (B,) -> captions, strings (B,)."""
        return self.n_best(encoded)[0][:, 0]

    def n_best(self, encoded: Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Image bytes, strings (B,) -> captions, strings (B, N), and log-probabilities, float32 (B, N)."""
        return self._decode(decode_images(encoded, self.image_shape))

    def _decode(self, image):
        ids, scores = decoding.generate_n_best(self.model, {"image": image}, self.search)
        return self._texts(ids), scores

    def _texts(self, ids):
        batch_size, num_results, _ = tf.unstack(tf.shape(ids))
        texts = self.tokenizer.detokenize(tf.reshape(ids, (batch_size * num_results, -1)))
        return tf.reshape(texts, (batch_size, num_results))

    def translate(self, images: np.ndarray, batch_size: int = 64) -> list[str]:
        """The best caption of each image.

        Args:
            images: uint8, (N, H, W, C).
            batch_size: images that are described together.

        Returns:
            List of N str.
        """
        found = []
        for start in range(0, len(images), batch_size):
            texts, _ = self._describe(tf.constant(images[start : start + batch_size], tf.uint8))
            found += [text.decode("utf-8", "replace") for text in texts.numpy()[:, 0]]
        return found

    def look(
        self, images: np.ndarray, layer: int | None = None, head: int | None = None
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
            ValueError: there is no such layer or head.
        """
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

"""Training a masked language model: running text in windows, some tokens hidden."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_transformer import layers, metrics, models
from keras_transformer.token_masking import masked_tokens
from training.tasks.language_model import TextTask


class MaskedLanguageModel(TextTask):
    """See `Task`; the configuration is a `MaskedLanguageModelingConfig`.

    Other tokens are hidden each time that a window is seen, and always the same ones in validation. The mask
    is one id more than the tokenizer has.
    """

    signature = {"token_ids": tf.TensorSpec((None, None), tf.int32)}, tf.TensorSpec((None, None), tf.int32)

    @property
    def sizes(self) -> dict[str, Any]:
        return {"vocabulary_size": self.tokenizers["text"].vocabulary_size + 1}

    def make_example(self, tokens, generator) -> tuple[Any, Any]:
        """See `pipeline.WindowBatches`."""
        ids, labels = masked_tokens(
            tokens[:, 1:],
            self.sizes["vocabulary_size"],
            self.config.model.masked,
            seed=int(generator.integers(2**31)),
        )
        return {"token_ids": np.asarray(ids)}, np.asarray(labels)

    def random_batch(self, sizes, shape, generator) -> tuple[Any, Any]:
        ids = generator.integers(4, sizes["vocabulary_size"], shape, dtype="int32")
        return {"token_ids": ids}, ids

    def make_model(self, sizes) -> keras.Model:
        given = {
            name: value for name, value in vars(self.config.model).items() if name not in ("kind", "masked")
        }
        encoder = layers.TextEncoder(
            sizes["vocabulary_size"],
            max_length=self.config.data.window,
            num_segments=1,
            name="encoder",  # else Keras counts on, and another run's weights have other names
            **given,
        )
        model = models.MaskedLM(encoder)
        model.build()
        return model

    def metrics(self) -> list[keras.metrics.Metric]:
        return [metrics.TokenAccuracy()]

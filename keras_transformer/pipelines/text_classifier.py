"""Texts to classes: tokenizer and classifier, in a TensorFlow graph."""

from collections.abc import Iterable

import numpy as np

from keras_transformer import arguments
from keras_transformer.installation import needs
from keras_transformer.pipelines import guards
from keras_transformer.pipelines.guards import Limits
from keras_transformer.pipelines.signatures import Served, graph
from keras_transformer.pipelines.text_classes import TextClasses
from keras_transformer.pipelines.text_graphs import enclosed, ends
from keras_transformer.special_ids import PAD_ID, START_ID
from keras_transformer.texts import as_list
from keras_transformer.tokenizers import Tokenizer

with needs("text"):
    import tensorflow as tf


class TextClassifier(TextClasses):
    """Says of which class texts are, with a `models.SequenceClassifier`; can be exported as it is.

    Args, errors: those of `TextClasses`; the model gives logits (B, C).
    """

    model_name = "a text classifier"

    def served(self, limits: Limits) -> Served:
        """See `Pipeline`."""

        @graph(text=tf.string)
        def classify(text):
            """`text` (B,) -> `class`, strings, `probability` (B,), `probabilities` (B, classes)."""
            probabilities = self.probabilities(guards.text(text, limits))
            names, best = self._best(probabilities)
            return {"class": names, "probability": best, "probabilities": probabilities}

        return self.served_as("classify", classify, limits)

    def __call__(self, text: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Strings (B,) -> names of classes, strings (B,), and their probabilities, float32 (B,)."""
        return self._best(self.probabilities(text))

    def classify(
        self, texts: str | bytes | Iterable[str | bytes], batch_size: int = 128
    ) -> tuple[str, float] | list[tuple[str, float]]:
        """The class of each text, and its probability; of one text that is not in a list, one pair.

        Args:
            texts: to be classified.
            batch_size: texts that the model sees together, >= 1.
        """
        if isinstance(texts, str | bytes):
            return self.classify([texts], batch_size)[0]
        arguments.check_sizes(batch_size=batch_size)
        found, texts = [], as_list(texts)
        for start in range(0, len(texts), batch_size):
            names, probabilities = self(tf.constant(texts[start : start + batch_size]))
            names = [name.decode("utf-8") for name in names.numpy()]
            found += zip(names, probabilities.numpy().tolist(), strict=True)
        return found

    def look(self, texts: Iterable[str | bytes]) -> list[tuple[list[str], np.ndarray]]:
        """What a `models.RNNClassifier` looked at in each text.

        Returns:
            For each text its T pieces, the start token first, and their weights, float32 (T,), of sum 1.

        Raises:
            ValueError: the model is another, and weighs no words.
        """
        if not hasattr(self.model, "attention"):
            raise ValueError(
                f"Words are weighed by an RNNClassifier. Received: a {type(self.model).__name__}."
            )
        found = []
        for text in as_list(texts):
            ids = token_ids(tf.constant([text]), self.tokenizer, self.max_length).to_tensor()
            pieces = [
                piece.decode("utf-8", "replace") for piece in self.tokenizer.id_to_piece(ids[0]).numpy()
            ]
            found.append((pieces, tf.cast(self.model.attention({"token_ids": ids})[0], tf.float32).numpy()))
        return found

    def probabilities(self, text: tf.Tensor) -> tf.Tensor:
        """Strings (B,) -> float32 (B, C), in the order of `classes`; rows sum to 1."""
        ids = token_ids(text, self.tokenizer, self.max_length).to_tensor(PAD_ID)
        return tf.nn.softmax(tf.cast(self.model({"token_ids": ids}, training=False), tf.float32))

    def _best(self, probabilities):
        names = tf.gather(tf.constant(self.classes), tf.argmax(probabilities, axis=1))
        return names, tf.reduce_max(probabilities, axis=1)


def token_ids(text: tf.Tensor, tokenizer: Tokenizer, max_length: int) -> tf.RaggedTensor:
    """Strings (B,) -> what a classifier reads, int32 (B, None): the start token, and the first pieces.

    With BERT's tokenizer [CLS], the first pieces, and [SEP].
    """
    return enclosed(tokenizer.tokenize(text), *ends(tokenizer, [START_ID]), max_length)

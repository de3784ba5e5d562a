"""Text to text: tokenizer, model and search as one function that runs in a TensorFlow graph."""

from pathlib import Path

import keras
import tensorflow as tf
import yaml

from keras_transformer import decoding, tokenizers
from keras_transformer.special_ids import END_ID


class Translator(tf.Module):
    """Translates strings with a model and its tokenizers; can be exported as it is.

    Args:
        model: has `initial_state` and `decode_step`, see `models.AutoregressiveModel`.
        source_tokenizer, target_tokenizer: see `keras_transformer.tokenizers`.
        search: say `decoding.Greedy(max_length=64)`.
        max_source_length: tokens of the source that are read, the end token included; a longer source
            is cut.

    Raises:
        ValueError: a tokenizer has another number of ids than the model.
    """

    def __init__(self, model, source_tokenizer, target_tokenizer, search, max_source_length):
        super().__init__(name="translator")
        for side, tokenizer in (("source", source_tokenizer), ("target", target_tokenizer)):
            expected = getattr(model, f"{side}_vocabulary_size")
            if tokenizer.vocabulary_size != expected:
                raise ValueError(
                    f"The {side} tokenizer must have the model's {expected} ids. "
                    f"Received: a tokenizer with {tokenizer.vocabulary_size}."
                )
        self.model = model
        self.source_tokenizer = source_tokenizer
        self.target_tokenizer = target_tokenizer
        self.search = search
        self.max_source_length = max_source_length
        # A tf.Module does not see the variables inside Keras's; without them an export has none.
        self.tf_variables = [variable.value for variable in model.variables]
        self._graph = tf.function(self.__call__, input_signature=[tf.TensorSpec([None], tf.string)])

    @classmethod
    def from_run(cls, run_folder, search=None):
        """Loads what `training.train` made.

        Args:
            run_folder: a folder with model.keras, tokenizer/ and config.yaml.
            search: greedy search up to the longest target of the training data if None.

        Raises:
            ValueError: the folder is no run folder.
        """
        folder = Path(run_folder)
        parts = ["config.yaml", "model.keras", "tokenizer/source", "tokenizer/target"]
        missing = [part for part in parts if not (folder / part).exists()]
        if missing:
            raise ValueError(
                f"A run folder holds {', '.join(parts)}. Received: {folder}, without {missing[0]}."
            )
        config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
        max_length = config["data"]["max_length"]
        return cls(
            keras.models.load_model(folder / "model.keras", compile=False),
            tokenizers.load(folder / "tokenizer" / "source"),
            tokenizers.load(folder / "tokenizer" / "target"),
            search or decoding.Greedy(max_length=max_length),
            max_length,
        )

    def source_ids(self, text):
        """Strings (B,) -> int32 (B, S), cut to `max_source_length`, ended and padded."""
        pieces = self.source_tokenizer.tokenize(text)[:, : self.max_source_length - 1]
        end = tf.fill([pieces.nrows(), 1], END_ID)
        return tf.concat([pieces, end], axis=1).to_tensor()

    def __call__(self, text):
        """Strings (B,) -> translations, strings (B,)."""
        inputs = {"source_ids": self.source_ids(text)}
        ids, _ = decoding.generate(self.model, inputs, self.search)
        return self.target_tokenizer.detokenize(ids)

    def translate(self, texts, batch_size=128):
        """Translates a list of texts in graph mode, texts of similar length together.

        Args:
            texts: list of str or UTF-8 bytes.
            batch_size: texts decoded together.

        Returns:
            List of str, in the order of `texts`.
        """
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        translations = [""] * len(texts)
        for start in range(0, len(order), batch_size):
            indices = order[start : start + batch_size]
            batch = self._graph(tf.constant([texts[index] for index in indices], tf.string))
            for index, translation in zip(indices, batch.numpy(), strict=True):
                translations[index] = translation.decode("utf-8")
        return translations

    def attention(self, text):
        """Translates one text and shows what each piece of the translation attended to.

        Args:
            text: str.

        Returns:
            source pieces, list of S str; target pieces, list of T str (both with the end token); and
            the attention weights of the same pass, float32 array (N, H, T, S): layers and heads.
        """
        source_ids = self.source_ids(tf.constant([text]))
        inputs = {"source_ids": source_ids}
        ids, _, weights = decoding.generate_with_attention(self.model, inputs, self.search)
        length = int(tf.math.count_nonzero(ids[0]))  # pads follow the end
        weights = tf.transpose(tf.cast(weights[0, :length], tf.float32), (1, 2, 0, 3))
        source, target = (
            [piece.decode("utf-8") for piece in tokenizer.id_to_piece(row).numpy()]
            for tokenizer, row in (
                (self.source_tokenizer, source_ids[0]),
                (self.target_tokenizer, ids[0, :length]),
            )
        )
        return source, target, weights.numpy()

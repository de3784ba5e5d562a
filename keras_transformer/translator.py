"""Text to text: tokenizers, model and search as functions that run in a TensorFlow graph.

Legend: B texts, N hypotheses of a text, S source pieces, L longest translation in pieces.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import tensorflow as tf

from keras_transformer import decoding, tokenizers
from keras_transformer.checkpoints import checkpoint_path
from keras_transformer.hypotheses import Hypothesis, batches, read
from keras_transformer.model_files import load_model
from keras_transformer.run_files import data_length
from keras_transformer.special_ids import END_ID, PAD_ID, UNKNOWN_ID
from keras_transformer.types import StrPath, Tensor

# White space and separators; no letter, digit or sign.
BLANK = r"[\s\p{Z}]*"
# Longest target in pieces that is scored whole: memory grows with the square of the length.
MAX_SCORED_LENGTH = 1024


class Translator(tf.Module):
    """Translates strings with a model and its tokenizers; can be exported as it is.

    `__call__`, `n_best`, `score`, `align` and `tokens` are for graphs: tensors in, tensors out. `translate`
    and `hypotheses` take lists of any length.

    Args:
        model: a `models.AutoregressiveModel`, or a `decoding.Ensemble` of some.
        source_tokenizer, target_tokenizer: see `keras_transformer.tokenizers`.
        search: say `decoding.BeamSearch(max_length=64)`.
        max_source_length: tokens of the source that are read, the end token included; a longer source
            is cut.

    Raises:
        ValueError: a tokenizer has another number of ids than the model.
    """

    def __init__(
        self,
        model: Any,
        source_tokenizer: tokenizers.Tokenizer,
        target_tokenizer: tokenizers.Tokenizer,
        search: decoding.Search,
        max_source_length: int,
    ):
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
        self._graphs = {}

    @classmethod
    def from_run(
        cls,
        run_folder: StrPath,
        search: decoding.Search | Callable[[int], decoding.Search] = decoding.BeamSearch,
        others: Sequence[StrPath] = (),
        checkpoint: str | None = None,
    ) -> Self:
        """Loads what `training.train` made.

        Args:
            run_folder: a folder with model.keras, tokenizer/ and config.yaml.
            search: a search, or a function of `max_length` that makes one; `max_length` is then that of the
                training data.
            others: further run folders, with the same tokenizers, for an ensemble.
            checkpoint: which model of `run_folder`, see `checkpoint_path`; model.keras if None.

        Raises:
            ValueError: a folder is no run folder, has other tokenizers, or there is no such checkpoint.
        """
        folders = [Path(run_folder), *map(Path, others)]
        for folder in folders:
            parts = ["config.yaml", "tokenizer/source", "tokenizer/target"]
            missing = [part for part in parts if not (folder / part).exists()]
            if missing:
                raise ValueError(
                    f"A run folder holds {', '.join(parts)}. Received: {folder}, without {missing[0]}."
                )
        files = [checkpoint_path(folders[0], checkpoint), *map(checkpoint_path, folders[1:])]
        max_length = data_length(folders[0], "max_length")
        if not isinstance(search, decoding.Search):
            search = search(max_length)  # first: it costs nothing to learn that an option is wrong
        sides = []
        for folder in folders:
            sides.append([tokenizers.load(folder / "tokenizer" / side) for side in ("source", "target")])
            if [vocabulary(side) for side in sides[-1]] != [vocabulary(side) for side in sides[0]]:
                raise ValueError(
                    "The models of an ensemble must have the same tokenizers. "
                    f"Received: {folder}, whose tokenizers are not those of {folders[0]}."
                )
        loaded = [load_model(file) for file in files]
        model = decoding.Ensemble(loaded) if len(loaded) > 1 else loaded[0]
        return cls(model, sides[0][0], sides[0][1], search, max_length)

    def source_ids(self, text: Tensor) -> tf.Tensor:
        """Strings (B,) -> int32 (B, S), cut to `max_source_length`, ended and padded.

        A text of white space is an empty one, whatever the tokenizer makes of it.
        """
        text = tf.where(tf.strings.regex_full_match(text, BLANK), "", text)
        return ended(self.source_tokenizer.tokenize(text), self.max_source_length)

    def __call__(self, text: Tensor) -> tf.Tensor:
        """Strings (B,) -> translations, strings (B,). An empty text has an empty translation."""
        return self.n_best(text)[0][:, 0]

    def n_best(self, text: Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Strings (B,) -> translations, strings (B, N), and log-probabilities, float32 (B, N), best first.

        Where there are fewer than N the rest is empty, with the score -inf. All N translations of an
        empty text are empty, with the score 0.
        """
        decoded = self._decode(self.source_ids(text))
        return decoded["texts"], decoded["scores"]

    def score(self, source: Tensor, target: Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Log-probabilities of given translations.

        Args:
            source, target: strings, (B,). Of a target `MAX_SCORED_LENGTH` pieces are read, or what the
                model has positions for.

        Returns:
            by piece, float32 (B, T), the end token included and zeros at padding; and in sum, (B,).
        """
        longest = min(MAX_SCORED_LENGTH, getattr(self.model, "max_length", None) or MAX_SCORED_LENGTH)
        target_ids = ended(self.target_tokenizer.tokenize(target), longest)
        return decoding.score(self.model, {"source_ids": self.source_ids(source)}, target_ids)

    def align(self, text: Tensor, layer: int | None = None, head: int | None = None) -> dict[str, tf.Tensor]:
        """Best translations with what their pieces attended to, from one pass.

        Args:
            text: strings, (B,).
            layer, head: numbers, counted from 0; the mean over all if None.

        Returns:
            "translation" (B,), "source_tokens" (B, S) and "target_tokens" (B, T), strings with the end token,
            empty at padding; "attention" float32 (B, T, S), rows of padding are zero.
        """
        source_ids = self.source_ids(text)
        # Reduced at each step: only (B, N, L, S) is kept.
        decoded = self._decode(
            source_ids,
            attention=lambda state: decoding.soft_alignment(self.model.attention(state), layer, head),
        )
        length = tf.reduce_max(tf.reduce_sum(tf.cast(decoded["ids"][:, 0] != PAD_ID, tf.int32), axis=1))
        return {
            "translation": decoded["texts"][:, 0],
            "source_tokens": pieces(self.source_tokenizer, source_ids),
            "target_tokens": pieces(self.target_tokenizer, decoded["ids"][:, 0, :length]),
            "attention": tf.cast(decoded["attention"][:, 0, :length], tf.float32),
        }

    def tokens(self, source_ids: Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Without tokenizers: ids (B, S), ended and padded with 0 -> ids (B, N, L) and scores (B, N).

        Ids that the model does not have are read as the unknown token.
        """
        is_known = (source_ids >= 0) & (source_ids < self.source_tokenizer.vocabulary_size)
        decoded = self._decode(tf.where(is_known, source_ids, UNKNOWN_ID))
        return decoded["ids"], decoded["scores"]

    def _decode(self, source_ids, prefix_ids=None, attention=None):
        arguments = (self.model, {"source_ids": source_ids}, self.search, prefix_ids)
        if attention is None:
            (ids, scores), kept = decoding.generate_n_best(*arguments), None
        else:
            ids, scores, kept = decoding.generate_with_attention(*arguments, attention)
        # What was decoded from nothing but an end: the answer is an end, too.
        is_empty = tf.reduce_all(source_ids[:, :1] == END_ID, axis=1)[:, None]  # (B, 1), of no rows as well
        blank = tf.one_hot(0, tf.shape(ids)[2], on_value=END_ID, off_value=PAD_ID, dtype=tf.int32)
        ids = tf.where(is_empty[..., None], blank, ids)
        if kept is not None:
            is_real = tf.reshape(
                ids != PAD_ID, tf.concat([tf.shape(ids), tf.ones(len(kept.shape) - 3, tf.int32)], 0)
            )
            kept = tf.where(is_real, kept, tf.zeros_like(kept))
        batch_size, num_results, _ = tf.unstack(tf.shape(ids))
        texts = self.target_tokenizer.detokenize(tf.reshape(ids, (batch_size * num_results, -1)))
        return {
            "texts": tf.reshape(texts, (batch_size, num_results)),
            "scores": tf.where(is_empty, 0.0, scores),
            "ids": ids,
            "attention": kept,
        }

    def translate(
        self, texts: Sequence[str | bytes], batch_size: int = 128, progress: Callable | None = None
    ) -> list[str]:
        """The best translation of each text; see `hypotheses`.

        Returns:
            List of str, in the order of `texts`.
        """
        return [best.text for best, *_ in self.hypotheses(texts, batch_size, progress=progress)]

    def hypotheses(
        self,
        texts: Sequence[str | bytes],
        batch_size: int = 128,
        prefixes: Sequence[str] | None = None,
        with_attention: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> list[list[Hypothesis]]:
        """Translates a list of texts in graph mode, texts of similar length together.

        Args:
            texts: str or UTF-8 bytes.
            batch_size: texts decoded together.
            prefixes: one for each text, what its translations begin with, in whole words; None for
                nothing.
            with_attention: whether to keep pieces and attention.
            progress: called with the number of texts that have just been translated.

        Returns:
            One list for each text, in the order of `texts`: its hypotheses, at least one, best first.

        Raises:
            ValueError: a prefix holds what the target tokenizer does not know, or is too long.
        """
        given = [] if prefixes is None else [self._prefix_ids(texts, prefixes)]
        graph = self._graph(len(given), with_attention)
        results = [[] for _ in texts]
        for indices in batches(texts, batch_size):
            source = tf.constant([texts[index] for index in indices], tf.string)
            decoded = graph(source, *(tf.gather(ids, indices).to_tensor() for ids in given))
            decoded = {name: x.numpy() for name, x in decoded.items()}
            for row, index in enumerate(indices):
                results[index] = read({name: x[row] for name, x in decoded.items()})
            if progress is not None:
                progress(len(indices))
        return results

    def attention(self, text: str) -> tuple[list[str], list[str], Any]:
        """Translates one text and shows what each piece of the translation attended to.

        Args:
            text: str.

        Returns:
            source pieces, list of S str; target pieces, list of T str (both with the end token); and
            the attention weights of the same pass, float32 array (N, H, T, S): layers and heads.
        """
        best = self.hypotheses([text], with_attention=True)[0][0]
        return best.source_pieces, best.target_pieces, best.attention

    def _graph(self, num_prefixes, with_attention):
        """The traced function for batches of all shapes; made once."""

        def decode(text, prefix_ids=None):
            source_ids = self.source_ids(text)
            decoded = self._decode(source_ids, prefix_ids, self.model.attention if with_attention else None)
            if not with_attention:
                return {"texts": decoded["texts"], "scores": decoded["scores"]}
            decoded["attention"] = tf.cast(decoded["attention"], tf.float32)
            decoded["source_pieces"] = pieces(self.source_tokenizer, source_ids)
            decoded["target_pieces"] = pieces(self.target_tokenizer, decoded.pop("ids"))
            return decoded

        key = (num_prefixes, with_attention)
        if key not in self._graphs:
            signature = [tf.TensorSpec([None], tf.string)]
            signature += [tf.TensorSpec([None, None], tf.int32)] * num_prefixes
            self._graphs[key] = tf.function(decode, input_signature=signature, autograph=False)
        return self._graphs[key]

    def _prefix_ids(self, texts, prefixes):
        if len(prefixes) != len(texts):
            raise ValueError(
                "There must be one prefix for each text. "
                f"Received: {len(texts)} texts, {len(prefixes)} prefixes."
            )
        ids = self.target_tokenizer.tokenize(tf.constant(list(prefixes), tf.string))
        for prefix, row in zip(prefixes, ids, strict=True):
            if UNKNOWN_ID in row.numpy():
                raise ValueError(
                    f"A prefix must consist of what the target tokenizer knows. Received: {prefix!r}."
                )
            if len(row) >= self.search.max_length:
                raise ValueError(
                    f"A prefix must be shorter than `max_length`, {self.search.max_length} pieces. "
                    f"Received: {len(row)} pieces, {prefix!r}."
                )
        return ids


def ended(tokens: Tensor, length: int) -> tf.Tensor:
    """Ragged ids (B, None) -> int32 (B, S), cut to `length` with the end token, padded."""
    tokens = tokens[:, : length - 1]
    return tf.concat([tokens, tf.fill([tokens.nrows(), 1], END_ID)], axis=1).to_tensor()


def pieces(tokenizer: tokenizers.Tokenizer, ids: Tensor) -> tf.Tensor:
    """Ids of any shape -> pieces, strings of that shape, empty at padding."""
    return tf.where(
        ids == PAD_ID, "", tf.reshape(tokenizer.id_to_piece(tf.reshape(ids, [-1])), tf.shape(ids))
    )


def vocabulary(tokenizer: tokenizers.Tokenizer) -> list[bytes]:
    """All pieces of a tokenizer, in the order of their ids."""
    return tokenizer.id_to_piece(tf.range(tokenizer.vocabulary_size)).numpy().tolist()

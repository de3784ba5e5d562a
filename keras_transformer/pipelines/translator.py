"""Text to text: tokenizers, model and search as functions that run in a TensorFlow graph.

Legend: B texts, N hypotheses of a text, S source pieces, L longest translation in pieces.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from keras_transformer import decoding, tokenizers
from keras_transformer.installation import needs
from keras_transformer.pipelines import text_graphs, translator_signatures
from keras_transformer.pipelines.base import Pipeline
from keras_transformer.pipelines.guards import Limits
from keras_transformer.pipelines.hypotheses import Hypothesis, batches, read
from keras_transformer.pipelines.signatures import Served
from keras_transformer.pipelines.text_seeds import TextSeeds, seed_words
from keras_transformer.saving.checkpoints import checkpoint_path
from keras_transformer.saving.model_files import load_model
from keras_transformer.saving.run_files import check_parts, length
from keras_transformer.special_ids import END_ID, PAD_ID, UNKNOWN_ID
from keras_transformer.texts import as_list

with needs("text"):
    import tensorflow as tf

# White space and separators; no letter, digit or sign.
BLANK = r"[\s\p{Z}]*"
# Longest target in pieces that is scored whole: memory grows with the square of the length.
MAX_SCORED_LENGTH = 1024


class Translator(Pipeline):
    """Translates strings with a model and its tokenizers; can be exported as it is.

    `__call__`, `n_best`, `score`, `align` and `tokens` are for graphs: tensors in, tensors out. `translate`
    takes one text or a list of any length, `hypotheses` a list.

    Args:
        model: a `models.AutoregressiveModel`, or a `decoding.Ensemble` of some.
        source_tokenizer, target_tokenizer: see `keras_transformer.tokenizers`.
        search: say `decoding.BeamSearch(max_length=64)`.
        max_source_length: tokens of the source that are read, the end token included; a longer source
            is cut.

    Raises:
        ValueError: a tokenizer has another number of ids than the model.
    """

    decodes = True
    translates = True

    def __init__(
        self,
        model: Any,
        source_tokenizer: tokenizers.Tokenizer,
        target_tokenizer: tokenizers.Tokenizer,
        search: decoding.Search,
        max_source_length: int,
    ):
        super().__init__(model, "translator")
        for side, tokenizer in (("source", source_tokenizer), ("target", target_tokenizer)):
            expected = getattr(model, f"{side}_vocabulary_size")
            if tokenizer.vocabulary_size != expected:
                raise ValueError(
                    f"The {side} tokenizer must have the model's {expected} ids. "
                    f"Received: a tokenizer with {tokenizer.vocabulary_size}."
                )
        self.source_tokenizer = source_tokenizer
        self.target_tokenizer = target_tokenizer
        self.search = search
        self.max_source_length = max_source_length

    @classmethod
    def from_run(  # type: ignore[override]  # the search comes second
        cls,
        run_folder: str | Path,
        search: decoding.Search | Callable[[int], decoding.Search] = decoding.BeamSearch,
        others: Sequence[str | Path] = (),
        checkpoint: str | None = None,
    ) -> "Translator":
        """Loads what `training.train` made.

        Args:
            run_folder: a folder with model.keras, tokenizer/ and pipeline.json.
            search: a search, or a function of `max_length` that makes one; `max_length` is then that of the
                training data.
            others: further run folders, with the same tokenizers, for an ensemble.
            checkpoint: which model of `run_folder`, see `checkpoint_path`; model.keras if None.

        Raises:
            ValueError: a folder is no run folder, has other tokenizers, or there is no such checkpoint.
        """
        folders = [Path(run_folder), *map(Path, others)]
        parts = ("tokenizer/source", "tokenizer/target")
        for folder in folders:
            check_parts(folder, f"A run folder holds {', '.join(parts)}", parts)
        files = [checkpoint_path(folders[0], checkpoint), *map(checkpoint_path, folders[1:])]
        max_length = length(folders[0], "max_length")
        if not isinstance(search, decoding.Search):
            search = search(max_length)  # first: it costs nothing to learn that an option is wrong
        source, target = text_graphs.shared_tokenizers(folders)
        loaded = [load_model(file) for file in files]
        model = decoding.Ensemble(loaded) if len(loaded) > 1 else loaded[0]
        translator = cls(model, source, target, search, max_length)
        return translator.of_run(run_folder)

    def __repr__(self) -> str:
        sizes = [side.vocabulary_size for side in (self.source_tokenizer, self.target_tokenizer)]
        return self.described("{:,} source and {:,} target pieces".format(*sizes))

    @property
    def most_ids(self) -> int:
        """See `Pipeline`."""
        return self.max_source_length

    def served(self, limits: Limits, layer: int | None = None, head: int | None = None) -> Served:
        """See `Pipeline`; `layer` and `head` are those whose attention `align` returns, the mean if None."""
        return translator_signatures.served(self, limits, layer, head)

    def source_ids(self, text: tf.Tensor) -> tf.Tensor:
        """Strings (B,) -> int32 (B, S), cut to `max_source_length`, ended and padded.

        A text of white space is an empty one, whatever the tokenizer makes of it.
        """
        text = tf.where(tf.strings.regex_full_match(text, BLANK), "", text)
        return text_graphs.end_and_pad(self.source_tokenizer.tokenize(text), self.max_source_length)

    def __call__(self, text: tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
        """Strings (B,) -> translations, strings (B,). An empty text has an empty translation."""
        return self.n_best(text, seed)[0][:, 0]

    def n_best(self, text: tf.Tensor, seed: tf.Tensor | None = None) -> tuple[tf.Tensor, tf.Tensor]:
        """Strings (B,) -> translations, strings (B, N), and log-probabilities, float32 (B, N), best first.

        The translations of a beam search differ: one that is found in two segmentations is there once. Where
        there are fewer than N the rest is empty, with the score -inf. All N translations of an empty text are
        empty, with the score 0. `seed` is of a sampling, int32, a scalar or (B,); that of the search if None.
        """
        inputs = {"source_ids": self.source_ids(text)}
        decoded = self._decode(inputs if seed is None else inputs | {"seed": seed})
        return decoded["texts"], decoded["scores"]

    def score(self, source: tf.Tensor, target: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Log-probabilities of given translations.

        Args:
            source, target: strings, (B,). Of a target `MAX_SCORED_LENGTH` pieces are read, or what the
                model has positions for.

        Returns:
            by piece, float32 (B, T), the end token included and zeros at padding; and in sum, (B,).
        """
        source, target = text_graphs.same_rows(source=source, target=target)
        longest = min(MAX_SCORED_LENGTH, getattr(self.model, "max_length", None) or MAX_SCORED_LENGTH)
        target_ids = text_graphs.end_and_pad(self.target_tokenizer.tokenize(target), longest)
        return decoding.score(self.model, {"source_ids": self.source_ids(source)}, target_ids)

    def align(self, text: tf.Tensor, layer: int | None = None, head: int | None = None) -> dict:
        """Best translations with what their pieces attended to, from one pass.

        Args:
            text: strings, (B,).
            layer, head: numbers, counted from 0; the mean over all if None.

        Returns:
            "translation" (B,), "source_tokens" (B, S) and "target_tokens" (B, T), strings with the end token,
            empty at padding; "attention" float32 (B, T, S), rows of padding are zero.
        """
        inputs = {"source_ids": self.source_ids(text)}

        def kept(state):  # reduced at each step: only (B, N, L, S) is kept
            return decoding.soft_alignment(self.model.attention(state), layer, head)

        # XLA compiles one search for all signatures, which keeps no attention: it is looked at afterwards.
        decoded = self._decode(inputs, kept if self.compiled is None else False)
        lengths = tf.reduce_sum(tf.cast(decoded["ids"][:, 0] != PAD_ID, tf.int32), axis=1)
        length = tf.reduce_max(tf.concat([[1], lengths], axis=0))  # of no rows as well
        target_ids = decoded["ids"][:, 0, :length]
        if self.compiled is None:
            attention = decoded["attention"][:, 0, :length]
        else:
            attention = decoding.attention_to_source(self.model, inputs, target_ids)
            attention = decoding.soft_alignment(attention, layer, head)
        return {
            "translation": decoded["texts"][:, 0],
            "source_tokens": text_graphs.pieces(self.source_tokenizer, inputs["source_ids"]),
            "target_tokens": text_graphs.pieces(self.target_tokenizer, target_ids),
            "attention": tf.cast(attention, tf.float32),
        }

    def tokens(self, source_ids: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Without tokenizers: ids (B, S), ended and padded with 0 -> ids (B, N, L) and scores (B, N).

        Ids that the model does not have are read as the unknown token. Two rows of ids may be one text in two
        segmentations.
        """
        is_known = (source_ids >= 0) & (source_ids < self.source_tokenizer.vocabulary_size)
        decoded = self._ids(self.search, {"source_ids": tf.where(is_known, source_ids, UNKNOWN_ID)})
        return decoded["ids"], decoded["scores"]

    def _ids(self, search, inputs, attention=False):
        """Decodes "source_ids" (B, S), with "prefix_ids" (B, P) and "seed" where they are given.

        Returns:
            "ids" (B, N, L), "scores" (B, N); and "attention" (B, N, L, ...) if `attention` is True or what is
            to be kept of a state.
        """
        source_ids, seed = inputs["source_ids"], inputs.get("seed")
        arguments = ({"source_ids": source_ids}, search, inputs.get("prefix_ids"))
        if attention is False:
            ids, scores = self._n_best_ids(*arguments, seed)
            found = {"ids": ids, "scores": scores}
        else:
            kept = None if attention is True else attention
            model = self.shared if tf.inside_function() else self.model
            found = decoding.generate_with_attention(model, *arguments, kept, seed)._asdict()
        return text_graphs.ended_at_once(found, _is_empty(source_ids))

    def _decode(self, inputs, attention=False):
        """As `_ids`, and "texts" (B, N), of which no two of a row are equal."""

        def decode(search, inputs):
            decoded = self._ids(search, inputs, attention)
            return {"texts": text_graphs.detokenized(self.target_tokenizer, decoded["ids"]), **decoded}

        # Nothing is found in an empty text: all its hypotheses are the end.
        return text_graphs.distinct(decode, self.search, inputs, _is_empty(inputs["source_ids"]))

    def translate(
        self,
        texts: str | bytes | Iterable[str | bytes],
        batch_size: int = 128,
        progress: Callable[[int], None] | None = None,
    ) -> str | list[str]:
        """The best translation of each text; see `hypotheses`.

        Returns:
            List of str, in the order of `texts`; of one text that is not in a list, one str.
        """
        if isinstance(texts, str | bytes):
            return self.translate([texts], batch_size, progress)[0]
        return [best.text for best, *_ in self.hypotheses(texts, batch_size, progress=progress)]

    def hypotheses(
        self,
        texts: Iterable[str | bytes],
        batch_size: int = 128,
        prefixes: Iterable[str] | None = None,
        with_attention: bool = False,
        progress: Callable[[int], None] | None = None,
        seeds: Iterable[int] | None = None,
    ) -> list[list[Hypothesis]]:
        """Translates a list of texts, texts of similar length together.

        Args:
            texts: str or UTF-8 bytes; any iterable of them.
            batch_size: texts decoded together.
            prefixes: one for each text, what its translations begin with, in whole words; None for
                nothing.
            with_attention: whether to keep pieces and attention.
            progress: called with the number of texts that have just been translated.
            seeds: of a sampling, an integer >= 0 for each text, whose results follow from text and seed
                alone. If None those of `TextSeeds`: the search's own, and of equal texts the next ones.

        Returns:
            One list for each text, in the order of `texts`: its hypotheses, at least one, best first.

        Raises:
            ValueError: `texts` is a single string, or holds something else than strings; a prefix holds what
                the target tokenizer does not know, or is too long; there is not a seed for each text.
        """
        texts, others = as_list(texts), {}
        if prefixes is not None:
            prefixes = as_list(prefixes, "prefixes")
            others["prefix_ids"] = text_graphs.prefix_ids(
                self.target_tokenizer, prefixes, len(texts), self.search.max_length
            )
        seeds = TextSeeds(self.search)(texts) if seeds is None else seeds
        if seeds is not None:
            others["seed"] = tf.constant(seed_words(seeds, self.search, len(texts)), tf.int32)
        results = [[] for _ in texts]
        for indices in batches(texts, batch_size):
            source_ids = self.source_ids(tf.constant([texts[index] for index in indices], tf.string))
            given = {name: tf.gather(x, indices) for name, x in others.items()}
            given = {
                name: x.to_tensor() if isinstance(x, tf.RaggedTensor) else x for name, x in given.items()
            }
            decoded = self._decode({"source_ids": source_ids, **given}, with_attention)
            ids = decoded.pop("ids")
            if with_attention:
                decoded["source_pieces"] = text_graphs.pieces(self.source_tokenizer, source_ids)
                decoded["target_pieces"] = text_graphs.pieces(self.target_tokenizer, ids)
                decoded["attention"] = tf.cast(decoded["attention"], tf.float32)
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


def _is_empty(source_ids):
    """Bool, (B,): which rows of ids (B, S) begin with the end."""
    return tf.reduce_all(source_ids[:, :1] == END_ID, axis=1)  # of no columns as well

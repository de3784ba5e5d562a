"""Changes to the training pairs that are drawn anew each time: noise, sampled sub-words, dropped tokens."""

import numpy as np
import tensorflow as tf

from keras_transformer.special_ids import UNKNOWN_ID
from keras_transformer.tokenizers import SentencePieceTokenizer
from training.pipeline.pairs import EncodedPairs, Rows
from training.tasks.translation.config import AugmentationConfig

# Pairs whose sampled lengths are measured before the training.
MEASURED_PAIRS = 1000
# Rows keep so many standard deviations of room above the mean of a sample's length.
ROOM_DEVIATIONS = 2
FIRST_PIECE_ID = 4  # below are the special ids


class Augmentation:
    """Draws changed ids for the pairs of a batch.

    In this order: the source's words are dropped, made unknown and moved; the sides' sub-words are sampled;
    tokens of the inputs become unknown. A side whose new ids have no room in the batch keeps the ids that
    its text has without any change (tokens may still become unknown).

    Args:
        config: see `AugmentationConfig`.
        source_tokenizer, target_tokenizer: those that the pairs were encoded with.

    Attributes:
        num_drawn: sides that were given new ids so far; num_without_room: those among them that had no room.

    Raises:
        ValueError: a field is out of its range, or a tokenizer that cannot sample is to do so.
    """

    def __init__(self, config: AugmentationConfig, source_tokenizer, target_tokenizer):
        _check(config)
        self.config = config
        self._tokenizer = source_tokenizer
        self._source_sampler = _sampler(config, "source", source_tokenizer)
        self._target_sampler = _sampler(config, "target", target_tokenizer)
        self._has_noise = bool(config.word_dropout or config.word_unknown or config.word_distance)
        self.num_drawn = self.num_without_room = 0

    @classmethod
    def of(cls, config: AugmentationConfig, source_tokenizer, target_tokenizer) -> "Augmentation | None":
        """What the configuration asks for; None if that is nothing."""
        augmentation = cls(config, source_tokenizer, target_tokenizer)
        drops = config.source_token_dropout or config.target_token_dropout
        return augmentation if augmentation.reads_texts or drops else None

    @property
    def reads_texts(self) -> bool:
        """Whether new ids are made from texts."""
        return self._has_noise or bool(self._source_sampler or self._target_sampler)

    def room(self, encoded: EncodedPairs) -> tuple[np.ndarray, np.ndarray]:
        """Tokens that the rows of each side should have room for, special ones not counted: (N,), (N,).

        Samples have more tokens. Their number is taken to be that of the best segmentation plus a
        Poisson-distributed one, whose mean for each token is measured. Room is for its mean and
        `ROOM_DEVIATIONS` standard deviations.
        """
        return (
            _room(self._source_sampler, encoded.source, encoded.source_texts),
            _room(self._target_sampler, encoded.target, encoded.target_texts),
        )

    def ids(
        self, encoded: EncodedPairs, rows, source_length: int, target_length: int, generator
    ) -> tuple[list, list]:
        """The ids of some pairs, changed.

        Args:
            encoded: the pairs, with texts if `reads_texts`.
            rows: which of them.
            source_length, target_length: tokens that a row has room for, special ones not counted.
            generator: `np.random.Generator`, on which alone the draws depend.

        Returns:
            Sources and targets, two lists of ids without special ids.
        """
        sources, targets = [encoded.source[row] for row in rows], [encoded.target[row] for row in rows]
        if self._has_noise or self._source_sampler:
            texts = [_text(encoded.source_texts, row) for row in rows]
            drawn = self._source_ids(texts, generator)
            sources = self._fitting(drawn, sources, source_length)
        if self._target_sampler:
            texts = [_text(encoded.target_texts, row) for row in rows]
            drawn = self._target_sampler.sample(texts, _seed(generator))
            targets = self._fitting(drawn, targets, target_length)
        return sources, targets

    def drop_tokens(self, source_ids: np.ndarray, target_ids: np.ndarray, generator) -> None:
        """Makes some ids of a batch's inputs unknown, in place; special ids and labels stay."""
        probabilities = self.config.source_token_dropout, self.config.target_token_dropout
        for ids, probability in zip((source_ids, target_ids), probabilities, strict=True):
            if probability:
                ids[(generator.random(ids.shape) < probability) & (ids >= FIRST_PIECE_ID)] = UNKNOWN_ID

    def _source_ids(self, texts: list[str], generator) -> list:
        """New ids of the sources; between two segments of a text stands an unknown word."""
        segmented = [noisy(text, self.config, generator) if self._has_noise else [text] for text in texts]
        flat = [segment for segments in segmented for segment in segments]
        if self._source_sampler:
            ids = iter(self._source_sampler.sample(flat, _seed(generator)))
        else:
            # Beside a GPU, too: short strings are not worth the way.
            with tf.device("CPU:0"):
                ids = iter(self._tokenizer.tokenize(flat).to_list())
        result = []
        for segments in segmented:
            row = list(next(ids))
            for _ in segments[1:]:
                row += [UNKNOWN_ID, *next(ids)]
            result.append(row)
        return result

    def _fitting(self, drawn: list, plain: list, length: int) -> list:
        result = [new if len(new) <= length else old for new, old in zip(drawn, plain, strict=True)]
        self.num_drawn += len(drawn)
        self.num_without_room += sum(len(new) > length for new in drawn)
        return result


def noisy(text: str, config: AugmentationConfig, generator) -> list[str]:
    """A text with noise on its words, which are what lies between spaces.

    Lample et al. 2018, "Unsupervised Machine Translation Using Monolingual Corpora Only", section 2.3: words
    are dropped, but never all; the others keep their order but for moves of at most `word_distance` places.
    In between, words are made unknown, as in OpenNMT-tf's `WordReplacement`.

    Returns:
        Segments of the text: an unknown word stands between each and the next.
    """
    words = text.split()
    if not words:
        return [text]
    if config.word_dropout:
        kept = generator.random(len(words)) >= config.word_dropout
        kept[generator.integers(len(words))] |= not kept.any()
        words = [word for word, is_kept in zip(words, kept, strict=True) if is_kept]
    if config.word_unknown:
        is_unknown = generator.random(len(words)) < config.word_unknown
        words = [None if unknown else word for word, unknown in zip(words, is_unknown, strict=True)]
    if config.word_distance:
        # A word is overtaken only by those that began less than distance + 1 places behind it.
        places = np.arange(len(words)) + generator.uniform(0, config.word_distance + 1, len(words))
        words = [words[place] for place in np.argsort(places)]

    segments = [""]
    for place, word in enumerate(words):
        segments[-1] += " " if place else ""
        if word is None:
            segments.append("")
        else:
            segments[-1] += word
    return segments


def _check(config: AugmentationConfig) -> None:
    for name in ("word_dropout", "word_unknown", "source_token_dropout", "target_token_dropout"):
        value = getattr(config, name)
        if not 0 <= value < 1:
            raise ValueError(f"`{name}` must be at least 0 and below 1. Received: {name}={value}.")
    if config.word_distance < 0:
        raise ValueError(
            f"`word_distance` must be at least 0. Received: word_distance={config.word_distance}."
        )


def _sampler(config: AugmentationConfig, side: str, tokenizer):
    """What samples a side's sub-words; None if nothing does."""
    if config.sampled_sides not in (side, "both"):
        return None
    if not isinstance(tokenizer, SentencePieceTokenizer):
        raise ValueError(
            "Only sub-words (bpe, unigram) can be sampled. "
            f"Received: sampled_sides={config.sampled_sides!r}, and for the {side} {tokenizer!r}."
        )
    return tokenizer.sampler(config.sampling_alpha)


def _room(sampler, ids: Rows, texts: Rows | None) -> np.ndarray:
    if sampler is None:
        return ids.lengths
    rows = np.linspace(0, len(ids) - 1, min(len(ids), MEASURED_PAIRS)).astype(int)
    sampled = sum(map(len, sampler.sample([_text(texts, row) for row in rows], seed=0)))
    plain = max(1, int(ids.lengths[rows].sum()))
    more = ids.lengths * max(0.0, sampled / plain - 1)
    return np.ceil(ids.lengths + more + ROOM_DEVIATIONS * np.sqrt(more)).astype(np.int64)


def _text(texts: Rows, row: int) -> str:
    # As the tokenizers read what is no UTF-8.
    return texts[row].tobytes().decode("utf-8", "replace")


def _seed(generator) -> int:
    return int(generator.integers(2**63))

"""What the training of a translator can be told: pairs of texts, tokenizers, quality."""

from dataclasses import dataclass, field
from typing import Literal

from training.config.models import ConvSeq2SeqConfig, RNNSeq2SeqConfig, TransformerConfig
from training.config.parts import RunConfig, make_lists


@dataclass(frozen=True)
class CorpusConfig:
    """Sentence pairs to train on, and how often.

    Args:
        name: data set: dates, multi30k, parallel_text, or tfds:NAME/CONFIG for any translation set of
            tensorflow-datasets.
        source_language: language code to translate from, for multi30k and tfds.
        target_language: language code to translate to, for multi30k and tfds.
        data_dir: folder with the set's files on disk; where it can be downloaded, None downloads it.
        train: for parallel_text: the source and the target file, or one TSV file.
        columns: for parallel_text: what the columns of a TSV file hold, in their order: source, target, and
            any other name for one that is left out.
        num_examples: for dates: number of training pairs.
        weight: how often a pair is seen in a pass, above 0: 2 is twice, 0.5 in every second pass.
    """

    name: str
    source_language: str = ""
    target_language: str = ""
    data_dir: str | None = None
    train: list[str] | str = field(default_factory=list)
    columns: list[str] | str = field(default_factory=lambda: ["source", "target"])
    num_examples: int = 40_000
    weight: float = 1.0

    def __post_init__(self):
        make_lists(self, "train", "columns")


@dataclass(frozen=True)
class DataConfig(CorpusConfig):
    """The sentence pairs and how they become batches.

    Args:
        validation: for parallel_text: like train; none to train without validation.
        test: for parallel_text: like train.
        also: further corpora to train on, each with the fields of the main one up to weight; validation
            and test come from the main one.
        max_length: longest source or target in tokens, end token included; longer pairs are left out.
        max_length_ratio: tokens of the longer side for each of the shorter, end tokens included, at least 1;
            training pairs that differ more are left out; None for no limit.
        remove_duplicates: whether a training pair is left out that has the same two texts as one before it.
        remove_copies: whether a training pair is left out whose target is its source.
        prepared: folder that training.prepare made of these corpora: their tokens are read from there.
        batch_tokens: padded tokens in a batch, on the longer side.
        bucket_boundaries: lengths in tokens that batches are padded to; by default 8 of them.
    """

    name: str = "dates"
    validation: list[str] | str = field(default_factory=list)
    test: list[str] | str = field(default_factory=list)
    also: list[CorpusConfig] = field(default_factory=list)
    max_length: int = 64
    max_length_ratio: float | None = None
    remove_duplicates: bool = False
    remove_copies: bool = False
    prepared: str | None = None
    batch_tokens: int = 4096
    bucket_boundaries: list[int] | None = None

    def __post_init__(self):
        super().__post_init__()
        make_lists(self, "validation", "test")


@dataclass(frozen=True)
class AugmentationConfig:
    """Changes to the training pairs, drawn anew each time; nothing by default. See docs/data.md.

    Args:
        sampled_sides: sides whose sub-words are drawn at random: none, source, target or both.
        sampling_alpha: bpe: probability of leaving out a merge, 0 <= p <= 1 (Provilkov et al. 2020: 0.1);
            unigram: exponent of a segmentation's probability, >= 0, the smaller the more random (Kudo 2018:
            0.1 to 0.5).
        word_dropout: probability of dropping a word of the source, 0 <= p < 1 (Lample et al. 2018: 0.1).
        word_unknown: probability of making a word of the source unknown, 0 <= p < 1 (OpenNMT-tf).
        word_distance: places that a word of the source may move, >= 0 (Lample et al. 2018: 3).
        source_token_dropout: probability of making a token of the encoder's input unknown, 0 <= p < 1.
        target_token_dropout: probability of making a token of the decoder's input unknown, 0 <= p < 1 (Bowman
            et al. 2016); the labels stay.
    """

    sampled_sides: Literal["none", "source", "target", "both"] = "none"
    sampling_alpha: float = 0.1
    word_dropout: float = 0.0
    word_unknown: float = 0.0
    word_distance: int = 0
    source_token_dropout: float = 0.0
    target_token_dropout: float = 0.0


@dataclass(frozen=True)
class TokenizerConfig:
    """How a text becomes ids.

    Args:
        kind: bpe and unigram are SentencePiece's sub-words; code_points and bytes need no training.
        vocabulary_size: number of ids of a sub-word vocabulary, special ids and 256 bytes included.
        lowercase: whether sub-words fold case, so that translations are lower-cased.
    """

    kind: Literal["bpe", "unigram", "code_points", "bytes"] = "bpe"
    vocabulary_size: int = 8000
    lowercase: bool = False


@dataclass(frozen=True)
class TokenizersConfig:
    """The two sides' tokenizers.

    Args:
        source: the source's tokenizer; trained on both sides if the target has none of its own.
        target: the target's tokenizer; None for one joint vocabulary.
    """

    source: TokenizerConfig = field(default_factory=TokenizerConfig)
    target: TokenizerConfig | None = None


@dataclass(frozen=True)
class QualityConfig:
    """Translations of the validation set during the training: BLEU, chrF and exact match in the logs.

    Args:
        frequency: epochs from one translation to the next; 0 for none.
        num_pairs: so many pairs are translated, the first ones.
        num_shown: translations that are printed.
    """

    frequency: int = 1
    num_pairs: int = 1000
    num_shown: int = 2


@dataclass(frozen=True)
class TranslationConfig(RunConfig):
    """A run that makes a translator.

    Args:
        data: the sentence pairs and how they become batches.
        augmentation: changes to the training pairs.
        tokenizer: how a text becomes ids.
        model: which model, and its sizes.
        quality: translations of the validation set during the training.
    """

    data: DataConfig = field(default_factory=DataConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    tokenizer: TokenizersConfig = field(default_factory=TokenizersConfig)
    model: TransformerConfig | RNNSeq2SeqConfig | ConvSeq2SeqConfig = field(default_factory=TransformerConfig)
    quality: QualityConfig = field(default_factory=QualityConfig)

"""Configuration of translators: pairs, tokenizers, sizes, quality."""

from dataclasses import dataclass, field
from typing import Literal

from training.run_config import QualityConfig, RunConfig, TokenizerConfig, make_lists
from training.tasks.transformer_layers import TransformerLayersConfig


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
        tag: word in front of each source, one piece of the vocabulary: of pairs that a model made, or the
            language to write. Of the main corpus, validation and test sources have it, too.
    """

    name: str
    source_language: str = ""
    target_language: str = ""
    data_dir: str | None = None
    train: list[str] | str = field(default_factory=list)
    columns: list[str] | str = field(default_factory=lambda: ["source", "target"])
    num_examples: int = 40_000
    weight: float = 1.0
    tag: str = ""

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
class TokenizersConfig:
    """The two sides' tokenizers.

    Args:
        source: the source's tokenizer; trained on both sides if the target has none of its own.
        target: the target's tokenizer; None for one joint vocabulary.
    """

    source: TokenizerConfig = field(default_factory=TokenizerConfig)
    target: TokenizerConfig | None = None


@dataclass(frozen=True)
class TransformerConfig(TransformerLayersConfig):
    """The Transformer's sizes; the paper's symbols in brackets.

    Args:
        kind: this model.
        num_layers: layers of the encoder, and of the decoder unless it has a number of its own [N].
        num_decoder_layers: layers of the decoder; num_layers if None.
        hidden_dim: width of every layer [d_model], a multiple of num_heads unless key_dim is given.
        share_embeddings: whether source, target and logits share one matrix; None: where the
            vocabulary is joint.
        embedding_scale: factor on the vectors of ids; the square root of hidden_dim if None.
        use_logits_bias: whether a bias for each id is added to the logits.
        logits_scale: factor on the decoder's output before it becomes logits; none if None.
        tie_logits: whether the logits' matrix is that of the target's embedding; else their own.
        reads_source_end: whether the source's end token is read; else it is like padding.
    """

    kind: Literal["transformer"] = "transformer"
    num_layers: int = 6
    num_decoder_layers: int | None = None
    hidden_dim: int = 512
    share_embeddings: bool | None = None
    embedding_scale: float | None = None
    use_logits_bias: bool = False
    logits_scale: float | None = None
    tie_logits: bool = True
    reads_source_end: bool = True


@dataclass(frozen=True)
class RNNSeq2SeqConfig:
    """The recurrent encoder-decoder's sizes.

    Args:
        kind: this model.
        num_layers: layers of the encoder and of the decoder.
        hidden_dim: width of every recurrent layer's output; even, unless attention is none.
        embedding_dim: width of the embeddings; hidden_dim if None.
        cell: gru or lstm.
        attention: additive (Bahdanau et al. 2015), dot, general, concat (Luong et al. 2015), scaled_dot,
            scaled_general (the same divided by the square root of the width), or none.
        window: source tokens to each side that local attention sees (Luong et al. 2015, local-p: 10); None
            for global attention.
        reverse_source: whether the source is read last to first; for attention none.
        dropout: probability of dropping a value of an embedding, between layers, and before the logits.
        share_embeddings: whether source, target and logits share one matrix; None: where the
            vocabulary is joint.
    """

    kind: Literal["rnn_seq2seq"] = "rnn_seq2seq"
    num_layers: int = 1
    hidden_dim: int = 512
    embedding_dim: int | None = None
    cell: Literal["gru", "lstm"] = "gru"
    attention: Literal["additive", "dot", "general", "concat", "scaled_dot", "scaled_general", "none"] = (
        "additive"
    )
    window: int | None = None
    reverse_source: bool = False
    dropout: float = 0.1
    share_embeddings: bool | None = None


@dataclass(frozen=True)
class ConvSeq2SeqConfig:
    """The convolutional encoder-decoder's sizes.

    Args:
        kind: this model.
        num_layers: layers of the encoder and of the decoder.
        hidden_dim: width of the convolutions.
        embedding_dim: width of the embeddings and of the attention; hidden_dim if None.
        kernel_size: positions that one convolution sees.
        dropout: probability of dropping a value of an embedding, of a convolution's input, or before the
            logits.
        max_length: number of learned positions, at least data.max_length, which it is if None.
        share_embeddings: whether source, target and logits share one matrix; None: where the
            vocabulary is joint.
    """

    kind: Literal["conv_seq2seq"] = "conv_seq2seq"
    num_layers: int = 15
    hidden_dim: int = 512
    embedding_dim: int | None = None
    kernel_size: int = 3
    dropout: float = 0.1
    max_length: int | None = None
    share_embeddings: bool | None = None


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

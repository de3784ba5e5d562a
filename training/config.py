"""What a training run can be told: typed, each field with its unit and purpose.

A file in `configs/` sets fields, a command-line option overrides one: --model.num_layers 4. This
module imports no TensorFlow, so that `--help` and a misspelt key answer at once.
"""

from dataclasses import dataclass, field
from typing import Literal


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
        num_examples: for dates: number of training pairs.
        weight: how often a pair is seen in a pass, above 0: 2 is twice, 0.5 in every second pass.
    """

    name: str
    source_language: str = ""
    target_language: str = ""
    data_dir: str | None = None
    train: list[str] = field(default_factory=list)
    num_examples: int = 40_000
    weight: float = 1.0


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
        batch_tokens: padded tokens in a batch, on the longer side.
        bucket_boundaries: lengths in tokens that batches are padded to; by default 8 of them.
    """

    name: str = "dates"
    validation: list[str] = field(default_factory=list)
    test: list[str] = field(default_factory=list)
    also: list[CorpusConfig] = field(default_factory=list)
    max_length: int = 64
    max_length_ratio: float | None = None
    remove_duplicates: bool = False
    remove_copies: bool = False
    batch_tokens: int = 4096
    bucket_boundaries: list[int] | None = None


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
class ModelConfig:
    """The Transformer's sizes; the paper's symbols in brackets.

    Args:
        num_layers: layers of the encoder and of the decoder [N].
        hidden_dim: width of every layer [d_model], a multiple of num_heads.
        num_heads: attention heads [h].
        intermediate_dim: width inside the feed-forward networks [d_ff].
        key_dim: width of one head [d_k]; hidden_dim / num_heads if None.
        dropout: probability of dropping a value of a sub-layer's output or an embedding [P_drop].
        attention_dropout: probability of dropping an attention weight.
        activation: of the feed-forward networks.
        norm_first: whether sub-layers normalise their input; else the sum, as in the paper.
        share_embeddings: whether source, target and logits share one matrix; None: where the
            vocabulary is joint.
    """

    num_layers: int = 6
    hidden_dim: int = 512
    num_heads: int = 8
    intermediate_dim: int = 2048
    key_dim: int | None = None
    dropout: float = 0.1
    attention_dropout: float = 0.0
    activation: str = "relu"
    norm_first: bool = False
    share_embeddings: bool | None = None


@dataclass(frozen=True)
class OptimizerConfig:
    """Adam and its learning rate; the paper's values by default.

    Args:
        schedule: transformer (equation 3 of the paper), inverse_square_root or cosine.
        warmup_steps: optimizer steps of linear growth.
        peak: largest learning rate, for inverse_square_root and cosine.
        scale: factor on the paper's schedule.
        beta_1: decay of the mean of the gradients.
        beta_2: decay of the mean of their squares.
        epsilon: added to the denominator.
        clip_norm: largest norm of the gradient of all weights together; None for no clipping.
        ema_momentum: decay of the average of the weights that is kept and saved; None for no average.
        label_smoothing: probability mass spread over the vocabulary, 0 <= epsilon < 1.
    """

    schedule: Literal["transformer", "inverse_square_root", "cosine"] = "transformer"
    warmup_steps: int = 4000
    peak: float = 1e-3
    scale: float = 1.0
    beta_1: float = 0.9
    beta_2: float = 0.98
    epsilon: float = 1e-9
    clip_norm: float | None = None
    ema_momentum: float | None = None
    label_smoothing: float = 0.1


@dataclass(frozen=True)
class FitConfig:
    """How long and how the model is fitted.

    Args:
        epochs: how often `steps_per_epoch` batches are trained on.
        steps_per_epoch: batches from one validation and checkpoint to the next; a pass over the data if None.
            An interrupted training goes on from its last checkpoint by the same command.
        seed: of weights, shuffling and dropout.
        precision: of the computation; weights stay float32.
        jit_compile: XLA: auto is on for GPUs; on CPUs, where compiling each batch shape takes 10 s and
            more, a training of 5,000 steps and more tries both ways for a minute and takes the faster.
        num_micro_batches: parts that a batch is split into, one after the other, for less memory; the step is
            the same. auto tries in processes of their own how many it takes until a batch fits.
        freeze: layers whose weights stay as they are: encoder, target_embedding, decoder/layer_0,
            decoder/layer_*/feed_forward, ...
    """

    epochs: int = 10
    steps_per_epoch: int | None = None
    seed: int = 0
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    jit_compile: Literal["auto", "on", "off"] = "auto"
    num_micro_batches: int | Literal["auto"] = 1
    freeze: list[str] = field(default_factory=list)


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
class CheckpointsConfig:
    """The checkpoints, one after each epoch: which are kept, and what is made of them.

    Args:
        last: so many of the newest are kept.
        best: so many of the best are kept besides; 0 for none.
        monitor: entry of the logs that says which are best: val_bleu, val_chrf, val_loss, ...
        mode: whether high or low values of the monitor are good; auto knows it of those in our own logs.
        average: whose mean weights model.keras holds in the end: those of the last or of the best
            checkpoints; none for the weights as they are.
        patience: the training ends after so many epochs whose monitor was not better; None for never.
        export_best: folder in which each new best checkpoint becomes a new version of a served model, see
            serving.export; None for none.
    """

    last: int = 1
    best: int = 1
    monitor: str = "val_bleu"
    mode: Literal["auto", "max", "min"] = "auto"
    average: Literal["none", "last", "best"] = "none"
    patience: int | None = None
    export_best: str | None = None


@dataclass(frozen=True)
class InitialConfig:
    """Weights of another run to begin with.

    Args:
        run: run folder whose weights are taken; None: weights as drawn.
        checkpoint: which of its models: best, last or a file in its checkpoints/; model.keras if None.
        tokenizer: keep: that run's tokenizers. new: tokenizers of the new data; the embeddings of pieces
            that are in both vocabularies are taken.
    """

    run: str | None = None
    checkpoint: str | None = None
    tokenizer: Literal["keep", "new"] = "keep"


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that a run is told.

    Args:
        data: the sentence pairs and how they become batches.
        augmentation: changes to the training pairs.
        tokenizer: how a text becomes ids.
        model: the Transformer's sizes.
        optimizer: Adam, its learning rate, and the loss.
        fit: how long and how the model is fitted.
        quality: translations of the validation set during the training.
        checkpoints: which checkpoints are kept, and what is made of them.
        initial: weights of another run to begin with.
    """

    data: DataConfig = field(default_factory=DataConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    tokenizer: TokenizersConfig = field(default_factory=TokenizersConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    quality: QualityConfig = field(default_factory=QualityConfig)
    checkpoints: CheckpointsConfig = field(default_factory=CheckpointsConfig)
    initial: InitialConfig = field(default_factory=InitialConfig)

"""Configuration of any training run: optimizer, fit, checkpoints, tokenizers, ..."""

from dataclasses import dataclass, field
from typing import Literal


def make_lists(config, *names: str) -> None:
    """Puts a list of one in the place of a single text; for `__post_init__` of a frozen dataclass."""
    for name in names:
        value = getattr(config, name)
        if isinstance(value, str):
            object.__setattr__(config, name, [value])


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
        r_drop: weight of R-Drop, which reads each batch twice and pulls both answers together; 0 for none,
            the paper's is 5 for translation.
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
    r_drop: float = 0.0


def no_smoothing() -> OptimizerConfig:
    """Default of tasks whose labels are not smoothed."""
    return OptimizerConfig(label_smoothing=0.0)


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
        num_devices: devices of this machine (of each machine, if several train together) that share each
            batch: GPUs, or where there are none virtual devices of the CPU, which are no faster.
        freeze: layers whose weights stay as they are: encoder, target_embedding, decoder/layer_0,
            decoder/layer_*/feed_forward, ...
    """

    epochs: int = 10
    steps_per_epoch: int | None = None
    seed: int = 0
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    jit_compile: Literal["auto", "on", "off"] = "auto"
    num_micro_batches: int | Literal["auto"] = 1
    num_devices: int = 1
    freeze: list[str] | str = field(default_factory=list)

    def __post_init__(self):
        make_lists(self, "freeze")


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
class TokenizerConfig:
    """How a text becomes ids.

    Args:
        kind: bpe and unigram are SentencePiece's sub-words; code_points and bytes need no training; imported
            came with imported weights, and none is trained.
        vocabulary_size: number of ids of a sub-word vocabulary, special ids and 256 bytes included.
        lowercase: whether sub-words fold case, so that translations are lower-cased.
    """

    kind: Literal["bpe", "unigram", "code_points", "bytes", "imported"] = "bpe"
    vocabulary_size: int = 8000
    lowercase: bool = False


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
class RunConfig:
    """The parts that every run has.

    Args:
        optimizer: Adam, its learning rate, and the loss.
        fit: how long and how the model is fitted.
        checkpoints: which checkpoints are kept, and what is made of them.
        initial: weights of another run to begin with.
    """

    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    checkpoints: CheckpointsConfig = field(default_factory=CheckpointsConfig)
    initial: InitialConfig = field(default_factory=InitialConfig)

"""What the training of a language model can be told: texts, a tokenizer, windows."""

from dataclasses import dataclass, field

from training.config.models import CausalLMConfig, MaskedLMConfig
from training.config.parts import CheckpointsConfig, OptimizerConfig, RunConfig, make_lists
from training.config.translation import TokenizerConfig


@dataclass(frozen=True)
class TextDataConfig:
    """Texts, and how they become batches.

    Args:
        name: text, for files; tiny_shakespeare (Karpathy 2015; its first 90 % train).
        data_dir: for tiny_shakespeare: folder with tinyshakespeare.txt or input.txt, plain or gzip; None
            downloads it by tensorflow-datasets.
        train: for text: files, UTF-8, plain or gzip.
        validation: for text: like train; none to train without validation.
        test: for text: like train.
        window: tokens that the model sees together.
        batch_size: windows in a batch.
    """

    name: str = "text"
    data_dir: str | None = None
    train: list[str] | str = field(default_factory=list)
    validation: list[str] | str = field(default_factory=list)
    test: list[str] | str = field(default_factory=list)
    window: int = 256
    batch_size: int = 32

    def __post_init__(self):
        make_lists(self, "train", "validation", "test")


def _plain_optimizer():
    return OptimizerConfig(label_smoothing=0.0)


def _by_loss():
    return CheckpointsConfig(monitor="val_loss")


@dataclass(frozen=True)
class LanguageModelingConfig(RunConfig):
    """A run that makes a language model.

    Args:
        data: the texts and how they become batches.
        tokenizer: how a text becomes ids.
        model: its sizes.
    """

    optimizer: OptimizerConfig = field(default_factory=_plain_optimizer)
    checkpoints: CheckpointsConfig = field(default_factory=_by_loss)
    data: TextDataConfig = field(default_factory=TextDataConfig)
    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)
    model: CausalLMConfig = field(default_factory=CausalLMConfig)


@dataclass(frozen=True)
class MaskedLanguageModelingConfig(RunConfig):
    """A run that makes a masked language model.

    Args:
        data: the texts and how they become batches.
        tokenizer: how a text becomes ids.
        model: its sizes, and how much is hidden from it.
    """

    optimizer: OptimizerConfig = field(default_factory=_plain_optimizer)
    checkpoints: CheckpointsConfig = field(default_factory=_by_loss)
    data: TextDataConfig = field(default_factory=TextDataConfig)
    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)
    model: MaskedLMConfig = field(default_factory=MaskedLMConfig)

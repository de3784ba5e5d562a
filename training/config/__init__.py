"""What a training run can be told: typed, each field with its unit and purpose.

A file in `configs/` sets fields, a command-line option overrides one: --model.num_layers 4. Nothing here
imports TensorFlow, so that `--help` and a misspelt key answer at once.
"""

from training.config.images import (
    CaptionDataConfig,
    CaptioningConfig,
    ImageClassificationConfig,
    ImageDataConfig,
)
from training.config.kinds import KINDS, config_class, from_mapping, kind_of, read
from training.config.models import (
    AttentionCNNConfig,
    CausalLMConfig,
    ConvSeq2SeqConfig,
    ImageCaptionerConfig,
    MaskedLMConfig,
    RNNSeq2SeqConfig,
    TransformerConfig,
)
from training.config.parts import CheckpointsConfig, FitConfig, InitialConfig, OptimizerConfig, RunConfig
from training.config.ranges import check, check_value
from training.config.text import LanguageModelingConfig, MaskedLanguageModelingConfig, TextDataConfig
from training.config.translation import (
    AugmentationConfig,
    CorpusConfig,
    DataConfig,
    QualityConfig,
    TokenizerConfig,
    TokenizersConfig,
    TranslationConfig,
)

__all__ = [
    "KINDS",
    "AttentionCNNConfig",
    "AugmentationConfig",
    "CaptionDataConfig",
    "CaptioningConfig",
    "CausalLMConfig",
    "CheckpointsConfig",
    "ConvSeq2SeqConfig",
    "CorpusConfig",
    "DataConfig",
    "FitConfig",
    "ImageCaptionerConfig",
    "ImageClassificationConfig",
    "ImageDataConfig",
    "InitialConfig",
    "LanguageModelingConfig",
    "MaskedLMConfig",
    "MaskedLanguageModelingConfig",
    "OptimizerConfig",
    "QualityConfig",
    "RNNSeq2SeqConfig",
    "RunConfig",
    "TextDataConfig",
    "TokenizerConfig",
    "TokenizersConfig",
    "TransformerConfig",
    "TranslationConfig",
    "check",
    "check_value",
    "config_class",
    "from_mapping",
    "kind_of",
    "read",
]

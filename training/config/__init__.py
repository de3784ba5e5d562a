"""What a training run can be told: typed, each field with its unit and purpose.

A file in `configs/` sets fields, a command-line option overrides one: --model.num_layers 4. Nothing here
imports TensorFlow, so that `--help` and a misspelt key answer at once.
"""

from training.config.kinds import config_class, kind_of, read
from training.config.models import ConvSeq2SeqConfig, RNNSeq2SeqConfig, TransformerConfig
from training.config.parts import CheckpointsConfig, FitConfig, InitialConfig, OptimizerConfig, RunConfig
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
    "AugmentationConfig",
    "CheckpointsConfig",
    "ConvSeq2SeqConfig",
    "CorpusConfig",
    "DataConfig",
    "FitConfig",
    "InitialConfig",
    "OptimizerConfig",
    "QualityConfig",
    "RNNSeq2SeqConfig",
    "RunConfig",
    "TokenizerConfig",
    "TokenizersConfig",
    "TransformerConfig",
    "TranslationConfig",
    "config_class",
    "kind_of",
    "read",
]

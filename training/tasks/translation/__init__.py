"""Translators: what they are told, their data, models and measures, and how they are used."""

from training.tasks.translation.config import (
    AugmentationConfig,
    ConvSeq2SeqConfig,
    CorpusConfig,
    DataConfig,
    RNNSeq2SeqConfig,
    TokenizersConfig,
    TransformerConfig,
    TranslationConfig,
)
from training.tasks.translation.task import Translation

TASK = Translation

__all__ = [
    "AugmentationConfig",
    "ConvSeq2SeqConfig",
    "CorpusConfig",
    "DataConfig",
    "RNNSeq2SeqConfig",
    "TokenizersConfig",
    "TransformerConfig",
    "Translation",
    "TranslationConfig",
]

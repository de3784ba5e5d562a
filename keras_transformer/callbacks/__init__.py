"""Callbacks for `fit`: metrics as lines, speed, quality, checkpoints, early end, resume."""

from keras_transformer.callbacks.early_stopping import EarlyStopping
from keras_transformer.callbacks.finite_loss import FiniteLoss, NotFinite
from keras_transformer.callbacks.keep_checkpoints import KeepCheckpoints
from keras_transformer.callbacks.metrics_file import MetricsFile
from keras_transformer.callbacks.resume import Resume, ResumeEnd, finish, num_epochs, restore
from keras_transformer.callbacks.throughput import Throughput
from keras_transformer.callbacks.translation_quality import TranslationQuality

__all__ = [
    "EarlyStopping",
    "FiniteLoss",
    "KeepCheckpoints",
    "MetricsFile",
    "NotFinite",
    "Resume",
    "ResumeEnd",
    "Throughput",
    "TranslationQuality",
    "finish",
    "num_epochs",
    "restore",
]

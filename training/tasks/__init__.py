"""The tasks that a model can be trained for."""

from training import config as configs
from training.tasks.base import Task
from training.tasks.captioning import Captioning
from training.tasks.compiling import compile_model, lengthen, make_schedule
from training.tasks.image_classification import ImageClassification
from training.tasks.language_model import LanguageModel
from training.tasks.masked_language_model import MaskedLanguageModel
from training.tasks.translation import Translation

TASKS = {
    configs.TranslationConfig: Translation,
    configs.LanguageModelingConfig: LanguageModel,
    configs.MaskedLanguageModelingConfig: MaskedLanguageModel,
    configs.CaptioningConfig: Captioning,
    configs.ImageClassificationConfig: ImageClassification,
}


def kind_of(config: configs.RunConfig) -> type[Task]:
    """The task of a configuration."""
    return next(task for kind, task in TASKS.items() if isinstance(config, kind))


def make(config: configs.RunConfig) -> Task:
    """The task of a configuration, before its data is read."""
    return kind_of(config)(config)


__all__ = ["TASKS", "Task", "compile_model", "kind_of", "lengthen", "make", "make_schedule"]

"""The tasks that a model can be trained for."""

from training.config import RunConfig, TranslationConfig
from training.tasks.base import Task
from training.tasks.compiling import compile_model
from training.tasks.translation import Translation

TASKS = {TranslationConfig: Translation}


def kind_of(config: RunConfig) -> type[Task]:
    """The task of a configuration."""
    return next(task for kind, task in TASKS.items() if isinstance(config, kind))


def make(config: RunConfig) -> Task:
    """The task of a configuration, before its data is read."""
    return kind_of(config)(config)


__all__ = ["TASKS", "Task", "compile_model", "kind_of", "make"]

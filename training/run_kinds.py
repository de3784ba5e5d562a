"""Which command uses a run of which kind, and what is told to who gives it another."""

from keras_transformer_programs import hints
from training import run_folder
from training.config import (
    KINDS,
    CaptioningConfig,
    ImageClassificationConfig,
    LanguageModelingConfig,
    MaskedLanguageModelingConfig,
    RunConfig,
    TranslationConfig,
)

USED_BY = {
    TranslationConfig: "training.translate",
    LanguageModelingConfig: "training.generate",
    MaskedLanguageModelingConfig: "training.fill",
    CaptioningConfig: "training.caption",
    ImageClassificationConfig: "training.classify",
}


def load_config(run, task: type[RunConfig]) -> RunConfig:
    """The configuration of a run for a task.

    Args:
        run: a run folder.
        task: `TranslationConfig`, ...

    Raises:
        ValueError: the folder is no run folder, or one for another task: names the command that uses it.
    """
    config = run_folder.load_config(run)
    if isinstance(config, task):
        return config
    *others, last = (kind for kind, (own, _) in KINDS.items() if own is task)
    kinds = f"{', '.join(others)} or {last}" if others else last
    command = next(command for own, command in USED_BY.items() if isinstance(config, own))
    raise ValueError(
        f"`run` must be of the kind {kinds}. Received: {run}, of the kind {config.model.kind}, "
        f"which {hints.program(command)} uses and {hints.program('training.evaluate')} measures."
    )

"""What a family's module makes of a folder."""

from dataclasses import dataclass
from typing import Any

from training.run_config import RunConfig

# Logit of what must not come: the probability is zero in float32, and the number is one in float16, too.
UNREACHABLE = -1000.0


@dataclass(frozen=True)
class Imported:
    """All that a run folder needs.

    Attributes:
        config: of the run.
        model: a built Keras model of the library, with the weights.
        tokenizers: {name of the folder: tokenizer}.
        facts: what a pipeline must know beside the model, see `Task.facts`.
        left_out: tensors that the model has no use for.
    """

    config: RunConfig
    model: Any
    tokenizers: dict
    facts: dict
    left_out: list[str]

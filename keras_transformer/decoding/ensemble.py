"""Several models that predict together."""

import functools
from collections.abc import Callable, Iterable, Mapping

import keras
from keras import ops

from keras_transformer.types import Tensor, Tree


class Ensemble:
    """Models with one vocabulary; their probabilities are averaged at each step.

    Takes the place of a model in this package's functions.

    Args:
        models: `models.AutoregressiveModel`s, of any kinds and sizes.

    Raises:
        ValueError: there is no model, or two have different numbers of ids.
    """

    def __init__(self, models: Iterable[keras.Model]):
        self.models = list(models)
        if not self.models:
            raise ValueError("An ensemble needs at least one model. Received: none.")
        for name in ("source_vocabulary_size", "target_vocabulary_size"):
            sizes = [getattr(model, name, None) for model in self.models]
            if len(set(sizes)) > 1:
                raise ValueError(f"An ensemble's models must have one `{name}`. Received: {sizes}.")
            setattr(self, name, sizes[0])
        limits = [model.max_length for model in self.models if getattr(model, "max_length", None)]
        self.max_length = min(limits, default=None)  # positions that were learned

    @property
    def variables(self) -> list[keras.Variable]:
        """The variables of all models."""
        return [variable for model in self.models for variable in model.variables]

    @property
    def built(self) -> bool:
        """Whether all models have their variables."""
        return all(model.built for model in self.models)

    def __call__(self, inputs: Mapping[str, Tensor], training: bool | None = None) -> Tensor:
        """Log-probabilities, (B, T, V), where a model returns logits."""
        return _mean([model(inputs, training=training) for model in self.models])

    def initial_state(self, inputs: Mapping[str, Tensor], max_length: int) -> Tree:
        """See `models.AutoregressiveModel`."""
        return _joined([model.initial_state(inputs, max_length) for model in self.models])

    def grow(self, target_state: Tree, max_length: int) -> Tree:
        """See `models.AutoregressiveModel`."""
        return [model.grow(state, max_length) for model, state in zip(self.models, target_state, strict=True)]

    def decode_step(self, token_ids: Tensor, state: Tree, index: int | Tensor) -> tuple[Tensor, Tree]:
        """See `models.AutoregressiveModel`; log-probabilities in place of logits."""
        return self._mean_of("decode_step", token_ids, state, index)

    @property
    def read(self) -> Callable[..., tuple[Tensor, Tree]] | None:
        """See `models.AutoregressiveModel`; None if one of the models cannot."""
        can_read = all(getattr(model, "read", None) for model in self.models)
        return functools.partial(self._mean_of, "read") if can_read else None

    def _mean_of(self, method, token_ids, state, index):
        parts = zip(self.models, state["source"], state["target"], strict=True)
        steps = [
            getattr(model, method)(token_ids, {"source": source, "target": target}, index)
            for model, source, target in parts
        ]
        return _mean([logits for logits, _ in steps]), _joined([new for _, new in steps])

    def attention(self, state: Tree) -> Tensor:
        """That of the first model: others may have another number of heads."""
        parts = {name: part[0] for name, part in state.items()}
        return self.models[0].attention(parts)


def _mean(logits):
    """Logarithm of the mean probability, (..., V)."""
    log_probs = ops.stack([ops.log_softmax(x, axis=-1) for x in logits])
    return ops.logsumexp(log_probs, axis=0) - ops.log(float(len(logits)))


def _joined(states):
    return {part: [state[part] for state in states] for part in states[0]}

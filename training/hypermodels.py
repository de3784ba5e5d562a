"""Models with choices, for keras-tuner: a configuration, and what may differ from it.

    model = TransformerHyperModel(config, space)
    tuner = keras_tuner.RandomSearch(model, keras_tuner.Objective("val_bleu", "max"), max_trials=5)
    tuner.search(epochs=3)

`python -m training.tune` uses them too, and there each trial is a process of its own; see docs/tuning.md.
"""

import copy
import os
from typing import Any

import keras

from keras_transformer.installation import needs

with needs("tuning"):
    import keras_tuner

from training import compiling
from training.config import KINDS, config_class, read
from training.run_config import RunConfig
from training.stages import data
from training.sweep import space as spaces


class RunHyperModel(keras_tuner.HyperModel):
    """The models that one configuration makes with other values; of any kind of model.

    To extend it, override `declare_hyperparameters` and `config_of`, or `build`.

    Args:
        config: a run's configuration, or what `training.config.read` reads one from: a YAML file, a mapping,
            the name of one that comes along; or a kind of model, for its defaults.
        space: the fields that differ, see `training.sweep.space`: a mapping, a YAML file, a name, or what
            `space.parse` made. Those of training/spaces/KIND.yaml by default.

    Raises:
        ValueError: the configuration is of another kind of model than the class.
    """

    kind = None

    def __init__(self, config, space=None):
        super().__init__()
        if isinstance(config, str) and config in KINDS:
            config = config_class(config)()
        if not isinstance(config, RunConfig):
            config = read(config)
        if self.kind not in (None, config.model.kind):
            raise ValueError(
                f"`config` must be of the kind {self.kind}. Received: one of the kind {config.model.kind}."
            )
        self.config = config
        if space is None:
            space = config.model.kind
        if isinstance(space, str | os.PathLike):
            space = spaces.read(space, config)
        self.space = spaces.parse(space, config) if isinstance(space, dict) else space
        self._prepared = None, None

    def declare_hyperparameters(self, hp) -> None:
        for field in self.space:
            field.declare(hp)

    def config_of(self, hp) -> RunConfig:
        """The configuration with the values of a trial in it.

        Hyperband's tuner/epochs become fit.epochs. A trial that it promotes is trained from the beginning.

        Args:
            hp: `keras_tuner.HyperParameters` with values.
        """
        values = {field.name: field.value(hp.get(field.name)) for field in self.space}
        if "tuner/epochs" in hp.values:
            values["fit.epochs"] = hp.values["tuner/epochs"]
        return spaces.changed(self.config, values)

    def build(self, hp) -> keras.Model:
        """The compiled model of a trial; data and tokenizers are read again if they differ.

        Raises:
            ValueError: its sizes do not fit together, or the data cannot be used.
        """
        self.declare_hyperparameters(hp)
        config = self.config_of(hp)
        keras.utils.set_random_seed(config.fit.seed)
        prepared = self._prepare(config)
        task = copy.copy(prepared.task)
        task.config = config
        model = task.make_model(task.sizes)
        model.freeze(config.fit.freeze)
        settled, steps = prepared.settled, prepared.steps_per_epoch * config.fit.epochs
        compiling.compile_model(model, task, steps, settled.jit_compile, settled.num_micro_batches)
        return model

    def fit(self, hp, model, *args: Any, **kwargs: Any) -> Any:
        """Trains on the data of the configuration, or on that of the arguments, as `model.fit` does.

        `epochs` are fit.epochs by default; quality is measured as in a run, so that val_bleu is in the logs.
        """
        if not args and "x" not in kwargs:
            prepared = self._prepare(self.config_of(hp))
            batches = prepared.batches
            kwargs = {
                "x": batches["train"].stream(0),
                "steps_per_epoch": prepared.steps_per_epoch,
                "epochs": self.config_of(hp).fit.epochs,
                "validation_data": batches["validation"].dataset() if "validation" in batches else None,
                "shuffle": False,  # it is shuffled already
                **kwargs,
            }
            quality = prepared.task.quality(model)
            if quality is not None:  # first: the others find it in the logs
                kwargs["callbacks"] = [quality, *kwargs.get("callbacks", [])]
        return super().fit(hp, model, *args, **kwargs)

    def _prepare(self, config):
        """The data, once for all trials in a row that differ in model, optimizer and epochs only."""
        masked = getattr(config.model, "masked", None)  # of a masked language model: part of its batches
        key = spaces.changed(config, {"model": masked, "optimizer": None, "fit.epochs": None})
        if self._prepared[0] != key:
            self._prepared = key, data.prepare(config)
        return self._prepared[1]


class TransformerHyperModel(RunHyperModel):
    """Of `models.Transformer`, with its defaults if no configuration is given."""

    kind = "transformer"

    def __init__(self, config="transformer", space=None):
        super().__init__(config, space)

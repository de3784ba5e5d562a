"""Training and measuring from Python: what docs/python.md shows; see `keras_transformer_programs`."""

import difflib
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from training import config as configs
from training.run_config import RunConfig
from training.sweep import space
from training.tasks.translation import TranslationConfig

# What tells most of a run, as far as its log has it.
SHOWN = ("val_loss", "val_bleu", "val_exact_match", "val_accuracy", "seconds")


@dataclass(frozen=True)
class Run:
    """A run folder that a training has finished; wherever a run folder is asked for, this will do.

    Args:
        folder: the run folder.
        history: {name: its value after each epoch}: "loss", "val_loss", "val_bleu", "seconds", ...; None in
            an epoch without that value.
    """

    folder: Path
    history: dict[str, list]

    @classmethod
    def read(cls, folder) -> "Run":
        """A run that was trained before.

        Raises:
            ValueError: `folder` is no run folder, or its training has not ended.
        """
        from keras_transformer.callbacks.metrics_file import read_metrics
        from training import run_folder

        folder = Path(folder)
        run_folder.load_config(folder)
        if not (folder / run_folder.MODEL_FILE).exists():
            raise ValueError(f"The training of a run must have ended. Received: {folder}, which has not.")
        records = read_metrics(folder / "metrics.jsonl", math.inf)
        names = dict.fromkeys(name for record in records for name in record)
        return cls(folder, {name: [record.get(name) for record in records] for name in names})

    def __fspath__(self):
        return os.fspath(self.folder)

    def __repr__(self):
        last = {name: values[-1] for name, values in self.history.items() if values[-1] is not None}
        epochs = f"{len(self)} epoch{'s' * (len(self) != 1)}"
        shown = [f"{name} {last[name]:.4g}" for name in SHOWN if name in last]
        return f"Run({', '.join([str(self.folder), epochs, *shown])})"

    def __len__(self):
        return len(self.history.get("epoch", []))


class Measures(dict):
    """{name: `quality.Measured`}; printed, a line each with its signature."""

    def __repr__(self):
        return "\n".join(map(str, self.values()))


def read_config(source, changes: Mapping | None = None) -> RunConfig:
    """A configuration with some of its fields changed.

    Args:
        source: a YAML file, the name of one that comes along ("dates"), a mapping like such a file's, or a
            configuration.
        changes: {"fit.epochs": 3, "model.hidden_dim": 128, ...}.

    Raises:
        ValueError: there is no such file or field, or a value is not of the field's type.
    """
    config = source if isinstance(source, RunConfig) else configs.read(source)
    known = space.names(config)
    for name in changes or {}:
        if name not in known:
            near = ", ".join(difflib.get_close_matches(name, known)) or "none"
            raise ValueError(f"A configuration has fields of its kind. Received: {name}. Nearest: {near}.")
    # Through a mapping: that looks at the types.
    return configs.from_mapping(asdict(space.changed(config, changes))) if changes else config


def train(config, output, changes: Mapping | None = None) -> Run:
    """Trains and leaves a run folder, as `keras-transformer train` does.

    Args:
        config, changes: see `read_config`.
        output: the run folder to make. One with an unfinished run of the same configuration goes on.

    Returns:
        `Run`: the folder and what was logged after each epoch.

    Raises:
        ValueError: the configuration or the data cannot be used, or `output` holds something else.
    """
    from training import fitting

    fitting.train(read_config(config, changes), Path(output))
    return Run.read(output)


def evaluate(run, split: str = "test", data_dir=None, search=None, checkpoint=None) -> Measures:
    """Measures a run of any kind on a split of its data, as `keras-transformer evaluate` does.

    Args:
        run: a `Run` or a run folder.
        split: "train", "validation" or "test".
        data_dir: folder with the data; the one that was trained on if None.
        search: {"beam": 1}, or other fields of `command_line.search_options.SearchOptions`.
        checkpoint: "best", "last" or a file in the run's checkpoints/; model.keras if None.

    Returns:
        `Measures`: `evaluate(run)["bleu"].value`.

    Raises:
        ValueError: the run, the data or an option cannot be used.
    """
    from command_line.search_options import SearchOptions
    from training import evaluate as translators
    from training import measuring, run_folder

    run, search = Path(run), SearchOptions(**search or {})
    if not isinstance(run_folder.load_config(run), TranslationConfig):
        found = measuring.measure(run, split, data_dir, search, checkpoint)
        return Measures({measured.name: measured for measured in found})
    found = translators.evaluate(run, split, data_dir, search, checkpoint=checkpoint)
    names = (*found.names, translators.PERPLEXITY)
    return Measures(zip(names, found.measures, strict=True))

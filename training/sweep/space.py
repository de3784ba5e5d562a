"""Search space of a sweep: fields of the configuration, and the values that each may take.

    model.num_layers: {choice: [2, 3, 4]}
    model.hidden_dim: {int: [128, 512], step: 128}
    optimizer.peak: {float: [1.0e-4, 1.0e-2], sampling: log}
    model.norm_first: {boolean: true}

Nothing here imports Keras, so that a misspelt field is told at once.
"""

import dataclasses
import difflib
import json
import math
import typing
from dataclasses import dataclass, replace
from typing import Any

import jsonargparse

import command_line
from training.config import files
from training.run_config import RunConfig

SAMPLINGS = ("linear", "log", "reverse_log")
# What may stand beside each kind.
EXTRAS = {"choice": set(), "int": {"step", "sampling"}, "float": {"step", "sampling"}, "boolean": set()}
# What a sweep decides for all its trials, or does not change: the answer of the search must mean one thing.
FIXED = {
    "model.kind": "a sweep is of one kind of model",
    "checkpoints.monitor": "--objective says it",
    "checkpoints.mode": "--mode says it",
    "checkpoints.export_best": "a sweep exports nothing",
}


@dataclass(frozen=True)
class Field:
    """One field of the configuration and the values that it may take.

    Args:
        name: of the field, model.num_layers.
        kind: choice, int, float or boolean.
        values: those of a choice; smallest and largest of a range, both possible; false and true.
        step: of a range: distance between possible values, a factor if the sampling is logarithmic; None: 1
            between integers, any real number.
        sampling: of a range: linear, log or reverse_log, as in keras-tuner.
    """

    name: str
    kind: str
    values: tuple
    step: float | None = None
    sampling: str = "linear"

    @property
    def drawn(self) -> list:
        """Of a choice: what keras-tuner draws from; text where the values are no plain numbers or texts."""
        kinds = {type(value) for value in self.values}
        is_plain = len(kinds) == 1 and kinds <= {int, float, str}
        return list(self.values) if is_plain else [json.dumps(value) for value in self.values]

    def declare(self, hp) -> None:
        """Enters the field into a `keras_tuner.HyperParameters`."""
        if self.kind == "choice":
            hp.Choice(self.name, self.drawn)
        elif self.kind == "boolean":
            hp.Boolean(self.name)
        else:
            make = hp.Int if self.kind == "int" else hp.Float
            make(self.name, *self.values, step=self.step, sampling=self.sampling)

    def value(self, drawn) -> Any:
        """The value of the field for what was drawn; a real number with four digits."""
        if self.kind == "choice":
            return self.values[self.drawn.index(drawn)]
        if self.kind == "float":
            low, high = self.values
            return min(max(float(f"{drawn:.4g}"), low), high)
        return drawn


def read(path, config: RunConfig) -> tuple[Field, ...]:
    """The fields in a file, or in that of training/spaces/ with this name; see `parse`."""
    mapping = files.read(path, files.SPACES)
    try:
        return parse(mapping, config)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def parse(mapping, config: RunConfig) -> tuple[Field, ...]:
    """The fields that a mapping describes, {name: {kind: values, ...}}.

    Args:
        mapping: see the head of this module.
        config: the configuration that the sweep begins with.

    Raises:
        ValueError: there is no such field, or its values are not of its type or out of order.
    """
    if not isinstance(mapping, dict) or not mapping:
        raise ValueError(
            "A space must name fields, like model.num_layers: {choice: [2, 3]}. "
            f"Received: {json.dumps(mapping, default=str)}."
        )
    return tuple(_field(str(name), how, config) for name, how in mapping.items())


def as_mapping(space: tuple[Field, ...]) -> dict:
    """What `parse` makes the same fields of."""
    mapping = {}
    for field in space:
        mapping[field.name] = {field.kind: True if field.kind == "boolean" else list(field.values)}
        if field.step is not None:
            mapping[field.name]["step"] = field.step
        if field.sampling != "linear":
            mapping[field.name]["sampling"] = field.sampling
    return mapping


def changed(config: RunConfig, values: dict) -> RunConfig:
    """The configuration with other values, {"model.num_layers": 3}."""
    for name, value in values.items():
        config = _changed(config, name.split("."), value)
    return config


def names(part, prefix: str = "") -> list[str]:
    """The names of all fields of a configuration."""
    found = []
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        name = f"{prefix}{field.name}"
        found += names(value, f"{name}.") if dataclasses.is_dataclass(value) else [name]
    return found


def _changed(part, path, value):
    first, *rest = path
    return replace(part, **{first: _changed(getattr(part, first), rest, value) if rest else value})


def _field(name, how, config):
    known = names(config)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3)
        raise ValueError(
            f"A space may name fields of the configuration. Received: {name}"
            f"{', nearest: ' + ', '.join(near) if near else ''}."
        )
    if name in FIXED:
        raise ValueError(f"A space may not name {name}: {FIXED[name]}.")
    kinds = [kind for kind in EXTRAS if isinstance(how, dict) and kind in how]
    if len(kinds) != 1 or not set(how) <= {kinds[0], *EXTRAS[kinds[0]]}:
        raise ValueError(
            f"`{name}` must be one of {{choice: [...]}}, {{int: [min, max], step: s, sampling: log}}, "
            f"{{float: ...}} and {{boolean: true}}. Received: {json.dumps(how, default=str)}."
        )
    kind = kinds[0]
    values = how[kind]
    if kind == "boolean":
        return Field(name, kind, tuple(_typed(name, config, value) for value in (False, True)))
    is_range = kind != "choice"
    if not isinstance(values, list) or len(values) < 2 or (is_range and len(values) > 2):
        raise ValueError(
            f"`{name}` must have {'the smallest and the largest' if is_range else 'two values or more'} "
            f"in a list. Received: {kind}: {json.dumps(values, default=str)}."
        )
    values = tuple(_typed(name, config, value) for value in values)
    if not is_range:
        if any(value in values[:index] for index, value in enumerate(values)):
            raise ValueError(f"`{name}` must have different values. Received: {list(values)}.")
        return Field(name, kind, values)
    return _range(Field(name, kind, values, how.get("step"), how.get("sampling", "linear")))


def _range(field):
    """The field, if its range makes sense."""
    name, (low, high), step, sampling = field.name, field.values, field.step, field.sampling
    kind = int if field.kind == "int" else float
    for value in field.values if step is None else (*field.values, step):
        # A step of 1 may stand between real numbers.
        if not isinstance(value, kind if value is not step else kind | int) or not math.isfinite(value):
            raise ValueError(f"`{name}` must be a range of {field.kind}s. Received: {value!r}.")
    if sampling not in SAMPLINGS:
        raise ValueError(
            f"`{name}` must have a sampling of {', '.join(SAMPLINGS)}. Received: sampling={sampling!r}."
        )
    if low >= high:
        raise ValueError(f"`{name}` must begin with the smaller value. Received: [{low}, {high}].")
    if sampling != "linear" and low <= 0:
        raise ValueError(f"`{name}` must be above 0 for a sampling of {sampling}. Received: [{low}, {high}].")
    if step is not None and step <= (0 if sampling == "linear" else 1):
        rule = "above 0" if sampling == "linear" else "a factor above 1"
        raise ValueError(f"`{name}` must have a step {rule}. Received: step={step}.")
    return field


def _typed(name, config, value):
    """The value as the field has it, 1 as 1.0 where that is a real number; ValueError if it is no such."""
    *path, last = name.split(".")
    for part in path:
        config = getattr(config, part)
    parser = command_line.Parser(exit_on_error=False)
    parser.add_argument("--value", type=typing.get_type_hints(type(config))[last])
    try:
        return parser.parse_object({"value": value}).value
    except (jsonargparse.ArgumentError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split()).removeprefix('Parser key "value": ')
        raise ValueError(f"`{name}` cannot be {value!r}: {reason}") from error

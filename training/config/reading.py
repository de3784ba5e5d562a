"""Reading of configurations, whose fields depend on the kind of model.

`model.kind` decides: a run with `kind: transformer` has the fields of a translator and of that model, and no
others, so that help and errors speak of nothing else.
"""

import argparse
import functools
from dataclasses import field, make_dataclass
from pathlib import Path
from typing import Any

import jsonargparse

import command_line
from command_line import yaml_files
from training import tasks
from training.config import files
from training.run_config import RunConfig

DEFAULT_KIND = "transformer"


@functools.cache
def config_class(kind: str) -> type[RunConfig]:
    """The class of a kind's configurations: that of its task, whose `model` is this kind's.

    Raises:
        ValueError: there is no such kind.
    """
    task = tasks.of(kind)
    base, model = task.config_class, task.models[kind]
    narrowed = [("model", model, field(default_factory=model))]
    namespace = {"__doc__": base.__doc__, "__module__": base.__module__}
    return make_dataclass(base.__name__, narrowed, bases=(base,), namespace=namespace, frozen=True)


def kind_of(arguments) -> str:
    """The `model.kind` that a command line asks for, in its files or as an option; the last one counts.

    Args:
        arguments: as for a parser.

    Raises:
        ValueError: a file holds no configuration.
    """
    kinds = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    # Without a value: the real parser says so in one line.
    kinds.add_argument("--config", nargs="?", type=Path, action="append", dest="given", default=[])
    kinds.add_argument("--model.kind", nargs="?", action="append", dest="given")
    found = DEFAULT_KIND
    for given in kinds.parse_known_args(arguments)[0].given:
        found = (_kind_in_file(given) if isinstance(given, Path) else given) or found
    return found


def parse(parser, arguments, verb: str, example: str) -> tuple[Any, RunConfig]:
    """The options of a command that is given a configuration, and the configuration.

    Args:
        parser: with the command's own options. Fields are added for the kind of model that is asked for.
        arguments: of the command line, strings.
        verb, example: see `files.check_given`.
    """
    files.check_given(parser, arguments, verb, example)
    kind = config_class(kind_of(arguments))
    parser.add_class_arguments(kind, as_group=False)
    options = parser.parse_args(arguments)
    return options, command_line.instantiate(parser, options, kind)


def read(source) -> RunConfig:
    """A configuration.

    Args:
        source: a YAML file, the name of one that comes with the programs ("dates"), or such a mapping as
            `dataclasses.asdict` makes.

    Raises:
        ValueError: there is no such file, or something in it is no field, or not of the field's type.
    """
    return from_mapping(source if isinstance(source, dict) else files.read(source, files.CONFIGS))


def from_mapping(mapping: dict) -> RunConfig:
    """The configuration that `dataclasses.asdict` made a mapping of.

    Raises:
        ValueError: something in it is no field, or not of the field's type.
    """
    kind = config_class(_kind_in(mapping, "A configuration") or DEFAULT_KIND)
    parser = command_line.parser("training", "", exit_on_error=False)
    parser.add_class_arguments(kind, as_group=False)
    try:
        return command_line.instantiate(parser, parser.parse_object(mapping), kind)
    except (jsonargparse.ArgumentError, TypeError, RecursionError) as error:
        raise ValueError(
            f"A configuration has fields of its kind. Received: {parser.explained(error)}"
        ) from error


def _kind_in(mapping, what: str) -> str | None:
    """The kind that a mapping asks for, if it does; ValueError unless it is made of sections of fields."""
    parts = mapping if isinstance(mapping, dict) else {"": mapping}
    for name, part in parts.items():
        if not isinstance(name, str) or not isinstance(part, dict) or any(type(x) is not str for x in part):
            received = f"{name!r}: {part!r}" if name else repr(mapping)
            raise ValueError(
                f"{what} must hold sections of fields, {{model: {{num_layers: 2}}}}. "
                f"Received: {received[:99]}."
            )
    kind = parts.get("model", {}).get("kind")
    return None if kind is None else str(kind)


def _kind_in_file(path) -> str | None:
    """What a file asks for; None of one that cannot be read, which the parser refuses."""
    try:
        found = files.find(path, files.CONFIGS)
    except ValueError:
        return None
    try:
        return _kind_in(yaml_files.read(found), str(found))
    except OSError:
        return None

"""Configurations and spaces that come with the programs: found by name, from any folder."""

from pathlib import Path
from typing import Any

import jsonargparse

from command_line import yaml_files

CONFIGS = Path(__file__).parents[1] / "configs"
SPACES = Path(__file__).parents[1] / "spaces"
CONFIG_HELP = "YAML file with any of the fields below, or the name of one that comes along: dates, ..."


def find(given, shipped: Path) -> Path:
    """A file: that of the path, or else the one of that name that comes with the programs.

    Args:
        given: a path, or a name like dates.
        shipped: `CONFIGS` or `SPACES`.

    Raises:
        ValueError: there is neither.
    """
    names = sorted(path.stem for path in shipped.glob("*.yaml"))
    if Path(given).is_file():  # first: what the user has is not ours
        return Path(given)
    if str(given) in names:
        return shipped / f"{given}.yaml"
    raise ValueError(
        f"There must be such a YAML file, or one of ours: {', '.join(names)}. Received: {given}."
    )


def read(given, shipped: Path) -> Any:
    """What a YAML file holds; see `find`.

    Raises:
        ValueError: there is no such file, or it is not YAML.
    """
    return yaml_files.read(find(given, shipped))


class ConfigFile(jsonargparse.ActionConfigFile):
    """The option --config: a path, a name, or as in all of jsonargparse the mapping itself."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        if ":" not in values:
            try:
                values = str(find(values, CONFIGS))
            except ValueError as error:
                parser.error(f"`config`: {error}")
        super().__call__(parser, namespace, values, option_string)

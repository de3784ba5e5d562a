"""Configurations and spaces that come with the programs: found by name, from any folder."""

from pathlib import Path
from typing import Any

import jsonargparse

from command_line import yaml_files

CONFIGS = Path(__file__).parents[1] / "configs"
SPACES = Path(__file__).parents[1] / "spaces"
# Options that say what data a training is of, and those that only ask.
NAME_DATA = ("--config", "--data", "--data.name", "--data.train", "--data.prepared")
ASK = ("-h", "--help", "--print_config", "--print_shtab")
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


def check_given(parser, arguments, verb: str, example: str) -> None:
    """Ends the command with what to write behind it, unless its arguments name a configuration or data.

    Without, it would begin something long with defaults that nobody chose.

    Args:
        parser: the command's.
        arguments: of the command line, strings.
        verb: what the command does: "train".
        example: options for pairs of sentences of one's own.
    """
    given = {argument.partition("=")[0].rstrip("+") for argument in arguments}
    if given.isdisjoint((*NAME_DATA, *ASK)):
        names = ", ".join(sorted(path.stem for path in CONFIGS.glob("*.yaml")))
        parser.error(
            f"say what to {verb}: --config FILE, yours or by its name one of ours: {names}. Your own pairs "
            f"of sentences: {parser.prog} --config parallel_text {example}. All options: --help"
        )


class ConfigFile(jsonargparse.ActionConfigFile):
    """The option --config: a path, a name, or as in all of jsonargparse the mapping itself."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        if ":" not in values:
            try:
                values = str(find(values, CONFIGS))
            except ValueError as error:
                parser.error(f"`config`: {error}")
        super().__call__(parser, namespace, values, option_string)

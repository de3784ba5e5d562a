"""What the commands of training/, serving/ and examples/ share: one style of parser and of errors.

Nothing here imports Keras or TensorFlow: help and a misspelt option answer at once.
"""

import dataclasses
import difflib
import re
import sys

import jsonargparse

from command_line import yaml_files


class Parser(jsonargparse.ArgumentParser):
    """A parser whose errors are one line that names the nearest option, and whose usage is short."""

    def error(self, message, ex=None):
        if not self.exit_on_error:  # the parser of a part: its owner reports
            super().error(message, ex)
        message = " ".join(str(message).split())
        unknown = re.search(r"(?:unrecognized arguments: --|does not accept option ')([\w.]+)", message)
        if unknown:
            group = re.search(r"Group '([\w.]+)'", message)
            name = f"{group.group(1)}.{unknown.group(1)}" if group else unknown.group(1)
            names = [action.dest for action in self._actions]
            near = difflib.get_close_matches(name, names, n=3)
            message += f". Nearest: {', '.join(near)}; all: --help" if near else "; all: --help"
        sys.stderr.write(f"error: {shortened(message)}\n")
        sys.exit(2)


def parser(module: str, description: str) -> Parser:
    """A parser for `python -m MODULE`."""
    return Parser(
        prog=f"python -m {module}",
        usage="%(prog)s [options]",
        description=description,
        allow_abbrev=False,
        parser_mode=yaml_files.MODE,
    )


def add_run(parser) -> None:
    """Adds the run folder, and those that predict together with it."""
    parser.add_argument("--run", type=str, required=True, help="run folder that training.train made")
    parser.add_argument(
        "--ensemble",
        type=str,
        action="append",
        default=[],
        metavar="RUN",
        help="further run folder with the same tokenizers, whose predictions are averaged with the run's; "
        "may be given several times",
    )


def add_checkpoint(parser) -> None:
    """Adds which model of the run folder is taken."""
    parser.add_argument(
        "--checkpoint",
        type=str,
        help="best, last or the name of a file in the run's checkpoints/; model.keras if absent",
    )


def instantiate(parser: jsonargparse.ArgumentParser, options, kind: type):
    """The parsed options as an instance of a dataclass, whose fields are options of the parser."""
    for field in dataclasses.fields(kind):
        if not isinstance(options[field.name], jsonargparse.Namespace) and _is_section(parser, field.name):
            raise ValueError(f"`{field.name}` must hold fields. Received: {options[field.name]!r}.")
    values = parser.instantiate(options)
    return kind(**{field.name: values[field.name] for field in dataclasses.fields(kind)})


def _is_section(parser, name: str) -> bool:
    return any(action.dest.startswith(f"{name}.") for action in parser._actions)


def shortened(message: str, length: int = 2000) -> str:
    """A message on one line; what was received may be of any length."""
    message = " ".join(message.split())
    return message if len(message) <= length else f"{message[:length]}..."


def run(main) -> None:
    """Runs a command; input that cannot be used ends in one line and exit status 1."""
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f"error: {shortened(str(error))}")
    except KeyboardInterrupt:
        sys.exit(130)

"""Parser and errors of the commands of training/, serving/ and examples/.

Nothing here imports Keras or TensorFlow: help and a misspelt option answer at once.
"""

import atexit
import dataclasses
import difflib
import gc
import re
import sys
from typing import Any

from keras_transformer_programs import hints, installation, output

try:
    import jsonargparse
except ModuleNotFoundError as error:
    if hints.is_started_by_module():  # nobody would catch it
        sys.exit(f"error: {installation.explained(error)}")
    raise installation.explained(error) from None

from command_line import messages, yaml_files  # noqa: E402 - jsonargparse first, or its absence is told

UNKNOWN = re.compile(r"(?:unrecognized arguments: --|does not accept option ')([\w.]+)")


class HelpFormatter(jsonargparse.DefaultHelpFormatter):
    """Keeps the paragraphs of a description, and says "path" where a value is one."""

    def _fill_text(self, text, width, indent):
        paragraphs = text.strip().split("\n\n")
        return "\n\n".join(super(HelpFormatter, self)._fill_text(part, width, indent) for part in paragraphs)

    def _get_type_str(self, action):
        found = super()._get_type_str(action)
        return "path" if found == "<class 'Path'>" else found


class Parser(jsonargparse.ArgumentParser):
    """A parser whose errors are one line that names the nearest option, and whose usage is short."""

    def error(self, message, ex=None) -> None:
        if not self.exit_on_error:  # the parser of a part: its owner reports
            super().error(message, ex)
        where = "; all: --help" if UNKNOWN.search(str(message)) else ""
        sys.stderr.write(f"error: {self.explained(message)}{where}\n")
        sys.exit(2)

    def explained(self, message) -> str:
        """The message in one line and plain words, with the nearest options to one that there is not."""
        message = messages.plain(messages.one_line(message))
        if unknown := UNKNOWN.search(message):
            group = re.search(r"Group '([\w.]+)'", message)
            name = f"{group.group(1)}.{unknown.group(1)}" if group else unknown.group(1)
            names = [action.dest for action in self._actions]
            near = difflib.get_close_matches(name, names, n=3)
            message += f". Nearest: {', '.join(near)}" if near else ""
        return message


def parser(module: str, description: str, exit_on_error: bool = True) -> Parser:
    """A parser for `python -m MODULE`, which may have been started as `keras-transformer COMMAND`.

    Args:
        module: the program's.
        description: its docstring.
        exit_on_error: whether an error ends the process; else it is a `jsonargparse.ArgumentError`.
    """
    program = hints.program(module)
    return Parser(
        prog=program,
        usage="%(prog)s [options]",
        description=description.replace(f"python -m {module}", program),
        formatter_class=HelpFormatter,
        allow_abbrev=False,
        parser_mode=yaml_files.MODE,
        exit_on_error=exit_on_error,
    )


def add_run(parser) -> None:
    """Adds the run folder, and those that predict together with it."""
    parser.add_argument("--run", type=str, required=True, help="run folder that training.train made")
    add_ensemble(parser)


def add_ensemble(parser) -> None:
    """Adds run folders that predict together with the run."""
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


def instantiate(parser: jsonargparse.ArgumentParser, options, kind: type) -> Any:
    """The parsed options as an instance of a dataclass, whose fields are options of the parser."""
    for field in dataclasses.fields(kind):
        if not isinstance(options[field.name], jsonargparse.Namespace) and _is_section(parser, field.name):
            raise ValueError(f"`{field.name}` must hold fields. Received: {options[field.name]!r}.")
    values = parser.instantiate(options)
    return kind(**{field.name: values[field.name] for field in dataclasses.fields(kind)})


def _is_section(parser, name: str) -> bool:
    return any(action.dest.startswith(f"{name}.") for action in parser._actions)


def run(main) -> None:
    """Runs a command; input that cannot be used ends in one line and exit status 1.

    Whoever reads standard output may go, see `output.ends_quietly`.
    """
    # At its end Python looks for garbage among all that TensorFlow and Keras made: most of a second.
    atexit.register(gc.freeze)
    try:
        with output.ends_quietly():
            main()
    except (ValueError, OSError) as error:
        output.give_up()
        sys.exit(f"error: {messages.one_line(error)}")
    except ModuleNotFoundError as error:
        told = installation.explained(error)
        if told is error:  # a fault of ours, not a package that is not installed
            raise
        sys.exit(f"error: {told}")
    except KeyboardInterrupt:
        output.give_up()
        sys.exit(130)

"""What is said of a value of the wrong type: a rule that a user knows, and not Python's types."""

from dataclasses import dataclass, field
from typing import Literal

import pytest

import command_line
from command_line import messages


@dataclass(frozen=True)
class Options:
    """Options of every type that there is.

    Args:
        name: a text.
        beam: an integer or nothing.
        alpha: a number.
        parts: an integer or a word.
        kind: a word.
        files: a list.
        bounds: a list or nothing.
        fast: yes or no.
    """

    name: str = "a"
    beam: int | None = None
    alpha: float = 0.6
    parts: int | Literal["auto"] = 1
    kind: Literal["gru", "lstm"] = "gru"
    files: list[str] = field(default_factory=list)
    bounds: list[int] | None = None
    fast: bool = False


def test_a_text_of_a_page_is_not_quoted_whole():
    line = messages.one_line("Received:\n" + 50_000 * "a b" + "\n the end.")
    assert line.startswith("Received: a ba b") and " ... " in line and line.endswith("b the end.")
    assert len(line) <= messages.LONGEST + 5 and "\n" not in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--beam", "1.5"], "`beam` must be an integer. Received: beam=1.5."),
        (["--alpha", "high"], "`alpha` must be a number. Received: alpha=high."),
        (["--parts", "few"], "`parts` must be an integer or one of auto. Received: parts=few."),
        (["--kind", "rnn"], "`kind` must be one of gru, lstm. Received: kind=rnn."),
        (["--files", "a.tsv"], "`files` must be a list, [a, b]. Received: files=a.tsv."),
        (["--bounds", "[a]"], "`bounds` must be a list, [a, b]. Received: bounds=['a']."),
        (["--fast", "maybe"], "`fast` must be true or false. Received: fast=maybe."),
        (["--number", "x"], "`number` must be an integer. Received: number=x."),
        (["--name", "[a"], None),
    ],
)
def test_a_value_of_the_wrong_type_is_told_by_its_rule(capsys, arguments, message):
    parser = command_line.parser("training.some", "")
    parser.add_argument("--number", type=int)
    parser.add_class_arguments(Options, as_group=False)
    if message is None:
        assert parser.parse_args(arguments).name == "[a"
        return
    with pytest.raises(SystemExit):
        parser.parse_args(arguments)
    assert capsys.readouterr().err == f"error: {message}\n"

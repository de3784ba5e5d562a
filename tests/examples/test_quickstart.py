"""The quickstart's last words."""

import os
import shlex
import sys
from pathlib import Path

import pytest

import command_line
from examples import quickstart
from keras_transformer_programs import commands


class Accepted(Exception):
    """The arguments were parsed; the program is not run."""


def test_what_is_printed_at_the_end_can_be_pasted(tmp_path, monkeypatch, capsys):
    bin_ = tmp_path / ".venv" / "bin"
    bin_.mkdir(parents=True)
    for name in ("keras-transformer", "tensorboard"):
        (bin_ / name).touch(mode=0o755)
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(bin_))
    monkeypatch.chdir(tmp_path)
    parse = command_line.Parser.parse_args

    def parse_only(self, *arguments):
        parse(self, *arguments)
        raise Accepted

    monkeypatch.setattr(command_line.Parser, "parse_args", parse_only)
    lines = quickstart.what_next(Path("runs") / "quickstart")
    for line in lines:
        program, *arguments = shlex.split(line, comments=True)
        assert os.access(program, os.X_OK)  # in a plain shell, where the environment is not active
        if program.endswith("keras-transformer"):
            monkeypatch.setattr(sys, "argv", [program, *arguments])
            with pytest.raises((Accepted, SystemExit)) as ended:
                commands.main()
            assert ended.type is Accepted or ended.value.code in (None, 0)
    assert len(lines) == 3

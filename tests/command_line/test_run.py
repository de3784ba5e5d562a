"""How a command ends when nobody reads what it prints, or nothing more can be written."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import command_line
from command_line import lines

ROOT = Path(__file__).resolve().parents[2]


def ends(main):
    """The exit code of a command that ends before its end."""
    with pytest.raises(SystemExit) as end:
        command_line.run(main)
    return end.value.code


@contextlib.contextmanager
def nobody_reads(monkeypatch):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as gone, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", gone)
        yield
        gone.flush()  # what Python does in the end


def write_lines():
    with lines.writer(None) as write:
        write(["a line"] * 9)


def ask_for_help():
    command_line.parser("training.translate", "Translates.").parse_args(["--help"])


@pytest.mark.parametrize("main", [write_lines, lambda: print("a line"), ask_for_help])
def test_nobody_reads_and_the_command_ends_quietly(monkeypatch, capsys, main):
    with nobody_reads(monkeypatch):
        assert ends(main) == 141  # as a program that SIGPIPE ends
    assert capsys.readouterr().err == ""


def test_an_error_is_told_whoever_reads(monkeypatch):
    def main():
        print("a line")
        raise ValueError("`beam` must be a positive integer.")

    with nobody_reads(monkeypatch):
        assert ends(main) == "error: `beam` must be a positive integer."


def test_the_help_keeps_paragraphs_and_names_what_is_optional(capsys):
    parser = command_line.parser("training.some", "Does it.\n\nThat is\nhow.\n")
    parser.add_argument("texts", type=str, nargs="*", default=[], metavar="TEXT", help="texts")
    parser.add_argument("--picture", type=Path, help="file")
    with pytest.raises(SystemExit):
        parser.parse_args(["--help"])
    text = capsys.readouterr().out
    assert "\n\nDoes it.\n\nThat is how.\n\n" in text
    assert "(type: path, default: null)" in text and "required" not in text


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("main", [write_lines, lambda: print("a line")])
def test_a_full_disk_is_told_once(monkeypatch, main):
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert "No space left on device" in ends(main)


def test_a_shell_sees_nothing_but_the_lines():
    program = (
        "import command_line; from command_line import lines\n"
        "def main():\n"
        "    with lines.writer(None) as write:\n"
        "        [write(['a line'] * 9_999) for _ in range(9)]\n"
        "command_line.run(main)"
    )
    shell = f'"{sys.executable}" -c "$PROGRAM" | head -1; echo ${{PIPESTATUS[0]}}'
    environment = {**os.environ, "PROGRAM": program}
    done = subprocess.run(["bash", "-c", shell], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("a line\n141\n", "")

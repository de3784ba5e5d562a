"""The command `keras-transformer`: what it lists, what it starts, what it says of what it cannot start."""

import argparse
import importlib
import importlib.util
import inspect
import io
import os
import runpy
import subprocess
import sys

import pytest

import command_line
from keras_transformer_programs import commands, hints, installation
from tests.source_code import ROOT, sources

# Started by the other programs only.
INNER = {"training.trial", "training.sweep.child", "training.sweep.worker"}


def says(capsys, *arguments):
    """What the command prints, and its exit status."""
    try:
        sys.argv[1:] = arguments
        commands.main()
    except SystemExit as end:
        return capsys.readouterr().err, end.code
    return capsys.readouterr().out, 0


@pytest.fixture(autouse=True)
def started_as_a_command(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/keras-transformer"])


def test_every_program_is_a_command_of_its_name():
    modules = {module for module, _ in commands.COMMANDS.values()}
    found = {
        ".".join(path.with_suffix("").parts).removesuffix(".__main__")
        for path, _ in sources("training", "serving")
        if '__name__ == "__main__"' in (ROOT / path).read_text(encoding="utf-8")
    }
    assert modules == found - INNER - {"serving.replay"}
    assert all(module.rpartition(".")[2] == name for name, (module, _) in commands.COMMANDS.items())


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_has_a_line_for_each_command(capsys, arguments):
    printed, status = says(capsys, *arguments)
    named = [line.split()[0] for line in printed.splitlines() if line.startswith("  ")]
    assert named == [*commands.COMMANDS, "completion"] and status == 0
    assert all(len(line) <= 100 for line in printed.splitlines())


def test_a_misspelt_command_is_told_with_the_nearest(capsys):
    assert says(capsys, "trian") == (
        "error: there is no command trian. Nearest: train; all: keras-transformer --help\n",
        2,
    )
    assert "All: keras-transformer --help" in says(capsys, "qqq")[0]


def test_a_program_speaks_of_itself_as_it_was_started(capsys, monkeypatch):
    monkeypatch.setattr(
        command_line.Parser, "parse_args", lambda self, *arguments: sys.exit(self.format_help())
    )
    _, told = says(capsys, "verify", "exported/1")
    assert told.startswith("usage: keras-transformer verify [options]\n")
    assert "python -m" not in told and "keras-transformer verify DIR/VERSION" in told
    monkeypatch.setattr(sys, "argv", ["pytest"])
    assert hints.program("serving.verify") == "python -m serving.verify"


def test_a_command_that_is_told_can_be_pasted(tmp_path, monkeypatch):
    program = tmp_path / ".venv" / "bin" / "keras-transformer"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(program.parent))
    question = ("training.translate", "--run", "my runs/1", "3 février")
    assert hints.command(*question).startswith(f"{sys.executable} -m training.translate --run 'my runs/1'")
    program.parent.mkdir(parents=True)
    program.touch(mode=0o755)
    arguments = "translate --run 'my runs/1' '3 février'"
    assert hints.command(*question) == f".venv/bin/keras-transformer {arguments}"
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}/bin")  # the environment is active
    assert hints.command(*question) == f"keras-transformer {arguments}"


def test_a_package_that_is_not_installed_is_told_with_its_extra(capsys, monkeypatch):
    def main():
        raise ModuleNotFoundError("No module named 'keras_tuner.src'", name="keras_tuner.src")

    with pytest.raises(SystemExit) as end:
        command_line.run(main)
    assert 'keras_tuner must be installed: pip install ".[tuning]" in a clone' in end.value.code
    assert "\n" not in end.value.code
    # As it is in a plain shell: before the program can catch anything.
    monkeypatch.setitem(sys.modules, "jsonargparse", None)
    monkeypatch.delitem(sys.modules, "command_line")
    monkeypatch.delitem(sys.modules, "serving.verify", raising=False)
    told, status = says(capsys, "verify")
    assert '".[training]"' in told and status == 1 and len(told.splitlines()) == 1
    with pytest.raises(SystemExit, match=r"jsonargparse .*\. \.venv/bin/activate"):
        runpy.run_module("serving.verify", run_name="__main__", alter_sys=True)


@pytest.mark.parametrize(
    ("program", "arguments"),
    [
        ("training.translate", ["--run", "RUN", "--picture", "a.png", "7"]),
        ("training.caption", ["--run", "RUN", "--picture", "a.png", "b.png"]),
        ("training.curves", ["RUN", "--output", "a.png"]),
        ("training.evaluate", ["--run", "RUN", "--report", "a.html"]),
        ("serving.load_test", ["--target", "a:1", "--model", "m", "--input", "RUN", "--picture", "a.png"]),
    ],
)
def test_what_draws_is_missed_before_anything_begins(monkeypatch, tmp_path, program, arguments):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    (tmp_path / "RUN").mkdir()
    kind = "image_captioner" if program == "training.caption" else "transformer"
    (tmp_path / "RUN" / "config.yaml").write_text(f"model: {{kind: {kind}}}\n")
    main = importlib.import_module(program).main
    with pytest.raises(SystemExit) as end:
        command_line.run(lambda: main(arguments))
    assert 'The package matplotlib must be installed: pip install ".[plot]"' in end.value.code
    assert len(end.value.code.splitlines()) == 1


@pytest.mark.parametrize("is_buffered", [False, True])
@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["completion", "bash"], ["verify", "--help"]])
def test_nobody_reads_and_the_command_ends_quietly(capsys, monkeypatch, arguments, is_buffered):
    """`keras-transformer --help | head -1`, with PYTHONUNBUFFERED too."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb", -1 if is_buffered else 0) as gone, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", io.TextIOWrapper(gone, write_through=not is_buffered))
        patch.setattr(sys, "argv", ["keras-transformer", *arguments])
        with pytest.raises(SystemExit) as end:
            commands.main()
        # As a program that SIGPIPE ends; argparse of later 3.11 says nothing of a line that it cannot write.
        is_silent = "OSError" in inspect.getsource(argparse.ArgumentParser._print_message)
        silent = is_silent and arguments[0] == "verify" and not is_buffered
        assert end.value.code == (0 if silent else 141)
        sys.stdout.flush()  # what Python does in the end
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_a_full_disk_is_told_once(capsys, monkeypatch):
    with open("/dev/full", "w") as full, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", full)
        patch.setattr(sys, "argv", ["keras-transformer", "--help"])
        with pytest.raises(SystemExit) as end:
            commands.main()
        assert end.value.code == 1
    told = capsys.readouterr().err
    assert "No space left on device" in told and len(told.splitlines()) == 1


def test_a_fault_of_ours_is_not_taken_for_a_package():
    def main():
        raise ModuleNotFoundError("No module named 'training.nothing'", name="training.nothing")

    with pytest.raises(ModuleNotFoundError, match="training.nothing"):
        command_line.run(main)


def test_the_library_of_another_project_is_told(capsys, monkeypatch, tmp_path):
    theirs = tmp_path / "__init__.py"
    theirs.write_text('"""Another transformer."""')
    spec = importlib.util.spec_from_file_location("keras_transformer", theirs)
    assert installation.wrong_library() is None
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    told, status = says(capsys, "train")
    assert f"Received: {theirs}, of another project" in told and status == 1
    assert len(told.splitlines()) == 1


@pytest.fixture(scope="module")
def completed(tmp_path_factory):
    """`completed(line)`: what bash offers for the last word of a line."""
    folder = tmp_path_factory.mktemp("shell")
    program = folder / "keras-transformer"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m keras_transformer_programs "$@"\n')
    program.chmod(0o755)
    (folder / "mine.yaml").touch()
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    script = (
        'eval "$(keras-transformer completion bash)"\n'
        'while IFS= read -r line; do read -ra COMP_WORDS <<< "$line"; '
        '[ "${line% }" = "$line" ] || COMP_WORDS+=("")\n'
        "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _keras_transformer; echo ${COMPREPLY[@]}; done"
    )

    def complete(*lines):
        asked = "".join(f"{line}\n" for line in lines)
        done = subprocess.run(
            ["bash", "-c", script], input=asked, cwd=folder, env=environment, capture_output=True, text=True
        )
        assert not done.stderr
        return [line.split() for line in done.stdout.splitlines()]

    return complete


def test_bash_completes_commands_options_and_files(completed):
    commands_, options, configs, files, shells = completed(
        "keras-transformer tr",
        "keras-transformer verify --sha",
        "keras-transformer train --config m",
        "keras-transformer verify m",
        "keras-transformer completion ",
    )
    assert commands_ == ["train", "translate"]
    assert options == ["--sha256"]
    assert "multi30k_de_en" in configs and "dates" not in configs and configs[-1] == "mine.yaml"
    assert files == ["mine.yaml"]
    assert shells[:2] == ["bash", "zsh"]


def test_a_shell_that_is_not_known_is_refused(capsys):
    assert "usage: " in says(capsys, "completion", "fish")[0]

"""Programs that start programs: from any folder, and always this project's."""

import ast
import os
import runpy
import subprocess
import sys

import pytest

import keras_transformer_programs
from keras_transformer_programs import child
from tests.source_code import sources


def test_a_program_starts_another_from_a_folder_with_modules_of_its_names(tmp_path):
    (tmp_path / "training.py").write_text("raise SystemExit('the wrong one')")
    environment = {name: value for name, value in child.environment().items() if name != "PYTHONHOME"}
    done = subprocess.run(
        child.command("training.launch", "--help"),
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: python -m training.launch")


def test_what_the_user_has_on_the_path_stays_there(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/theirs")
    assert child.environment(A="1")["PYTHONPATH"].split(os.pathsep)[1:] == ["/theirs"]
    assert child.environment(A="1")["A"] == "1"


def test_nobody_starts_a_program_otherwise():
    # `python -m training.x` finds it in the repository's folder only.
    for path, tree in sources("training", "serving", "command_line"):
        for node in ast.walk(tree):
            if isinstance(node, ast.List | ast.Tuple):
                items = [ast.unparse(item) for item in node.elts]
                assert not ("sys.executable" in items and "'-m'" in items), f"{path}: use child.command"


def test_a_module_of_the_user_that_was_imported_before_is_told(monkeypatch, tmp_path):
    theirs = tmp_path / "training.py"
    theirs.touch()
    module = type(sys)("training")
    module.__file__ = str(theirs)
    monkeypatch.setitem(sys.modules, "training", module)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    with pytest.raises(ImportError, match=f"Received: {theirs}, imported before"):
        runpy.run_path(keras_transformer_programs.__file__)

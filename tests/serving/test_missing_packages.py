"""A package that is not installed: one line that names the extra, and how to install it from a clone."""

import importlib
import importlib.abc
import re
import sys

import pytest

import serving
from command_line import run
from serving import client, export, load_test, local_server
from serving.client import Client

HINT = 'must be installed: pip install ".[serving]" in a clone'


class Missing(importlib.abc.MetaPathFinder):
    """As if a package was not there."""

    def __init__(self, name):
        self.name = name

    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] == self.name:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


@pytest.fixture
def without(monkeypatch):
    def remove(package, importer):
        for name in list(sys.modules):
            if name.partition(".")[0] == package or name == importer:
                monkeypatch.delitem(sys.modules, name)
        monkeypatch.delattr(serving, importer.rpartition(".")[2], raising=False)
        monkeypatch.setattr(sys, "meta_path", [Missing(package), *sys.meta_path])

    return remove


@pytest.mark.parametrize(
    ("package", "importer", "command", "arguments"),
    [
        (
            "urllib3",
            "serving.client_rest",
            client,
            ["--target", "localhost:1", "--model", "m", "--rest", "a"],
        ),
        (
            "urllib3",
            "serving.client_rest",
            load_test,
            ["--target", "a:1", "--model", "m", "--rest", "--input"],
        ),
        ("grpc", "serving.client_grpc", client, ["--target", "localhost:1", "--model", "m", "a"]),
        ("tensorflow_serving", "serving.saved_model", export, ["--run", "run", "--output", "out"]),
        ("tensorflow_serving", "serving.local_models", local_server, ["--model_config_file"]),
        ("aiohttp", "serving.local_rest", local_server, ["--model_config_file"]),
    ],
    ids=str,
)
def test_a_package_that_is_missing_is_one_line_that_names_the_extra(
    without, tmp_path, package, importer, command, arguments
):
    path = tmp_path / "file"
    path.write_text("a")
    without(package, importer)
    if arguments[-1].endswith(("input", "file")):
        arguments = [*arguments, str(path)]
    with pytest.raises(SystemExit) as error:
        run(lambda: command.main(arguments))
    assert len(error.value.code.splitlines()) == 1 and HINT in error.value.code
    assert package in error.value.code


def test_who_uses_the_client_from_python_is_told_too(without):
    without("urllib3", "serving.client_rest")
    with pytest.raises(ModuleNotFoundError, match=f"urllib3 {re.escape(HINT)}"):
        Client("localhost:1", "m", rest=True)


def test_a_module_of_our_own_that_is_missing_is_a_fault_of_ours():
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        run(lambda: importlib.import_module("serving.no_such_module"))

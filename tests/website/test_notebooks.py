"""The notebooks: as they lie in the repository, and as pages. `make docs` runs them."""

import base64
import re
import subprocess

import pytest

from tests.source_code import ROOT
from website import notebooks

PYTHON = ROOT / ".venv-docs/bin/python"
PATHS = sorted(notebooks.FOLDER.glob("*.ipynb"))
PIXEL = base64.b64decode("iVBORw0KGgo=")


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_notebook_is_committed_as_it_was_written(path):
    notebook = notebooks.read(path)
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    identities = [cell["id"] for cell in notebook["cells"]]
    assert len(set(identities)) == len(identities)
    for cell in notebook["cells"]:
        assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", cell["id"])
        if cell["cell_type"] == "code":
            keys = {"cell_type", "execution_count", "id", "metadata", "outputs", "source"}
            assert cell.keys() == keys and cell["execution_count"] is None and cell["outputs"] == []
        else:
            assert cell["cell_type"] == "markdown" and cell.keys() == {
                "cell_type",
                "id",
                "metadata",
                "source",
            }
        assert cell["metadata"] == {} and notebooks.source(cell).strip()
    assert notebooks.source(notebook["cells"][0]).startswith("# ")


def test_a_translation_has_the_code_of_its_original():
    translations = [path for path in PATHS if notebooks.language(path)]
    assert {path.name[:2] for path in translations} == {"01", "02", "03"}
    for path in translations:
        ours, original = (notebooks.read(one)["cells"] for one in (path, notebooks.original(path)))
        assert [(cell["id"], cell["cell_type"]) for cell in ours] == [
            (cell["id"], cell["cell_type"]) for cell in original
        ]
        for one, other in zip(ours, original, strict=True):
            assert (one["source"] == other["source"]) == (one["cell_type"] == "code"), one["id"]
        assert f"]({path.name})" in notebooks.source(original[0])


def test_every_notebook_is_in_the_menu_and_on_the_page_of_them_all(tmp_path):
    for path in PATHS:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    *entries, translated = notebooks.write(tmp_path, {})
    menu = {page for entry in [*entries, *translated["한국어"]] for page in entry.values()}
    assert menu == {f"docs/notebooks/{path.stem}.md" for path in PATHS}
    listed = re.findall(
        r"\]\(notebooks/([^)]+\.ipynb)\)", (ROOT / "docs/notebooks.md").read_text(encoding="utf-8")
    )
    assert sorted(listed) == [path.name for path in PATHS]


def cell(kind, name, source):
    return {"cell_type": kind, "id": name, "source": [source]}


def test_a_page_shows_what_the_cells_show():
    notebook = {
        "cells": [
            cell("markdown", "a", "# One\n\n## Two"),
            cell("code", "b", "print(1)"),
            cell("code", "c", "# A `picture` [of it]\ndraw()"),
        ]
    }
    said = {"output_type": "stream", "name": "stdout", "text": "\x1b[31m```\x1b[0m\n"}
    outputs = {
        "b": [said, {**said, "name": "stderr", "text": "a log"}],
        "c": [
            {
                "output_type": "display_data",
                "data": {"image/png": base64.b64encode(PIXEL).decode(), "text/plain": "x"},
            },
            {"output_type": "execute_result", "data": {"text/html": "<b>page</b>", "text/plain": "x"}},
            {"output_type": "display_data", "data": {"text/markdown": "| table |", "text/plain": "x"}},
            {"output_type": "execute_result", "data": {"text/plain": "Run(...)"}},
        ],
    }
    text, files = notebooks.page(notebook, outputs, "name")
    assert "````{ .text .output }\n```\n````" in text.replace("```` {", "````{") and "a log" not in text
    assert "\n![A picture of it](name-c-0.png)\n" in text and files["name-c-0.png"] == PIXEL
    assert 'src="name-c-1.html" title="A `picture` [of it]"' in text
    assert files["name-c-1.html"].endswith(b"<b>page</b>")
    assert "\n| table |\n" in text and "Run(...)" in text
    assert text.startswith("# One\n")


def test_what_a_notebook_follows_from_decides_whether_it_is_run_again():
    notebook = notebooks.read(PATHS[0])
    before = notebooks.digest(notebook)
    told, code = (
        next(cell for cell in notebook["cells"] if cell["cell_type"] == kind) for kind in ("markdown", "code")
    )
    told["source"] = ["# Another text"]
    assert notebooks.digest(notebook) == before
    code["source"] = ["1 + 1"]
    assert notebooks.digest(notebook) != before


@pytest.mark.slow
@pytest.mark.skipif(not PYTHON.exists(), reason="`make docs` makes the environment")
def test_a_cell_that_fails_ends_it_with_its_place():
    program = (
        "import json, pathlib, sys, tempfile; from website import notebooks;"
        "path = pathlib.Path(tempfile.mkdtemp()) / 'broken.ipynb';"
        "notebook = notebooks.read(notebooks.FOLDER / sys.argv[1]);"
        "code = [cell for cell in notebook['cells'] if cell['cell_type'] == 'code'][:1];"
        "code[0]['source'] = ['assert 2 < 1, \"two\"'];"
        "path.write_text(json.dumps({**notebook, 'cells': code}));"
        "notebooks.run(path)"
    )
    done = subprocess.run([PYTHON, "-c", program, PATHS[0].name], cwd=ROOT, capture_output=True, text=True)
    assert (
        done.returncode == 1 and "error: broken.ipynb" in done.stderr and "AssertionError: two" in done.stderr
    )

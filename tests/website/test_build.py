"""The site: its pages link to what is there, it names all that is public, and its pictures are drawn anew."""

import re
import subprocess

import pytest

from tests.source_code import ROOT
from website import build, diagrams, reference

PYTHON = ROOT / ".venv-docs/bin/python"


def test_pages_link_to_what_is_staged(tmp_path):
    entries, models = build.stage(tmp_path / "source", {})
    assert entries and {page.stem for page in models} == set(diagrams.DIAGRAMS)
    pages = list((tmp_path / "source").rglob("*.md"))
    assert len(pages) > 25
    for page in pages:
        for _, path, _ in build.LINK.findall(page.read_text(encoding="utf-8")):
            assert (page.parent / path).is_file(), f"{page}: {path}"


def test_the_reference_names_what_is_public(tmp_path):
    entries = reference.write(ROOT, tmp_path)
    assert [list(entry) for entry in entries] == [[title] for title in reference.MODULES]
    from keras_transformer import decoding, layers, models

    for title, module in (("layers", layers), ("models", models), ("decoding", decoding)):
        page = (tmp_path / f"reference/{title}.md").read_text(encoding="utf-8")
        assert re.findall(r"^::: (.+)$", page, re.MULTILINE) == [
            f"{module.__name__}.{name}" for name in module.__all__
        ]


def test_every_page_of_the_guide_is_in_the_menu():
    menu = (ROOT / "website/mkdocs.yml").read_text(encoding="utf-8") + (ROOT / "website/build.py").read_text()
    assert all(f"docs/{page.name}" in menu for page in (ROOT / "docs").glob("*.md"))


def test_pages_of_the_models_have_a_figure_a_formula_a_result_and_a_command():
    for name, (columns, arrows) in diagrams.DIAGRAMS.items():
        page = (ROOT / f"docs/models/{name}.md").read_text(encoding="utf-8")
        assert f"]({name}.svg)" in page and "$$\n" in page and "**Measured.**" in page
        assert f"`model.kind: {name}`" in page and "keras-transformer " in page
        drawn = (ROOT / f"docs/models/{name}.svg").read_text(encoding="utf-8")
        assert drawn == diagrams.svg(columns, arrows), "python -m website.diagrams draws them"


@pytest.mark.slow
@pytest.mark.skipif(not PYTHON.exists(), reason="`make docs` makes the environment")
def test_the_site_is_built_without_a_warning_and_asks_no_other_host(tmp_path):
    command = [PYTHON, "-m", "website.build", "--output", tmp_path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "WARNING" not in done.stderr, done.stderr[-2000:]
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
    for page in folder.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert not re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="https?://[^"]*"', text), page
    assert "<math" in (folder / "docs/models/transformer.html").read_text(encoding="utf-8")

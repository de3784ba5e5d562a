"""The documentation as a site: `make docs`, or python -m website.build [--output FOLDER].

MkDocs builds it from the pages as they lie in the repository, from the notebooks, which are run, and from the
docstrings, which are read and not imported. Without network, and any warning ends it: a link that leads
nowhere, an anchor that is not there, a name without a docstring; and so does a cell that fails. The result,
`build/website/site/VERSION/`, needs a server for files alone.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from website import notebooks, reference

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build/website"
PAGES = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE", "benchmarks/README.md"]
# Pages with their pictures.
FOLDERS = ["docs", "benchmarks/pictures"]
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((?!https?:|#)([^)#\s]+)(#[^)\s]*)?\)")


def version():
    text = (ROOT / "keras_transformer/__init__.py").read_text(encoding="utf-8")
    return re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)[1]


def listing(folder):
    """A page that links to the files of a folder."""
    names = sorted(path.name for path in folder.iterdir() if path.is_file() and path.name != "index.md")
    lines = [f"# {folder.name}", "", *(f"- [{name}]({name})" for name in names)]
    (folder / "index.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def copy(name, source):
    """Puts a file or folder of the repository, of this name, where MkDocs reads it."""
    (source / name).parent.mkdir(parents=True, exist_ok=True)
    if (ROOT / name).is_dir():
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, source / name, dirs_exist_ok=True, ignore=ignored)
    else:
        shutil.copy(ROOT / name, source / name)


def stage(source, outputs):
    """Puts all pages where MkDocs reads them, and the programs and folders that they link to.

    Args:
        source: the folder.
        outputs: of the notebooks, see `notebooks.write`.

    Returns:
        The entries of the menu for the notebooks, and the pages of the models.
    """
    shutil.rmtree(source, ignore_errors=True)
    for name in [*PAGES, *FOLDERS]:
        copy(name, source)
    shutil.copy(ROOT / "website/site.css", source / "site.css")
    entries = notebooks.write(source / "docs/notebooks", outputs)
    for page in list(source.rglob("*.md")):

        def target(found, page=page):
            label, path, anchor = found.groups()
            path = re.sub(r"\.ipynb$", ".md", path)  # the page of a notebook
            linked = (page.parent / path).resolve()
            name = linked.relative_to(source)
            if (ROOT / name).is_dir():
                copy(name, source)
                listing(linked)
                path = f"{path.rstrip('/')}/index.md"
            elif not linked.exists() and (ROOT / name).exists():
                copy(name, source)
            return f"[{label}]({path}{anchor or ''})"

        page.write_text(LINK.sub(target, page.read_text(encoding="utf-8")), encoding="utf-8")
    return entries, sorted((source / "docs/models").glob("*.md"))


def title(page):
    return page.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")


def main(arguments=None):
    """The command; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, default=BUILD / "site", help="the folder that is written")
    output = parser.parse_args(arguments).output.resolve()
    source = BUILD / "source"
    entries, pages = stage(source, notebooks.executed(BUILD / "notebooks"))
    models = [{title(page): str(page.relative_to(source))} for page in pages]
    api = reference.write(ROOT, source)
    settings = yaml.safe_load((ROOT / "website/mkdocs.yml").read_text(encoding="utf-8"))
    about = ["docs/architecture.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"]
    settings["nav"] += [
        {"Notebooks": ["docs/notebooks.md", *entries]},
        {"Models": ["docs/models.md", *models]},
        {"API": api},
        {"Measured": "benchmarks/README.md"},
        {"About": [{title(source / name): name} for name in about]},
    ]
    settings |= {"docs_dir": str(source), "site_dir": str(output / version())}
    settings["hooks"] = [str(ROOT / "website/hooks.py")]
    settings["plugins"][1]["mkdocstrings"]["handlers"]["python"]["paths"] = [str(ROOT)]
    (BUILD / "mkdocs.yml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(BUILD / "mkdocs.yml")],
        env=environment,
    )
    if done.returncode:
        sys.exit(done.returncode)
    # What the menu of versions reads; older ones that lie beside are kept.
    numbers = sorted((path.name for path in output.iterdir() if path.is_dir()), reverse=True)
    versions = [{"version": number, "title": number, "aliases": []} for number in numbers]
    (output / "versions.json").write_text(json.dumps(versions), encoding="utf-8")
    to_newest = (
        f'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={numbers[0]}/">'
    )
    (output / "index.html").write_text(f"{to_newest}<title>keras_transformer</title>\n", encoding="utf-8")
    print(f"{output / version()}/index.html")


if __name__ == "__main__":
    main()

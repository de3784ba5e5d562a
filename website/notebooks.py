"""The notebooks of docs/notebooks as pages, with what their cells show.

They lie in the repository without outputs. `make docs` runs each in a kernel of its own, with the library and
the packages of `.venv`, and a cell that fails ends it. What was run is kept in `build/website/notebooks` as
long as neither its code nor the library's has changed. A translation, `NAME.ko.ipynb`, has the cells of
`NAME.ipynb` in another language: the same code, which is not run twice.
"""

import base64
import hashlib
import html
import json
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
import time
from concurrent import futures
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs/notebooks"
# What notebooks import: where it has changed they are run again.
CODE = ("keras_transformer", "keras_transformer_programs", "training", "serving", "command_line")
# Each keeps little more than one core busy.
AT_ONCE = 2
LANGUAGES = {"ko": "한국어"}
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
PICTURES = {"image/svg+xml": "svg", "image/png": "png"}


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def source(cell):
    return "".join(cell["source"])


def original(path):
    """The notebook with the code of this one: itself, or what it is a translation of."""
    return path.with_name(f"{path.name.split('.')[0]}.ipynb")


def language(path):
    """The language of a translation, or None."""
    parts = path.name.split(".")
    return parts[1] if len(parts) == 3 else None


def digest(notebook):
    """Of all that its outputs follow from."""
    seen = hashlib.sha256()
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            seen.update(f"{cell['id']}\n{source(cell)}\n".encode())
    files = [path for folder in CODE for path in sorted((ROOT / folder).rglob("*.py"))]
    for path in [*files, ROOT / "requirements/constraints.txt"]:
        seen.update(path.read_bytes())
    return seen.hexdigest()


def executed(kept):
    """Runs the notebooks that are no translations.

    Args:
        kept: the folder of those that were run before.

    Returns:
        {file name: {id of a cell: its outputs}}.

    Raises:
        SystemExit: a cell failed.
    """
    originals = [path for path in sorted(FOLDER.glob("*.ipynb")) if language(path) is None]
    files = [kept / f"{path.stem}-{digest(read(path))[:16]}.json" for path in originals]
    kept.mkdir(parents=True, exist_ok=True)
    with futures.ThreadPoolExecutor(AT_ONCE) as pool:
        runs = [
            pool.submit(run_and_keep, path, file)
            for path, file in zip(originals, files, strict=True)
            if not file.exists()
        ]
        try:
            for one in futures.as_completed(runs):
                one.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return {path.name: read(file) for path, file in zip(originals, files, strict=True)}


def run_and_keep(path, file):
    """Runs a notebook and writes its outputs, in place of those it had before."""
    start = time.monotonic()
    outputs = run(path)
    print(f"{path.name}: {time.monotonic() - start:.0f} s", flush=True)
    for old in file.parent.glob(f"{path.stem}-*.json"):
        old.unlink()
    file.write_text(json.dumps(outputs), encoding="utf-8")


def run(path):
    """Runs all cells in a folder of their own; returns the outputs by the cells' ids."""
    import nbclient
    import nbformat

    environment = ROOT / ".venv"
    packages = sysconfig.get_path("purelib", vars={"base": str(environment)})
    if not Path(packages).is_dir():
        sys.exit(f"error: notebooks need the environment that `make install` makes. Received: no {packages}.")
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        own = {
            # Those of .venv first: the library with its pinned versions.
            "PYTHONPATH": os.pathsep.join([str(ROOT), packages]),
            "PATH": os.pathsep.join([str(environment / "bin"), os.environ.get("PATH", "")]),
            "IPYTHONDIR": folder,  # and not what somebody has set up for themselves
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "CUDA_VISIBLE_DEVICES": "-1",  # the same numbers on every machine, as far as can be
        }
        options = {
            "kernel_name": "python3",
            "timeout": 600,
            "startup_timeout": 600,
            "coalesce_streams": True,
            "resources": {"metadata": {"path": folder}},
        }
        client = nbclient.NotebookClient(notebook, **options)
        try:
            # Of stderr what cells write is kept; the rest is TensorFlow's start.
            client.execute(env={**os.environ, **own}, stderr=subprocess.DEVNULL)
        except nbclient.exceptions.CellExecutionError as error:
            sys.exit(f"error: {path.name}: {COLOURS.sub('', str(error))}")
    return {cell["id"]: cell["outputs"] for cell in notebook["cells"] if cell["cell_type"] == "code"}


def write(folder, outputs):
    """Writes NAME.md for each NAME.ipynb of a folder, with the files that it shows.

    Args:
        folder: where MkDocs reads them; the notebooks stay, to be downloaded.
        outputs: what `executed` returned; a notebook that is not there has none.

    Returns:
        The entries of the menu: the pages, and those of each other language.
    """
    entries, translated = [], {}
    for path in sorted(folder.glob("*.ipynb")):
        text, files = page(read(path), outputs.get(original(path).name, {}), path.stem)
        # Behind the title, which the first cell begins with.
        title, _, rest = text.partition("\n")
        download = f'<a href="{path.name}" download>{path.name}</a>'
        path.with_suffix(".md").write_text(f"{title}\n\n{download}\n{rest}", encoding="utf-8")
        for name, content in files.items():
            (folder / name).write_bytes(content)
        entry = {title.lstrip("# "): f"docs/notebooks/{path.stem}.md"}
        told = language(path)
        (entries if told is None else translated.setdefault(LANGUAGES[told], [])).append(entry)
    return [*entries, *({name: pages} for name, pages in translated.items())]


def page(notebook, outputs, name):
    """A notebook as Markdown.

    Args:
        notebook: its JSON.
        outputs: {id of a cell: list of outputs, as Jupyter has them}.
        name: what the names of its files begin with.

    Returns:
        The text, and {file name: content} of what it shows.
    """
    parts, files, heading = [], {}, name
    for cell in notebook["cells"]:
        text = source(cell).strip()
        if cell["cell_type"] == "markdown":
            parts.append(text)
            heading = (re.findall(r"^#+ (.+)$", text, re.MULTILINE) or [heading])[-1]
            continue
        parts.append(fenced(text, ".python"))
        # What is seen: a comment in the first line says it, else the heading above.
        caption = text.partition("\n")[0].lstrip("# ") if text.startswith("#") else heading
        for number, output in enumerate(outputs.get(cell["id"], [])):
            file = f"{name}-{cell['id']}-{number}"
            if (seen := shown(output, file, caption, files)) is not None:
                parts.append(seen)
    return "\n\n".join(parts) + "\n", files


def shown(output, file, caption, files):
    """One output as Markdown, or None; its file, if it needs one, is added to `files`."""
    if output["output_type"] == "stream":
        # What is written to stderr is the machine's: TensorFlow's log, bars.
        return fenced(_text(output["text"]), ".text .output") if output["name"] == "stdout" else None
    data = output["data"]
    if "text/html" in data:
        # In a page of its own: its style and scripts stay there.
        files[f"{file}.html"] = f'<!doctype html><meta charset="utf-8">{_text(data["text/html"])}'.encode()
        title = html.escape(caption, quote=True)
        return f'<div><iframe class="output" src="{file}.html" title="{title}" loading="lazy"></iframe></div>'
    if "text/markdown" in data:
        return _text(data["text/markdown"])
    for kind, suffix in PICTURES.items():
        if kind in data:
            content = _text(data[kind])
            files[f"{file}.{suffix}"] = base64.b64decode(content) if suffix == "png" else content.encode()
            return f"![{re.sub(r'[][`$*_]', '', caption)}]({file}.{suffix})"
    return fenced(_text(data["text/plain"]), ".text .output")


def _text(given):
    return COLOURS.sub("", given if isinstance(given, str) else "".join(given)).rstrip()


def fenced(text, classes):
    """A block of code, whatever stands in it."""
    fence = "`" * max(3, *(len(run) + 1 for run in ["", *re.findall("`+", text)]))
    return f"{fence} {{ {classes} }}\n{text}\n{fence}"

"""What is installed: pinned versions, an environment for each backend, a wheel of library and programs."""

import os
import re
import runpy
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from keras_transformer_programs import PROGRAMS, installation
from tests.source_code import LIBRARY, PACKAGES, ROOT

# What is not ours and may be installed by its name.
OTHERS = {"tensorflow", "torch==2.13.0", "numpy", "sentencepiece", "jupyterlab"}


def test_the_constraints_name_versions_and_no_places():
    for path in sorted((ROOT / "requirements").glob("constraints*.txt")):
        lines = path.read_text(encoding="utf-8").splitlines()
        pins = [line.split("#")[0].strip() for line in lines]
        pins = [pin for pin in pins if pin]
        assert len(pins) > 10
        for pin in pins:
            name, equal, version = pin.partition("==")
            assert equal and name.replace("-", "").replace("_", "").isalnum(), f"{path.name}: {pin}"
            assert version.replace(".", "").isalnum(), f"{path.name}: {pin}"


@pytest.mark.parametrize(
    "backend, others", [("jax", ("tensorflow", "torch")), ("torch", ("tensorflow", "jax"))]
)
def test_the_environment_of_a_backend_has_no_other(backend, others):
    pins = (ROOT / f"requirements/constraints-{backend}.txt").read_text(encoding="utf-8").splitlines()
    assert not [pin for pin in pins if pin.startswith(others)]
    assert [pin for pin in pins if pin.startswith(f"{backend}==")]
    target = (
        f'KERAS_BACKEND={backend} $(VENV_{backend.upper()})/bin/python -m pytest -m "not slow" $(ANY_BACKEND)'
    )
    assert target in (ROOT / "Makefile").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def described():
    """The arguments of `setup`."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("setuptools.setup", lambda **arguments: found.update(arguments))
        patch.chdir(ROOT)
        runpy.run_path(str(ROOT / "setup.py"))
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy: building leaves files beside setup.py."""
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "source"
    ignored = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "runs", "exports", "data")
    shutil.copytree(ROOT, copy, ignore=ignored)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", folder, copy], check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return zipfile.ZipFile(wheel)


def test_the_wheel_holds_the_library_and_the_programs_with_their_files(wheel):
    assert wheel.filename.rpartition("/")[2].startswith("keras_transformer_zoo-")
    names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    expected = {f"{LIBRARY}/py.typed"}
    for package in (LIBRARY, "keras_transformer_programs"):
        expected |= {path.relative_to(ROOT).as_posix() for path in (ROOT / package).rglob("*.py")}
    for program in PROGRAMS:
        files = {path for path in (ROOT / program).rglob("*") if path.is_file()}
        files = {path.relative_to(ROOT).as_posix() for path in files if "__pycache__" not in path.parts}
        expected |= {f"keras_transformer_programs/{name}" for name in files}
    assert names == expected
    assert any(name.endswith("LICENSE") for name in wheel.namelist())


def test_the_wheel_takes_no_general_name_from_anybody(wheel):
    (top,) = (name for name in wheel.namelist() if name.endswith("top_level.txt"))
    assert wheel.read(top).decode().split() == [LIBRARY, "keras_transformer_programs"]
    (entries,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert wheel.read(entries).decode().split() == [
        "[console_scripts]",
        "keras-transformer",
        "=",
        "keras_transformer_programs.commands:main",
    ]


INSTALLED = """
import subprocess, sys
from keras_transformer_programs import ROOT, child, commands
sys.argv[1:] = ["--help"]
commands.main()
assert not {"keras", "tensorflow", "jsonargparse", "numpy"} & set(sys.modules), "help must answer at once"
assert str(ROOT).startswith(sys.path[0])
from training import config
from training.sweep import space
assert config.__file__.startswith(str(ROOT))
assert space.read("transformer", config.read("dates"))
assert "keras" not in sys.modules
command = child.command("training.launch", "--help")
done = subprocess.run(command, env=child.environment(), check=True, capture_output=True, text=True)
assert done.stdout.startswith("usage: ")
"""


def test_what_the_wheel_installs_works_from_any_folder(wheel, tmp_path):
    site, here = tmp_path / "site", tmp_path / "here"
    wheel.extractall(site)
    here.mkdir()
    (here / "training.py").write_text("raise SystemExit('the wrong one')")
    environment = os.environ | {"PYTHONPATH": str(site)}
    command = [sys.executable, "-P", "-c", INSTALLED]
    done = subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "  train " in done.stdout


def test_every_extra_that_is_told_brings_the_package(described):
    names = {"grpc": "grpcio", "sklearn": "scikit-learn", "tensorflow_serving": "tensorflow-serving-api"}
    names |= {"yaml": "PyYAML"}
    for package, extra in installation.EXTRAS.items():
        name = names.get(package, package.replace("_", "-"))
        needed = described["extras_require"][extra]
        assert any(re.match(rf"{name}\b(?!-)", requirement) for requirement in needed), (package, extra)


def test_the_extra_of_the_training_brings_what_its_pictures_need(described):
    extras = described["extras_require"]
    assert set(extras["plot"]) <= set(extras["training"]) <= set(extras["tuning"])


def texts():
    """(name, text) of all that a reader may see: pages, programs, samples, what makes environments."""
    files = [path for path in ROOT.iterdir() if path.is_file()]
    for folder in (*PACKAGES, "docs", "benchmarks", "tests", "requirements", ".ci"):
        files += [path for path in (ROOT / folder).rglob("*") if path.is_file()]
    for path in sorted(files):
        if path.suffix not in (".pyc", ".png") and path != Path(__file__):
            yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8", errors="replace")


def test_nobody_is_told_to_install_this_by_a_name_on_the_index(described):
    # keras-transformer is another project there, and ours is not published.
    found = 0
    for name, text in texts():
        for told in re.findall(r"\bpip install ([^\n]*)", text.replace("\\\n", " ")):
            found += 1
            words = [word for word in re.split(r"[\s\"'`\\]+", told) if word and not word.startswith("-")]
            first = re.sub(r"\{.*\}", "text", words[0]).rstrip(".") or "."
            extras = re.fullmatch(r"\.\[([\w,]+)\]", first)
            if extras:
                assert set(extras.group(1).split(",")) <= described["extras_require"].keys(), (name, told)
            else:
                assert first in {".", "./presets", "$<", *OTHERS}, (name, told)
            assert not re.search(r"keras[-_]transformer\b", told.split(" in a clone")[0]), (name, told)
    assert found >= 8


def test_make_installs_the_package_editable():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(r"pip install [^#]*--no-deps [^#]*--editable \.$", text, re.MULTILINE)

"""What is installed: pinned versions, an environment for JAX, a wheel of the library alone."""

import shutil
import subprocess
import sys
import zipfile

from tests.source_code import LIBRARY, ROOT


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


def test_the_jax_environment_has_no_tensorflow():
    pins = (ROOT / "requirements/constraints-jax.txt").read_text(encoding="utf-8").splitlines()
    assert not [pin for pin in pins if pin.startswith("tensorflow")]
    assert [pin for pin in pins if pin.startswith("jax==")]


def test_the_wheel_holds_the_library_and_nothing_else(tmp_path):
    # From a copy: building leaves files beside setup.py.
    copy = tmp_path / "source"
    ignored = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "runs", "exports", "data")
    shutil.copytree(ROOT, copy, ignore=ignored)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", tmp_path, copy], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    files = {name for name in names if ".dist-info/" not in name}
    expected = {path.relative_to(ROOT).as_posix() for path in (ROOT / LIBRARY).rglob("*.py")}
    assert files == expected
    assert any(name.endswith("LICENSE") for name in names)

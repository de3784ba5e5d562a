"""What this project never does with what comes from outside, read from the code (SECURITY.md)."""

import ast
from pathlib import Path

import pytest

from tests.source_code import LIBRARY, PACKAGES, calls, imports, sources, top

UNSAFE_MODULES = {"pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
UNSAFE_CALLS = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "os.system",
    "os.popen",
    "yaml.load",
    "yaml.load_all",
    "yaml.full_load",
    "yaml.unsafe_load",
    "torch.load",
    "keras.config.enable_unsafe_deserialization",
}
# Arguments that make one of them safe.
SAFE_WITH = {"torch.load": {"weights_only": True}}
NEVER = {"nothing does": None}
UNSAFE_ARGUMENTS = {("shell", True), ("allow_pickle", True), ("safe_mode", False)}


def unsafe(path, tree):
    """What a file imports or calls that may run code that came with data."""
    found = {name for name in imports(path, tree) if top(name) in UNSAFE_MODULES}
    for name, call in calls(tree):
        given = {keyword.arg: getattr(keyword.value, "value", None) for keyword in call.keywords}
        if name in UNSAFE_CALLS and not SAFE_WITH.get(name, NEVER).items() <= given.items():
            found.add(name)
        for keyword in call.keywords:
            value = getattr(keyword.value, "value", None)
            if (keyword.arg, value) in UNSAFE_ARGUMENTS:
                found.add(f"{name}({keyword.arg}={value})")
    return found


@pytest.mark.parametrize(
    "code, found",
    [
        ("import pickle", {"pickle"}),
        ("from joblib import load", {"joblib.load"}),
        ("x = eval('1')", {"eval"}),
        ("yaml.load(file)", {"yaml.load"}),
        ("torch.load(file); torch.load(file, weights_only=False)", {"torch.load"}),
        ("torch.load(file, weights_only=True)", set()),
        ("np.load(file, allow_pickle=True)", {"np.load(allow_pickle=True)"}),
        ("keras.models.load_model(p, safe_mode=False)", {"keras.models.load_model(safe_mode=False)"}),
        ("yaml.safe_load(file); np.load(file); re.compile('x'); model.compile()", set()),
    ],
)
def test_the_reader_of_calls_tells_safe_from_unsafe(code, found):
    assert unsafe(Path("a.py"), ast.parse(code)) == found


def test_nothing_that_comes_with_data_is_run_as_code():
    for path, tree in sources(*PACKAGES):
        assert not unsafe(path, tree), f"{path} must not use {sorted(unsafe(path, tree))}"


def test_models_are_loaded_in_one_place():
    # There their files are looked at first.
    for path, tree in sources(*PACKAGES):
        used = {name for name, _ in calls(tree)} & {"keras.models.load_model", "keras.saving.load_model"}
        assert not used or path.as_posix() == f"{LIBRARY}/saving/model_files.py", (
            f"{path}: use {LIBRARY}.saving.model_files"
        )

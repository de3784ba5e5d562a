"""The rules of docs/architecture.md that can be read from the code: who imports whom, how long files are."""

import ast
import graphlib
import re
import sys
from pathlib import Path

import pytest

from tests.source_code import LIBRARY, PACKAGES, PROGRAMS, ROOT, imports, modules, sources, top

# What each part of the library may import of the library, itself included. New modules are entered first.
MAY_IMPORT = {
    "types": set(),
    "special_ids": set(),
    "arguments": set(),
    "masks": {"arguments", "special_ids"},
    "losses": {"arguments", "special_ids"},
    "metrics": {"arguments", "losses", "special_ids"},
    "schedules": {"arguments"},
    "token_masking": {"arguments", "special_ids"},
    "installation": set(),
    "texts": set(),
    "quality": {"installation", "texts"},
    "saving": {"installation", "saving"},
    "tokenizers": {"installation", "saving", "special_ids", "texts", "tokenizers"},
    "attention_maps": {"installation", "special_ids"},
    "layers": {"arguments", "layers", "masks", "saving", "special_ids"},
    "layouts": set(),
    "models": {"arguments", "layers", "masks", "models", "saving", "special_ids"},
    "decoding": {"decoding", "masks", "special_ids"},
    "pipelines": {
        "arguments",
        "decoding",
        "installation",
        "pipelines",
        "quality",
        "saving",
        "special_ids",
        "texts",
        "tokenizers",
    },
    "callbacks": {
        "callbacks",
        "decoding",
        "losses",
        "metrics",
        "pipelines",
        "quality",
        "saving",
        "special_ids",
        "texts",
        "tokenizers",
    },
    # The front door. What needs TensorFlow is imported by its own name.
    "": {
        "decoding",
        "installation",
        "layers",
        "layouts",
        "losses",
        "masks",
        "metrics",
        "models",
        "schedules",
        "token_masking",
    },
}
# Files at the root of the library: what a visitor sees first.
MAX_ROOT_FILES = 14

# What may be imported of other projects. Keras and NumPy, the base install, may be used anywhere.
BASE = {"keras", "numpy"}
THIRD_PARTY = {
    "tokenizers": {"tensorflow", "tensorflow_text", "sentencepiece"},
    "quality": {"sacrebleu"},
    "callbacks": {"tensorflow"},
    # Inside functions: a backend's own training step, compiled search, kernels.
    "models": {"jax", "tensorflow"},
    "decoding": {"jax", "tensorflow", "torch"},
    "layers": {"jax"},
    "pipelines": {"tensorflow"},
    "saving": {"h5py", "yaml"},
    "attention_maps": {"matplotlib"},
}

# Who asks an exported model needs nothing of the library: the export stands alone. Modules of serving/ among
# these may import each other.
STAND_ALONE = (
    "serving/stubs.py",
    "serving/client.py",
    "serving/client_errors.py",
    "serving/client_lines.py",
    "serving/client_target.py",
    "serving/pem.py",
    "serving/versions.py",
    "serving/client_grpc.py",
    "serving/client_rest.py",
    "serving/load_test.py",
    "serving/local_server.py",
    "serving/local_rest.py",
    "serving/local_json.py",
    "serving/local_models.py",
    "serving/local_servable.py",
    "serving/replay.py",
    "examples/ask_saved_model.py",
)

# Of training/: what answers before Keras is imported.
BEFORE_KERAS = (
    "atomic",
    "monitors",
    "tune",
    "sweep.child",
    "sweep.process",
    "sweep.settings",
    "sweep.space",
    "sweep.trial_folder",
    "sweep.worker",
)

MAX_LINES = 320


def part(path):
    """Part of the library that a file belongs to: keras_transformer/layers/attention.py -> layers."""
    name = path.with_suffix("").parts[1]
    return "" if name == "__init__" else name


def test_the_reader_of_imports_sees_every_form():
    tree = ast.parse(
        "import a.b\n"
        "from a import c as d\n"
        "from . import e\n"
        "from ..f import g\n"
        "def function():\n    import tensorflow as tf\n"
    )
    assert list(imports(Path("p/q/r.py"), tree)) == ["a.b", "a.c", "p.q.e", "p.f.g", "tensorflow"]


def test_the_parts_of_the_library_import_only_those_below_them():
    for path, tree in sources(LIBRARY):
        assert part(path) in MAY_IMPORT, f"{path}: say in MAY_IMPORT what it may import"
        used = {name.split(".")[1] for name in imports(path, tree) if top(name) == LIBRARY}
        wrong = used - MAY_IMPORT[part(path)] - {"__version__", "types"}  # annotations are everywhere
        assert not wrong, f"{path} must not import {sorted(wrong)}"


def test_the_library_imports_no_program():
    for path, tree in sources(LIBRARY):
        wrong = {name for name in imports(path, tree) if top(name) in (*PROGRAMS, "examples", "tests")}
        assert not wrong, f"{path} must not import {sorted(wrong)}"


def test_tensorflow_and_other_packages_appear_only_where_they_are_needed():
    for path, tree in sources(LIBRARY):
        allowed = BASE | THIRD_PARTY.get(part(path), set()) | {LIBRARY} | sys.stdlib_module_names
        wrong = {top(name) for name in imports(path, tree)} - allowed
        assert not wrong, f"{path} must not import {sorted(wrong)}"


def test_only_the_tokenizers_import_tensorflow_text():
    users = [
        str(path)
        for path, tree in sources(LIBRARY, *PROGRAMS)
        if path.as_posix() not in STAND_ALONE  # they load the ops as a server has them
        if any(top(name) == "tensorflow_text" for name in imports(path, tree))
    ]
    assert users == [f"keras_transformer/tokenizers/{name}.py" for name in ("sentencepiece", "wordpiece")]


def test_importing_the_library_reaches_no_module_with_tensorflow():
    reached, waiting = set(), [""]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting.extend(MAY_IMPORT[name])
    assert {"layers", "models", "decoding", "losses", "metrics", "schedules", "masks"} <= reached
    for path, tree in sources(LIBRARY):
        if part(path) in reached:
            # Inside a function it may: the training step of the TensorFlow backend.
            tree.body = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
            allowed = BASE | {"h5py", LIBRARY} | sys.stdlib_module_names  # Keras depends on h5py
            wrong = {top(name) for name in imports(path, tree)} - allowed
            assert not wrong, f"{path} must not import {sorted(wrong)} at its top"


def test_no_import_leads_back():
    # At the top of a module or inside a function: a reader follows both.
    found = modules(*PACKAGES)
    used = {}
    for name, (path, tree) in found.items():
        # What is imported from a module, or is one.
        parts = ((part, part.rpartition(".")[0]) for part in imports(path, tree))
        used[name] = {next((part for part in pair if part in found), name) for pair in parts} - {name}
    try:
        graphlib.TopologicalSorter(used).prepare()
    except graphlib.CycleError as error:
        pytest.fail(f"a circle of imports: {' <- '.join(error.args[1])}")


def test_training_and_serving_meet_in_the_run_folder_only():
    for here, other in (("training", "serving"), ("serving", "training")):
        for path, tree in sources(here):
            wrong = {name for name in imports(path, tree) if top(name) in (other, "examples", "tests")}
            assert not wrong, f"{path} must not import {sorted(wrong)}"


def test_what_the_commands_share_imports_neither_the_library_nor_keras_nor_tensorflow():
    # Else it would start TensorFlow before it can keep it quiet. Inside a function it may: see SearchOptions.
    for path, tree in sources("command_line"):
        tree.body = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        wrong = {top(name) for name in imports(path, tree)}
        wrong -= {"jsonargparse", "yaml", "command_line", "keras_transformer_programs"}
        wrong -= sys.stdlib_module_names
        assert not wrong, f"{path} must not import {sorted(wrong)}"


def test_what_starts_the_programs_imports_nothing_else():
    # `keras-transformer --help` answers at once, and where nothing but the base is installed.
    for path, tree in sources("keras_transformer_programs"):
        wrong = {top(name) for name in imports(path, tree)} - {"keras_transformer_programs", "command_line"}
        assert not wrong - sys.stdlib_module_names, f"{path} must not import {sorted(wrong)}"


def test_what_a_sweep_starts_with_imports_no_keras():
    # A mistake in a space is told at once, and the process that watches a trial stays small.
    light = {f"training.{name}" for name in BEFORE_KERAS}
    for name in BEFORE_KERAS:
        path = ROOT / "training" / f"{name.replace('.', '/')}.py"
        tree = ast.parse(path.read_text(encoding="utf-8"))
        tree.body = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        wrong = {top(used) for used in imports(path.relative_to(ROOT), tree)}
        wrong -= {"jsonargparse", "yaml", "command_line", "training", "keras_transformer_programs"}
        wrong -= sys.stdlib_module_names
        assert not wrong, f"{name} must not import {sorted(wrong)} at its top"
        for used in imports(path.relative_to(ROOT), tree):
            if top(used) == "training":
                parts = {used, used.rpartition(".")[0]} & (
                    light | {"training.config", "training.run_config", "training.tasks"}
                )
                assert parts or used.startswith("training.config."), f"{name} must not import {used}"


def test_what_a_run_can_be_told_is_read_before_keras():
    # `--help` answers at once: what a task needs of the library is imported inside its functions.
    for path, tree in sources("training/tasks", "training/config"):
        if path.name == "tokenizing.py":
            continue
        tree.body = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        wrong = {top(name) for name in imports(path, tree)} & {LIBRARY, "keras", "numpy", "tensorflow"}
        assert not wrong, f"{path} must not import {sorted(wrong)} at its top"


def test_the_tests_of_any_backend_import_only_what_their_environment_has():
    # `make test-jax` and `test-torch` run them where neither TensorFlow nor the packages of the programs are.
    listed = re.search(r"^ANY_BACKEND := ((?:.*\\\n)*.*)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    waiting = ["tests/conftest.py", *listed.group(1).replace("\\", "").split()]
    reached = set()
    while waiting:
        file = ROOT / waiting.pop()
        for path in file.rglob("*.py") if file.is_dir() else [file]:
            if path in reached or not path.exists():  # `from tests import x`: x may be a function's name
                continue
            reached.add(path)
            tree = ast.parse(path.read_text(encoding="utf-8"))
            tree.body = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
            found = set(imports(path.relative_to(ROOT), tree))
            wrong = {top(name) for name in found} - BASE - {LIBRARY, "tests", "pytest", "hypothesis"}
            assert not wrong - sys.stdlib_module_names, f"{path} must not import {sorted(wrong)} at its top"
            parts = {x for name in found if top(name) == "tests" for x in (name, name.rpartition(".")[0])}
            waiting.extend(f"{name.replace('.', '/')}.py" for name in parts)
    assert len(reached) > 40 and ROOT / "tests" / "checks.py" in reached


@pytest.mark.parametrize("file", STAND_ALONE)
def test_who_asks_the_exported_model_imports_nothing_of_the_library(file):
    allowed = {path.removesuffix(".py").replace("/", ".") for path in STAND_ALONE}
    allowed |= {"command_line", "command_line.lines", "command_line.quiet"}
    allowed |= {"keras_transformer_programs.installation"}  # of the standard library alone
    if file.startswith("examples"):  # It is shown to be copied.
        allowed = set()
    found = imports(Path(file), ast.parse((ROOT / file).read_text(encoding="utf-8")))
    wrong = {name for name in found if top(name) in PACKAGES}
    wrong = {name for name in wrong if name not in allowed and name.rpartition(".")[0] not in allowed}
    assert not wrong, f"{file} must not import {sorted(wrong)}"


def test_the_root_of_the_library_is_seen_at_a_glance():
    assert len(list((ROOT / LIBRARY).glob("*.py"))) <= MAX_ROOT_FILES


def test_the_walk_from_the_readme_to_the_softmax_leads_down():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = text.partition("## From README to the soft-max")[2].partition("\n## ")[0]
    steps = re.split(r"\n\d\. ", section)[1:]
    quoted = [re.findall(r"`([^`]+)`", step) for step in steps]
    walk = {names[0]: names[-1] for names in quoted}
    assert len(walk) == len(steps) <= 5 and list(walk)[0] == "README.md"
    for file, line in walk.items():
        lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
        assert any(line in found for found in lines), f"{file} must have the line {line}"
        assert len(lines) < 300, file
    assert "ops.softmax" in list(walk.values())[-1]
    path, tree = modules("keras_transformer")["keras_transformer.layers.base_attention"]
    assert "keras_transformer.layers.dot_product" in {
        name.rpartition(".")[0] for name in imports(path, tree)
    }, "the step to equation 1 is a direct one"


def test_no_file_is_much_longer_than_300_lines():
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            length = len(path.read_text(encoding="utf-8").splitlines())
            assert length <= MAX_LINES, f"{name} has {length} lines: split it"
            assert path.name != "utils.py", f"{name}: name it after what it holds"

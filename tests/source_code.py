"""The repository's Python files as syntax trees: what they import and call."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = "keras_transformer"
PROGRAMS = ("training", "serving", "command_line", "keras_transformer_programs")
PACKAGES = (LIBRARY, *PROGRAMS, "examples")


def sources(*folders):
    """All Python files of the folders, as (path relative to the root, syntax tree)."""
    paths = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return [(path.relative_to(ROOT), ast.parse(path.read_text(encoding="utf-8"))) for path in paths]


def modules(*folders):
    """{dotted name: (path, syntax tree)} of all modules of the folders."""
    found = {}
    for path, tree in sources(*folders):
        parts = path.with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path, tree
    return found


def imports(path, tree):
    """Dotted names that a file imports, at its top or inside a function.

    `from a.b import c` counts as a.b.c: c may be a module.
    """
    package = path.with_suffix("").parts[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{module}.{name.name}" for name in node.names)


def top(name):
    return name.split(".")[0]


def calls(tree):
    """Dotted names of the functions that are called, with their call nodes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            yield ast.unparse(node.func), node

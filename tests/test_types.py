"""Public functions say what they take and return, so that an editor can; `make lint` checks what they say."""

import ast

from tests.source_code import LIBRARY, PROGRAMS, sources


def is_public(name):
    return not name.startswith("_") or name in ("__init__", "__call__")


def public_functions(tree, prefix=""):
    """(name, node, whether the first parameter is self or cls) of all public functions and methods."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and is_public(node.name):
            yield from public_functions(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and is_public(node.name):
            decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
            yield f"{prefix}{node.name}", node, bool(prefix) and "staticmethod" not in decorators


def untyped(tree):
    """What lacks its type: `function(parameter)`, or `function ->`; a constructor returns nothing."""
    for name, node, is_method in public_functions(tree):
        arguments = node.args
        named = [*arguments.posonlyargs, *arguments.args][is_method:]
        variable = [argument for argument in (arguments.vararg, arguments.kwarg) if argument]
        for argument in (*named, *arguments.kwonlyargs, *variable):
            if argument.annotation is None:
                yield f"{name}({argument.arg})"
        if node.returns is None and node.name != "__init__":
            yield f"{name} ->"


def test_the_reader_of_signatures_sees_what_lacks_its_type():
    tree = ast.parse(
        "def f(a: int, *b, c=1, **d): ...\n"
        "def _g(a): ...\n"
        "class C:\n"
        "    def __init__(self, a): ...\n"
        "    @staticmethod\n"
        "    def h(a) -> int: ...\n"
        "    def __eq__(self, other): ...\n"
        "class _D:\n"
        "    def i(self, a): ...\n"
    )
    assert list(untyped(tree)) == ["f(c)", "f(b)", "f(d)", "f ->", "C.__init__(a)", "C.h(a)"]


def test_public_functions_and_constructors_of_the_library_are_typed():
    for path, tree in sources(LIBRARY):
        assert not list(untyped(tree)), f"{path}: say the types"


def test_public_functions_of_the_programs_say_what_they_return():
    for path, tree in sources(*PROGRAMS):
        assert not [name for name in untyped(tree) if name.endswith("->")], f"{path}: say what is returned"

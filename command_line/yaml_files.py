"""YAML as the commands read it: no key twice, nothing that holds itself, no more than a person would write.

Numbers are read as jsonargparse reads them on the command line: 1e-3 is one. Nothing is constructed but plain
values.
"""

import re
from pathlib import Path
from typing import Any

import jsonargparse
import yaml

MODE = "strict_yaml"
# No configuration is nested deeper, or has more values, those behind `*name` counted each time.
MAX_DEPTH = 50
MAX_VALUES = 100_000


class StrictLoader(yaml.SafeLoader):
    """Refuses what would be misunderstood, before anything is made of it."""

    # The loader in Python, not in C, which deep nesting ends by a signal.
    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in known if not tag.endswith((":float", ":timestamp"))]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    depth = 0

    def compose_node(self, parent, index) -> Any:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise yaml.composer.ComposerError(
                None, None, f"nested deeper than {MAX_DEPTH}", self.peek_event().start_mark
            )
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def get_single_node(self) -> Any:
        node = super().get_single_node()
        if node is not None:
            _check(node, MAX_DEPTH, [MAX_VALUES])  # behind each `*name` again
        return node


# 1e-3 is a number, which YAML 1.1 does not know; a date is text.
StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"[-+]?(?:\d[\d_]*\.[\d_]*(?:[eE][-+]?\d+)?|\d[\d_]*[eE][-+]?\d+|\.\d[\d_]*(?:[eE][-+]?\d+)?"
        r"|\.(?:inf|Inf|INF))$|\.(?:nan|NaN|NAN)$"
    ),
    list("-+0123456789."),
)


def load(text: str) -> Any:
    """The value that a YAML text describes.

    Raises:
        yaml.YAMLError: it is no YAML; a mapping has a key twice; it holds itself, is nested deeper than
            `MAX_DEPTH`, or has more than `MAX_VALUES` values.
    """
    try:
        loader = StrictLoader(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except (ValueError, OverflowError, IndexError, AttributeError, KeyError, TypeError) as error:  # !!int x
        raise yaml.YAMLError(str(error)) from error


def read(path) -> Any:
    """The value in a YAML file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no UTF-8 or see `load`; names the file.
    """
    try:
        return load(Path(path).read_text(encoding="utf-8"))
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} must be YAML in UTF-8. Received: {reason}.") from error


def _check(node, depth, left):
    """Raises yaml.YAMLError unless a node, and all in it, is allowed; `left`: values that may still come."""
    left[0] -= 1
    if depth < 0 or left[0] < 0:
        deep = f"nested deeper than {MAX_DEPTH}, or holds itself"
        what = deep if depth < 0 else f"more than {MAX_VALUES} values"
        raise yaml.composer.ComposerError(None, None, what, node.start_mark)
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check(item, depth - 1, left)
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if (key.tag, key.value) in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key.value!r} stands twice in one mapping", key.start_mark
                    )
                seen.add((key.tag, key.value))
            _check(key, depth - 1, left)
            _check(value, depth - 1, left)


def _load_option(text: str):
    """The value of an option or of a file of options, as jsonargparse's own loader gives it."""
    value = load(text)
    # `{a}` and `a:` are YAML for mappings without values, and more often meant as text.
    if isinstance(value, dict) and value and all(item is None for item in value.values()):
        is_text = [f"{key}:" for key in value] == [text.strip()]
        if is_text or {str(key) for key in value} == set(text.strip(" {}").replace(" ", "").split(",")):
            return text
    return value


jsonargparse.set_loader(MODE, _load_option, exceptions=(yaml.YAMLError,))

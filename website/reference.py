"""Pages of the API reference: one for each module with public names, which are read from its `__all__`."""

import ast

# What a user imports, in the order of a first visit.
MODULES = {
    "layers": "keras_transformer.layers",
    "models": "keras_transformer.models",
    "decoding": "keras_transformer.decoding",
    "losses": "keras_transformer.losses",
    "metrics": "keras_transformer.metrics",
    "schedules": "keras_transformer.schedules",
    "masks": "keras_transformer.masks",
    "layouts": "keras_transformer.layouts",
    "token_masking": "keras_transformer.token_masking",
    "tokenizers": "keras_transformer.tokenizers",
    "pipelines": "keras_transformer.pipelines",
    "callbacks": "keras_transformer.callbacks",
    "quality": "keras_transformer.quality",
    "saving": "keras_transformer.saving",
}


def module_file(root, name):
    path = root / name.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def public_names(tree):
    """`__all__`, or what the module itself defines without an underscore."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return ast.literal_eval(node.value)
    defined = (node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef)))
    return [node.name for node in defined if not node.name.startswith("_")]


def write(root, source):
    """Writes reference/*.md below `source`; returns the entries of the menu."""
    folder = source / "reference"
    folder.mkdir()
    entries = []
    for title, name in MODULES.items():
        tree = ast.parse(module_file(root, name).read_text(encoding="utf-8"))
        lines = [f"# {name}", "", ast.get_docstring(tree) or "", ""]
        for public in public_names(tree):
            lines += [f"::: {name}.{public}", ""]
        (folder / f"{title}.md").write_text("\n".join(lines), encoding="utf-8")
        entries.append({title: f"reference/{title}.md"})
    return entries

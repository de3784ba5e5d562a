"""Makes a saved_model.pb small: nothing that is left out changes what it does.

In each function TensorFlow writes a constant for each place where it is read, some dozens for each layer,
names operations by the whole path of their layer in Python, again wherever a result is read, and notes the
shapes of results, which it finds again. All of it is more than half of a graph.
"""

from pathlib import Path

from tensorflow.python.saved_model import fingerprinting_utils  # no public name

from serving import op_closure


def rewrite(folder) -> None:
    """Makes the graph of a SavedModel small, and the sum in its fingerprint.pb that of the new file."""
    path = Path(folder) / "saved_model.pb"
    saved_model = op_closure.read(path)
    for meta_graph in saved_model.meta_graphs:
        of_python = meta_graph.object_graph_def.concrete_functions
        for function in meta_graph.graph_def.library.function:
            called_by_names = 0
            if function.signature.name in of_python:
                captured = of_python[function.signature.name].bound_inputs
                called_by_names = len(function.signature.input_arg) - len(captured)
            make_small(function, called_by_names)
        # TensorFlow writes them in any order: so texts of equal tokenizers have one sum in the certificate.
        functions = sorted(
            meta_graph.graph_def.library.function, key=lambda function: function.signature.name
        )
        ordered = [type(function).FromString(function.SerializeToString()) for function in functions]
        del meta_graph.graph_def.library.function[:]
        meta_graph.graph_def.library.function.extend(ordered)
    path.write_bytes(saved_model.SerializeToString(deterministic=True))
    fingerprinting_utils.write_fingerprint(str(folder))


def make_small(function, called_by_names=0) -> None:
    """Joins equal constants of a FunctionDef, numbers its operations in place of names, leaves out notes.

    Args:
        function: is changed.
        called_by_names: number of its first arguments, which keep their names.
    """
    names, kept = {}, {}
    for argument in function.signature.input_arg[called_by_names:]:
        names[argument.name] = f"a{len(names)}"
        argument.name = names[argument.name]
    for node in function.node_def:
        node.attr.pop("_output_shapes", None)
        node.ClearField("experimental_debug_info")
        node.name, name = "", node.name
        # Only constants without inputs are alike wherever they stand.
        key = node.SerializeToString(deterministic=True) if node.op == "Const" and not node.input else name
        if key not in kept:
            node.name = f"n{len(kept)}"
            kept[key] = node
        names[name] = kept[key].name

    def renamed(source):
        """NAME:output:0 of an operation, NAME of an argument, or ^NAME."""
        mark = "^" * source.startswith("^")
        name, colon, output = source.removeprefix("^").partition(":")
        return f"{mark}{names.get(name, name)}{colon}{output}"

    def placed(name):
        """loc:@NAME, the operation on whose device another runs."""
        name = name.decode()
        return f"loc:@{names.get(name.removeprefix('loc:@'), name.removeprefix('loc:@'))}".encode()

    for node in kept.values():
        node.input[:] = [renamed(source) for source in node.input]
        if "_class" in node.attr:
            places = node.attr["_class"].list.s
            places[:] = [placed(name) for name in places]
    for results in (function.ret, function.control_ret):
        for name, source in list(results.items()):
            results[name] = renamed(source)
    nodes = [type(node).FromString(node.SerializeToString()) for node in kept.values()]
    del function.node_def[:]
    function.node_def.extend(nodes)

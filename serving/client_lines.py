"""Output lines of `serving.client`."""

import base64
import json

from command_line import lines


def of_row(row) -> str:
    """An answer as a line: its only text, or JSON."""
    if len(row) == 1:
        (value,) = row.values()
        if isinstance(value, str):
            return lines.one_line(value)
    return json.dumps(
        row, ensure_ascii=False, default=lambda value: {"b64": base64.b64encode(value).decode()}
    )


def of_version(version) -> str:
    """A version as a line: number, state, and the error of one that failed."""
    error = version["status"].get("error_message", "")
    return " ".join([str(version["version"]), version["state"], " ".join(error.split())]).rstrip()


def of_signature(name, signature) -> str:
    """A signature as a line: name, inputs, outputs."""
    return f"{name}: {_tensors(signature['inputs'])} -> {_tensors(signature['outputs'])}"


def _tensors(infos):
    """Tensors of a signature: "text string (-1,)"."""
    found = []
    for name, info in sorted(infos.items()):
        sizes = ", ".join(str(dim["size"]) for dim in info["tensor_shape"].get("dim", []))
        found.append(f"{name} {info['dtype'].removeprefix('DT_').lower()} ({sizes})")
    return ", ".join(found)

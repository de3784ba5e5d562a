"""JSON to tensors and back for the local test double, with the rules and the words of json_tensor.cc.

Different from TF Serving on purpose: JSON nested deeper than `MAX_DEPTH` is refused; TF Serving has no limit
there (CVE-2025-0649). Different in words: errors of the JSON grammar other than "Invalid value." are
Python's. Not checked: whether a float32 holds a number without loss.
"""

import base64
import binascii
import json
import math
import os
import re
from typing import Any, NoReturn

import numpy as np
import tensorflow as tf

from serving.local_servable import DEFAULT_SIGNATURE, StatusError

MAX_DEPTH = 32
# Bytes of a value that an error repeats.
MAX_QUOTED = 256
# A surrogate that is half of a pair, or any other escape.
ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>u[dD][89a-fA-F])|.)", re.DOTALL
)
KINDS = {"NoneType": "Null", "bool": "Bool", "dict": "Object", "list": "Array", "str": "String"}


def refuse(message) -> NoReturn:
    raise StatusError("INVALID_ARGUMENT", message)


def parse(body: bytes) -> dict:
    """The object at the start of a body; what follows it is ignored. Of equal keys the first counts.

    UTF-8 is not checked: bytes that are none pass through as they are, as lone surrogates.
    """
    text = body.decode("utf-8", "surrogateescape")
    start = len(text) - len(text.lstrip(" \t\n\r"))
    if start == len(text):
        refuse("JSON Parse error: The document is empty")

    def wrong(message, place):
        offset = len(text[:place].encode("utf-8", "surrogateescape"))
        refuse(f"JSON Parse error: {message} at offset: {offset}")

    def number(literal):
        # As a double what does not fit 64 bits.
        value = int(literal) if len(literal) <= 20 and literal.lstrip("-").isdigit() else float(literal)
        if abs(value) == math.inf:
            wrong("Number too big to be stored in double.", text.find(literal))
        return value

    decoder = json.JSONDecoder(
        object_pairs_hook=lambda pairs: dict(reversed(pairs)), parse_float=number, parse_int=number
    )
    try:
        value, end = decoder.raw_decode(text, start)
        is_too_deep = depth(value) > MAX_DEPTH
    except RecursionError:
        is_too_deep = True
    except json.JSONDecodeError as error:
        if error.msg != "Expecting value":
            wrong(f"{error.msg}.", error.pos)
        # RapidJSON stops where a word goes wrong, not where it begins.
        begun = (os.path.commonprefix([text[error.pos :], word]) for word in ("null", "true", "false"))
        wrong("Invalid value.", error.pos + max(map(len, begun)))
    if is_too_deep:
        refuse(f"JSON Parse error: nested deeper than {MAX_DEPTH} (the test double's own limit)")
    for escape in ESCAPE.finditer(text, start, end):
        if escape["half"]:
            wrong("The surrogate pair in string is invalid.", escape.start())
    if not isinstance(value, dict):
        refuse(f"JSON Value: {quoted(value)} Is not object")
    return value


def depth(value) -> int:
    """Of nested lists and objects: 0 of a bare value."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if parts is None else 1 + max(map(depth, parts), default=0)


def quoted(value) -> str:
    """A value as an error shows it."""
    text = json.dumps(value, indent=4, ensure_ascii=False).encode("utf-8", "surrogateescape")
    return text[:MAX_QUOTED].decode("utf-8", "replace")


def fill_request(body: bytes, request, signatures) -> bool:
    """Fills a PredictRequest from the body of a request.

    Args:
        body: JSON by rows ("instances") or by columns ("inputs").
        request: PredictRequest, whose model_spec has a name.
        signatures: gives, once the body is known to be JSON, the signatures of the model.

    Returns:
        Whether the format is by rows.
    """
    document = parse(body)
    name = document.get("signature_name") or DEFAULT_SIGNATURE
    if not isinstance(document.get("signature_name", ""), str):
        refuse(
            f"JSON Value: {quoted(document)} not formatted correctly. "
            "'signature_name' key must be a string value."
        )
    known = signatures()
    if name not in known:
        name = name.encode("utf-8", "replace").decode()
        refuse(f'Serving signature name: "{name}" not found in signature def')
    request.model_spec.signature_name = name
    infos = {key: known[name].inputs[key] for key in sorted(known[name].inputs)}
    if "instances" in document and "inputs" in document:
        refuse(
            f"JSON Value: {quoted(document)} Not formatted correctly expecting only one of 'inputs' or "
            "'instances' keys to exist "
        )
    if "instances" in document:
        rows = document["instances"]
        if not isinstance(rows, list):
            refuse(f"JSON Value: {quoted(document)} Expecting 'instances' to be an list/array")
        if not rows:
            refuse(f"JSON Value: {quoted(document)} No values in 'instances' array")
        tensors = of_rows(rows, infos)
    elif "inputs" in document:
        tensors = of_columns(document["inputs"], infos)
    else:
        refuse("Missing 'inputs' or 'instances' key")
    for key, (shape, values) in tensors.items():
        dtype = tf.dtypes.as_dtype(infos[key].dtype)
        request.inputs[key].CopyFrom(tf.make_tensor_proto(values, dtype, shape))
    return "instances" in document


def is_base64(value) -> bool:
    return isinstance(value, dict) and list(value) == ["b64"] and isinstance(value["b64"], str)


def is_named(value) -> bool:
    return isinstance(value, dict) and not is_base64(value)


def of_rows(rows, infos) -> dict[str, tuple[list[int], list]]:
    """{input: (shape, flat values)} of a list of instances."""
    named = is_named(rows[0])
    if not named and len(infos) > 1:
        refuse(
            "instances is a plain list, but expecting list of objects as multiple input tensors required "
            "as per tensorinfo_map"
        )
    shapes, values = {}, {name: [] for name in infos}

    def add(name, item, place):
        try:
            if name not in infos:
                refuse(f"JSON object: does not have named input: {name}")
            shape, flat = dense(item, infos[name].dtype)
            first = shapes.setdefault(name, shape)
            if math.prod(first) != len(flat):
                refuse(f"Expecting tensor size: {math.prod(first)} but got: {len(flat)}")
            if first != shape:
                first, shape = (",".join(map(str, sizes)) for sizes in (first, shape))
                refuse(f"Expecting shape [{first}] but got: [{shape}]")
        except StatusError as error:
            refuse(
                f"Failed to process element: {place} of 'instances' list. Error: INVALID_ARGUMENT: {error}"
            )
        values[name] += flat

    for index, row in enumerate(rows):
        if named != is_named(row):
            kinds = "object but got list" if named else "value/list but got object"
            refuse(f"Expecting {kinds} at item {index} of input list")
        if not named:
            add(next(iter(infos)), row, index)
            continue
        for name, item in row.items():
            add(name, item, f"{index} key: {name}")
        if row.keys() != infos.keys():
            refuse(
                f"Failed to process element: {index} of 'instances' list. JSON object: {quoted(row)} keys "
                f"must be equal to: {','.join(infos)}"
            )
    return {name: ([len(rows), *shapes[name]], values[name]) for name in infos}


def of_columns(columns, infos) -> dict[str, tuple[list[int], list]]:
    """{input: (shape, flat values)} of "inputs"."""
    if not is_named(columns):
        if len(infos) > 1:
            refuse(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required "
                "as per tensorinfo_map"
            )
        columns = {next(iter(infos)): columns}
    for name in infos:
        if name not in columns:
            refuse(f"Missing named input: {name} in 'inputs' object.")
    return {name: dense(columns[name], info.dtype) for name, info in infos.items()}


def dense(value, dtype) -> tuple[list[int], list]:
    """(shape, flat values) of nested lists; the first element of each list says what the shape is."""
    dtype = tf.dtypes.as_dtype(dtype)
    shape, first = [], value
    while isinstance(first, list):
        shape.append(len(first))
        first = first[0] if first else None
    flat = []

    def fill(part, level):
        if not isinstance(part, list):
            if level != len(shape):
                refuse(
                    f"JSON Value: {quoted(part)} found at incorrect level: {level + 1} in the JSON DOM. "
                    f"Expected at level: {len(shape)}"
                )
            return flat.append(scalar(part, dtype))
        if level >= len(shape):
            refuse(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
        if len(part) != shape[level]:
            sizes = f"{len(part)} at level: {level} expected size: {shape[level]}"
            refuse(f"Encountered list at unexpected size: {sizes}")
        for item in part:
            fill(item, level + 1)

    fill(value, 0)
    return shape, flat


def scalar(value, dtype) -> Any:
    """A JSON value as an element of a tensor."""
    if dtype == tf.string and isinstance(value, dict):
        if not is_base64(value):
            refuse(f"JSON Value: {quoted(value)} not formatted correctly for base64 data")
        try:
            return base64.b64decode(value["b64"].encode("utf-8", "surrogateescape"), validate=True)
        except binascii.Error:
            refuse("Unable to base64 decode")
    if dtype == tf.string and isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if isinstance(value, bool):
        if dtype == tf.bool:
            return value
    elif isinstance(value, int | float) and dtype.is_floating:
        return value
    elif isinstance(value, int) and dtype.is_integer and dtype.min <= value <= dtype.max:
        return value
    kind = KINDS.get(type(value).__name__, "Number") if not isinstance(value, bool) else f"{value}"
    name = {tf.float32: "float", tf.float64: "double"}.get(dtype, dtype.name)
    refuse(f"JSON Value: {quoted(value)} Type: {kind} is not of expected type: {name}")


def answer(response, by_rows: bool) -> bytes:
    """The body of an answer, "predictions" of rows or "outputs" of columns; one alone has no name."""
    columns = {name: column(name, tensor, by_rows) for name, tensor in response.outputs.items()}
    if by_rows and len(columns) > 1:
        sizes = {name: len(values) for name, values in columns.items()}
        if len(set(sizes.values())) > 1:
            name = max(sizes, key=sizes.get)
            wanted = f"{sizes[name]} expecting: {min(sizes.values())}"
            refuse(f"Tensor name: {name} has inconsistent batch size: {wanted}")
        found = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    else:
        found = columns if len(columns) > 1 else next(iter(columns.values()))
    return dump({"predictions" if by_rows else "outputs": found})


def column(name, tensor, by_rows) -> Any:
    """A tensor as JSON has it."""
    array = tf.make_ndarray(tensor)
    if by_rows and array.ndim == 0:
        refuse(f"Tensor name: {name} has no shape information ")
    if array.dtype == np.float32:
        # The shortest text that reads back as the same float32.
        array = array.astype(str).astype(float)

    def plain(value):
        if isinstance(value, list):
            return [plain(item) for item in value]
        if not isinstance(value, bytes):
            return value
        is_binary = name.endswith("_bytes")
        return (
            {"b64": base64.b64encode(value).decode()}
            if is_binary
            else value.decode("utf-8", "surrogateescape")
        )

    return plain(array.tolist())


def dump(value) -> bytes:
    """Pretty JSON; NaN, Infinity and bytes that are no UTF-8 as they are."""
    return (json.dumps(value, indent=4, ensure_ascii=False) + "\n").encode("utf-8", "surrogateescape")

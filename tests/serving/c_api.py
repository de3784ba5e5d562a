"""Runs a SavedModel through TensorFlow's C API: no TensorFlow in Python, as in a C++ server.

    python c_api.py MODEL_DIR [--xla_off] [OP_LIBRARY ...] < requests > answers

A line of standard input is a request, one of standard output its answer, in JSON:

    {"signature": "serving_default", "inputs": {"text": ["ein hund", "zwei"]}}
    {"translation": ["a dog", "two"]}

Bytes that are no text are {"b64": "..."}, as in TF Serving's JSON.
An error of TensorFlow is one line on standard error, `code N: message`, and exit status 1.
"""

import base64
import ctypes
import importlib.util
import json
import math
import sys
from ctypes import POINTER, byref, c_char, c_char_p, c_float, c_int, c_int32, c_int64, c_size_t, c_void_p
from pathlib import Path

# Data types of tensorflow/core/framework/types.proto.
NUMBERS = {1: c_float, 3: c_int32}
TF_STRING = 7
TSTRING_SIZE = 24  # sizeof(TF_TString)

# Name -> type of the result, types of the arguments: tensorflow/c/c_api.h, tf_tensor.h, tf_tstring.h.
FUNCTIONS = {
    "TF_NewStatus": (c_void_p, []),
    "TF_GetCode": (c_int, [c_void_p]),
    "TF_Message": (c_char_p, [c_void_p]),
    "TF_LoadLibrary": (c_void_p, [c_char_p, c_void_p]),
    "TF_NewSessionOptions": (c_void_p, []),
    "TF_NewGraph": (c_void_p, []),
    "TF_GraphOperationByName": (c_void_p, [c_void_p, c_char_p]),
    "TF_AllocateTensor": (c_void_p, [c_int, POINTER(c_int64), c_int, c_size_t]),
    "TF_DeleteTensor": (None, [c_void_p]),
    "TF_TensorData": (c_void_p, [c_void_p]),
    "TF_TensorType": (c_int, [c_void_p]),
    "TF_NumDims": (c_int, [c_void_p]),
    "TF_Dim": (c_int64, [c_void_p, c_int]),
    "TF_StringInit": (None, [c_void_p]),
    "TF_StringCopy": (None, [c_void_p, c_char_p, c_size_t]),
    "TF_StringGetDataPointer": (POINTER(c_char), [c_void_p]),
    "TF_StringGetSize": (c_size_t, [c_void_p]),
}


class Buffer(ctypes.Structure):
    """TF_Buffer: bytes."""

    _fields_ = [("data", c_void_p), ("length", c_size_t), ("deallocator", c_void_p)]


class Output(ctypes.Structure):
    """TF_Output: one result of one node."""

    _fields_ = [("operation", c_void_p), ("index", c_int)]


FUNCTIONS["TF_LoadSessionFromSavedModel"] = (
    c_void_p,
    [c_void_p, c_void_p, c_char_p, POINTER(c_char_p), c_int, c_void_p, POINTER(Buffer), c_void_p],
)
FUNCTIONS["TF_SessionRun"] = (
    None,
    [c_void_p, c_void_p]
    + [POINTER(Output), POINTER(c_void_p), c_int] * 2
    + [POINTER(c_void_p), c_int, c_void_p, c_void_p],
)


class CApi:
    """libtensorflow_cc of the installed wheel, found without importing it."""

    def __init__(self):
        package = Path(importlib.util.find_spec("tensorflow").origin).parent
        # Global: the libraries of further ops look up TensorFlow's symbols in it.
        framework = package / "libtensorflow_framework.so.2"
        ctypes.CDLL(str(framework), mode=ctypes.RTLD_GLOBAL)
        library = ctypes.CDLL(str(package / "libtensorflow_cc.so.2"), mode=ctypes.RTLD_GLOBAL)
        for name, (result, arguments) in FUNCTIONS.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
            setattr(self, name, function)
        self._library = library
        self.status = self.TF_NewStatus()

    def check(self):
        """Ends the program if the last call failed."""
        code = self.TF_GetCode(self.status)
        if code:
            message = self.TF_Message(self.status).decode("utf-8", "replace")
            sys.exit(f"code {code}: {' '.join(message.split())}")

    def turn_xla_off(self):
        """As TF Serving does on CPUs, unless it was started with --xla_cpu_compilation_enabled."""
        self._library["_ZN10tensorflow21DisableXlaCompilationEv"]()

    def load_ops(self, path):
        """Registers the ops of a shared library."""
        self.TF_LoadLibrary(str(path).encode(), self.status)
        self.check()

    def load_model(self, folder):
        """Loads the meta-graph for serving; returns session, graph and signatures."""
        graph, meta_graph = self.TF_NewGraph(), Buffer()
        session = self.TF_LoadSessionFromSavedModel(
            self.TF_NewSessionOptions(),
            None,
            str(folder).encode(),
            (c_char_p * 1)(b"serve"),
            1,
            graph,
            byref(meta_graph),
            self.status,
        )
        self.check()
        return session, graph, signatures(ctypes.string_at(meta_graph.data, meta_graph.length))

    def run(self, session, graph, signature, values):
        """Feeds {input: nested list} and fetches {output: nested list}."""
        inputs, outputs = signature
        feeds = (Output * len(inputs))(*(self.output(graph, name) for name, _ in inputs.values()))
        fetches = (Output * len(outputs))(*(self.output(graph, name) for name, _ in outputs.values()))
        given = (c_void_p * len(inputs))(*(self.tensor(values[key], inputs[key][1]) for key in inputs))
        fetched = (c_void_p * len(outputs))()
        self.TF_SessionRun(
            *(session, None, feeds, given, len(feeds), fetches, fetched, len(fetches)),
            *(None, 0, None, self.status),
        )
        self.check()
        answer = {key: self.values(tensor) for key, tensor in zip(outputs, fetched, strict=True)}
        for tensor in (*given, *fetched):
            self.TF_DeleteTensor(tensor)
        return answer

    def output(self, graph, name):
        """Finds NODE:INDEX in the graph."""
        node, _, index = name.partition(":")
        operation = self.TF_GraphOperationByName(graph, node.encode())
        if not operation:
            sys.exit(f"no node {node} in the graph")
        return Output(operation, int(index or 0))

    def tensor(self, values, kind):
        """Nested list -> tensor of a data type."""
        shape, flat = [len(values)], values
        while flat and isinstance(flat[0], list):
            shape.append(len(flat[0]))
            flat = [value for row in flat for value in row]
        size = TSTRING_SIZE if kind == TF_STRING else ctypes.sizeof(NUMBERS[kind])
        sizes = (c_int64 * len(shape))(*shape)
        tensor = self.TF_AllocateTensor(kind, sizes, len(shape), size * len(flat))
        data = self.TF_TensorData(tensor)
        if kind == TF_STRING:
            for place, text in enumerate(flat):
                string = data + place * TSTRING_SIZE
                encoded = text.encode() if isinstance(text, str) else base64.b64decode(text["b64"])
                self.TF_StringInit(string)
                self.TF_StringCopy(string, encoded, len(encoded))
        elif flat:
            (NUMBERS[kind] * len(flat)).from_address(data)[:] = flat
        return tensor

    def values(self, tensor):
        """Tensor -> nested list; strings must be UTF-8."""
        kind, data = self.TF_TensorType(tensor), self.TF_TensorData(tensor)
        shape = [self.TF_Dim(tensor, axis) for axis in range(self.TF_NumDims(tensor))]
        count = math.prod(shape)
        if kind == TF_STRING:
            places = [data + place * TSTRING_SIZE for place in range(count)]
            flat = [
                self.TF_StringGetDataPointer(place)[: self.TF_StringGetSize(place)].decode("utf-8")
                for place in places
            ]
        else:
            flat = list((NUMBERS[kind] * count).from_address(data)) if count else []
        return nested(flat, shape)


def nested(flat, shape):
    """A flat list in a shape."""
    if len(shape) < 2:
        return flat
    step = math.prod(shape[1:])
    return [nested(flat[row * step : (row + 1) * step], shape[1:]) for row in range(shape[0])]


def signatures(meta_graph):
    """Signatures of a serialized MetaGraphDef: name -> (inputs, outputs), each name -> (tensor, type).

    By the field numbers of meta_graph.proto: the classes of the message are part of TensorFlow's Python.
    """

    def entries(message, number):
        pairs = [dict(fields(value)) for field, value in fields(message) if field == number]
        return {pair[1].decode(): pair[2] for pair in pairs}  # a map's entry: 1 key, 2 value

    def tensors(message, number):
        infos = {name: dict(fields(info)) for name, info in entries(message, number).items()}
        return {name: (info[1].decode(), info.get(2)) for name, info in infos.items()}  # 1 name, 2 dtype

    found = entries(meta_graph, 5)
    return {name: (tensors(message, 1), tensors(message, 2)) for name, message in found.items()}


def fields(message):
    """(number, integer or bytes) of each field of a serialized protocol buffer."""
    place = 0

    def varint():
        nonlocal place
        value = shift = 0
        while True:
            byte = message[place]
            place += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while place < len(message):
        number, kind = divmod(varint(), 8)
        if kind == 0:
            yield number, varint()
        else:
            size = {1: 8, 5: 4}[kind] if kind != 2 else varint()
            yield number, message[place : place + size]
            place += size


def main():
    """Reads requests from standard input and writes the answers to standard output."""
    folder, *libraries = sys.argv[1:]
    api = CApi()
    if "--xla_off" in libraries:
        libraries.remove("--xla_off")
        api.turn_xla_off()
    for library in libraries:
        api.load_ops(library)
    session, graph, known = api.load_model(folder)
    for line in sys.stdin.buffer:
        request = json.loads(line)
        print(json.dumps(api.run(session, graph, known[request["signature"]], request["inputs"])), flush=True)
    if "tensorflow" in sys.modules:
        sys.exit("TensorFlow's Python package was imported: this is no test of the C API")


if __name__ == "__main__":
    main()

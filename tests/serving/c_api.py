"""Runs a SavedModel through TensorFlow's C API: no TensorFlow in Python, as in a C++ server.

    python c_api.py MODEL_DIR INPUT OUTPUT [OP_LIBRARY ...] < lines > answers

INPUT and OUTPUT are tensors of the graph, say serving_default_text:0 and StatefulPartitionedCall:0;
both are batches of strings. The lines of standard input are one batch; each answer is a line with a
JSON string. An error of TensorFlow is one line on standard error, `code N: message`, and exit status 1.
"""

import ctypes
import importlib.util
import json
import sys
from ctypes import POINTER, byref, c_char, c_char_p, c_int, c_int64, c_size_t, c_void_p
from pathlib import Path

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
    "TF_TensorData": (c_void_p, [c_void_p]),
    "TF_TensorType": (c_int, [c_void_p]),
    "TF_NumDims": (c_int, [c_void_p]),
    "TF_Dim": (c_int64, [c_void_p, c_int]),
    "TF_StringInit": (None, [c_void_p]),
    "TF_StringCopy": (None, [c_void_p, c_char_p, c_size_t]),
    "TF_StringGetDataPointer": (POINTER(c_char), [c_void_p]),
    "TF_StringGetSize": (c_size_t, [c_void_p]),
}


class Output(ctypes.Structure):
    """TF_Output: one result of one node."""

    _fields_ = [("operation", c_void_p), ("index", c_int)]


FUNCTIONS["TF_LoadSessionFromSavedModel"] = (
    c_void_p,
    [c_void_p, c_void_p, c_char_p, POINTER(c_char_p), c_int, c_void_p, c_void_p, c_void_p],
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
        self.status = self.TF_NewStatus()

    def check(self):
        """Ends the program if the last call failed."""
        code = self.TF_GetCode(self.status)
        if code:
            message = self.TF_Message(self.status).decode("utf-8", "replace")
            sys.exit(f"code {code}: {' '.join(message.split())}")

    def load_ops(self, path):
        """Registers the ops of a shared library."""
        self.TF_LoadLibrary(str(path).encode(), self.status)
        self.check()

    def load_model(self, folder):
        """Loads the meta-graph for serving; returns session and graph."""
        graph = self.TF_NewGraph()
        session = self.TF_LoadSessionFromSavedModel(
            self.TF_NewSessionOptions(),
            None,
            str(folder).encode(),
            (c_char_p * 1)(b"serve"),
            1,
            graph,
            None,
            self.status,
        )
        self.check()
        return session, graph

    def run(self, session, graph, input_name, output_name, texts):
        """Feeds a batch of bytes and fetches another."""
        feed, fetch = self.output(graph, input_name), self.output(graph, output_name)
        feeds, fetches = (c_void_p * 1)(self.string_tensor(texts)), (c_void_p * 1)()
        self.TF_SessionRun(
            *(session, None, byref(feed), feeds, 1, byref(fetch), fetches, 1),
            *(None, 0, None, self.status),
        )
        self.check()
        return self.strings(fetches[0])

    def output(self, graph, name):
        """Finds NODE:INDEX in the graph."""
        node, _, index = name.partition(":")
        operation = self.TF_GraphOperationByName(graph, node.encode())
        if not operation:
            sys.exit(f"no node {node} in the graph")
        return Output(operation, int(index or 0))

    def string_tensor(self, texts):
        """Bytes -> TF_STRING tensor, (B,)."""
        shape = (c_int64 * 1)(len(texts))
        tensor = self.TF_AllocateTensor(TF_STRING, shape, 1, TSTRING_SIZE * len(texts))
        data = self.TF_TensorData(tensor)
        for index, text in enumerate(texts):
            string = data + index * TSTRING_SIZE
            self.TF_StringInit(string)
            self.TF_StringCopy(string, text, len(text))
        return tensor

    def strings(self, tensor):
        """TF_STRING tensor, (B,) -> list of bytes."""
        if self.TF_TensorType(tensor) != TF_STRING or self.TF_NumDims(tensor) != 1:
            sys.exit("the output is no batch of strings")
        data = self.TF_TensorData(tensor)
        addresses = [data + index * TSTRING_SIZE for index in range(self.TF_Dim(tensor, 0))]
        return [
            self.TF_StringGetDataPointer(address)[: self.TF_StringGetSize(address)] for address in addresses
        ]


def main():
    """Reads the batch from standard input and writes the answers to standard output."""
    folder, input_name, output_name, *libraries = sys.argv[1:]
    api = CApi()
    for library in libraries:
        api.load_ops(library)
    session, graph = api.load_model(folder)
    texts = sys.stdin.buffer.read().removesuffix(b"\n").split(b"\n")
    for answer in api.run(session, graph, input_name, output_name, texts):
        print(json.dumps(answer.decode("utf-8")))
    if "tensorflow" in sys.modules:
        sys.exit("TensorFlow's Python package was imported: this is no test of the C API")


if __name__ == "__main__":
    main()

"""The official gRPC stubs of TF Serving without TensorFlow's start-up.

Their messages hold messages of the package `tensorflow`, whose import takes several seconds; the modules
with these messages alone take a fraction of one. For the time of their import an empty module stands in its
place, unless TensorFlow is there already. Who imports TensorFlow later gets all of it, and the same messages.
"""

import contextlib
import importlib.util
import sys


@contextlib.contextmanager
def _stand_in(name):
    """An empty package in the place of one that is not imported yet; its sub-modules can be."""
    if name in sys.modules:
        yield
        return
    spec = importlib.util.find_spec(name)
    if spec is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        yield
    finally:
        for module in [module for module in sys.modules if module.partition(".")[0] == name]:
            del sys.modules[module]


with _stand_in("tensorflow"):
    from tensorflow.core.framework import tensor_pb2, types_pb2
    from tensorflow_serving.apis import (
        get_model_metadata_pb2,
        get_model_status_pb2,
        model_management_pb2,
        model_service_pb2_grpc,
        predict_pb2,
        prediction_service_pb2_grpc,
    )

__all__ = [
    "get_model_metadata_pb2",
    "get_model_status_pb2",
    "model_management_pb2",
    "model_service_pb2_grpc",
    "predict_pb2",
    "prediction_service_pb2_grpc",
    "tensor_pb2",
    "types_pb2",
]

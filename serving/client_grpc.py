"""gRPC transport of `serving.client`."""

import json
import math
import os
from typing import Any

# What is wrong is said in the error; the C library would say it again, in lines of its own.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc
import numpy as np
from google.protobuf import json_format
from google.protobuf.message import DecodeError

from serving import stubs
from serving.client_errors import ServingError, understood

# Data type -> NumPy's, and the field of a TensorProto that holds its values.
TYPES = {
    stubs.types_pb2.DT_STRING: (object, "string_val"),
    stubs.types_pb2.DT_FLOAT: ("float32", "float_val"),
    stubs.types_pb2.DT_DOUBLE: ("float64", "double_val"),
    stubs.types_pb2.DT_INT32: ("int32", "int_val"),
    stubs.types_pb2.DT_INT64: ("int64", "int64_val"),
    stubs.types_pb2.DT_BOOL: ("bool", "bool_val"),
}
# Type of a value in Python -> data type that is sent for it.
SENT = {
    str: stubs.types_pb2.DT_STRING,
    bytes: stubs.types_pb2.DT_STRING,
    bool: stubs.types_pb2.DT_BOOL,
    int: stubs.types_pb2.DT_INT32,
    float: stubs.types_pb2.DT_FLOAT,
}


class Grpc:
    """The methods of a server's gRPC services; arguments as of `client.Client`."""

    def __init__(self, target, retries, tls):
        options = [
            # Else answers of more than 4 MiB are refused here.
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", -1),
            ("grpc.enable_retries", 1),
            ("grpc.service_config", service_config(retries)),
        ]
        if tls is None:
            self.channel = grpc.insecure_channel(target, options)
        else:
            self.channel = grpc.secure_channel(target, grpc.ssl_channel_credentials(*tls.read()), options)
        self.prediction = stubs.prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.models = stubs.model_service_pb2_grpc.ModelServiceStub(self.channel)

    def close(self) -> None:
        self.channel.close()

    def predict(self, spec, inputs, timeout) -> dict:
        """{output: nested lists} for {input: nested lists}."""
        return outputs(self._call(self.prediction.Predict, predict_request(spec, inputs), timeout))

    def metadata(self, spec, timeout) -> dict:
        """{signature: SignatureDef as JSON}."""
        return signatures(self._call(self.prediction.GetModelMetadata, metadata_request(spec), timeout))

    def status(self, spec, timeout) -> list:
        """[{version, state, status}]."""
        request = stubs.get_model_status_pb2.GetModelStatusRequest(model_spec=model_spec(spec))
        return as_json(self._call(self.models.GetModelStatus, request, timeout))["model_version_status"]

    def _call(self, method, request, timeout):
        try:
            return method(request, timeout=timeout)
        except grpc.RpcError as error:
            raise ServingError(error.code().name, error.details() or "") from None


def service_config(retries) -> str:
    """gRPC's own retries, with growing pauses, of what the server has not worked on."""
    policy = {
        "maxAttempts": retries + 1,
        "initialBackoff": "0.1s",
        "maxBackoff": "5s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    return json.dumps({"methodConfig": [{"name": [{}], **({"retryPolicy": policy} if retries else {})}]})


def model_spec(spec) -> Any:
    """ModelSpec of a `client.Spec`."""
    message = stubs.predict_pb2.PredictRequest().model_spec
    message.name = spec.model
    if spec.signature is not None:
        message.signature_name = spec.signature
    if spec.version is not None:
        message.version.value = spec.version
    elif spec.label is not None:
        message.version_label = spec.label
    return message


def predict_request(spec, inputs) -> Any:
    """PredictRequest with {input: nested lists}."""
    request = stubs.predict_pb2.PredictRequest(model_spec=model_spec(spec))
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(to_tensor(value))
    return request


def outputs(response) -> dict:
    """{output: nested lists} of a PredictResponse."""
    with understood():
        return {name: from_tensor(name, tensor) for name, tensor in response.outputs.items()}


def metadata_request(spec) -> Any:
    """GetModelMetadataRequest for the signatures."""
    asked = stubs.get_model_metadata_pb2.GetModelMetadataRequest
    return asked(model_spec=model_spec(spec), metadata_field=["signature_def"])


def signatures(response) -> dict:
    """{signature: SignatureDef as JSON} of a GetModelMetadataResponse."""
    with understood(DecodeError):
        found = stubs.get_model_metadata_pb2.SignatureDefMap
        return as_json(found.FromString(response.metadata["signature_def"].value))["signature_def"]


def as_json(message) -> dict:
    """A message as TF Serving's REST answers show it."""
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def to_tensor(value) -> Any:
    """A TensorProto of nested lists of one type: texts, bytes, truth values, int32 or float32.

    Raises:
        ValueError: the lists are ragged, or hold something else.
    """
    # Objects: NumPy's own strings drop zeros at their end.
    array = np.array(value, dtype=object)
    kinds = {type(item) for item in array.flat} or {str}
    dtypes = {SENT.get(kind) for kind in kinds}
    if len(dtypes) != 1 or None in dtypes:
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise ValueError(f"An input must be nested lists, of equal lengths, of one type. Received: {names}.")
    tensor = stubs.tensor_pb2.TensorProto(dtype=dtypes.pop())
    for size in array.shape:
        tensor.tensor_shape.dim.add(size=size)
    values = [item.encode() if isinstance(item, str) else item for item in array.flat]
    getattr(tensor, TYPES[tensor.dtype][1]).extend(values)
    return tensor


def from_tensor(name, tensor) -> list:
    """Nested lists of a TensorProto: texts, or bytes if the name ends in _bytes."""
    shape = [dim.size for dim in tensor.tensor_shape.dim]
    if tensor.dtype not in TYPES:
        raise ServingError("UNIMPLEMENTED", f"output {name} has a data type that is not known here")
    dtype, field = TYPES[tensor.dtype]
    if tensor.tensor_content:
        flat = np.frombuffer(tensor.tensor_content, dtype)
    else:
        flat = np.array(getattr(tensor, field), dtype)
        if 0 < flat.size < math.prod(shape):  # The last value stands for all that follow.
            flat = np.pad(flat, (0, math.prod(shape) - flat.size), mode="edge")
    if dtype is object and not name.endswith("_bytes"):
        flat[:] = [text.decode("utf-8", "replace") for text in flat]
    return flat.reshape(shape).tolist()

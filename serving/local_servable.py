"""One loaded SavedModel of the local test double, and the errors that requests for it are refused with."""

import re

import grpc
import tensorflow as tf
import tensorflow_text  # noqa: F401  registers the ops of the tokenizers
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

CODES = {code.value[0]: code for code in grpc.StatusCode}
WARM_UP_FILE = "assets.extra/tf_serving_warmup_requests"
MAX_WARM_UP = 1000
DEFAULT_SIGNATURE = "serving_default"


# What TensorFlow adds to a message where Python calls it.
PYTHONS_WORDS = re.compile(
    r"\AGraph execution error:\n\n(?:Detected at node .*\n)*(?:<stack traces unavailable>\n)?| \[Op:\w+\]\Z"
)


class StatusError(Exception):
    """What a request is refused with: a gRPC status.

    Args:
        code: name of a `grpc.StatusCode`.
        message: text for the client.
    """

    def __init__(self, code, message):
        super().__init__(message)
        self.code = grpc.StatusCode[code]


def of_model(error) -> StatusError:
    """What TensorFlow raised, as TF Serving would pass it on."""
    if isinstance(error, StatusError):
        return error
    if isinstance(error, tf.errors.OpError):
        code, message = CODES[error.error_code].name, PYTHONS_WORDS.sub("", error.message)
    else:
        code = "INVALID_ARGUMENT" if isinstance(error, ValueError | TypeError) else "UNKNOWN"
        message = f"{error}" or type(error).__name__
    # It goes into a protocol buffer, and a damaged file may have given anything.
    return StatusError(code, message.encode("utf-8", "replace").decode("utf-8"))


class Servable:
    """A loaded SavedModel that has answered its warm-up requests.

    Args:
        number: of the version.
        folder: of the version.

    Raises:
        Exception: whatever TensorFlow finds wrong.
    """

    def __init__(self, number, folder):
        self.number = number
        proto = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
        # A protocol buffer's map would not be asked for names that are no UTF-8.
        self.signatures = dict(proto.meta_graphs[0].signature_def)
        # The functions hold their variables weakly.
        self.owner = tf.saved_model.load(str(folder))
        if (folder / WARM_UP_FILE).exists():
            for record in tf.data.TFRecordDataset(str(folder / WARM_UP_FILE)).take(MAX_WARM_UP):
                self.predict(prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request)

    def predict(self, request) -> predict_pb2.PredictResponse:
        """Answers a PredictRequest; blocks."""
        name = request.model_spec.signature_name or DEFAULT_SIGNATURE
        if name not in self.signatures:
            raise StatusError("FAILED_PRECONDITION", f'Serving signature key "{name}" not found.')
        signature = self.signatures[name]
        check_inputs(signature.inputs, request.inputs)
        outputs = list(request.output_filter) or list(signature.outputs)
        check_outputs(signature.outputs, outputs)
        inputs = {key: tf.constant(tf.make_ndarray(value)) for key, value in request.inputs.items()}
        answer = self.owner.signatures[name](**inputs)
        response = predict_pb2.PredictResponse()
        response.model_spec.name = request.model_spec.name
        response.model_spec.signature_name = name
        response.model_spec.version.value = self.number
        for key in outputs:
            response.outputs[key].CopyFrom(tf.make_tensor_proto(answer[key].numpy()))
        return response


def check_inputs(infos, inputs) -> None:
    """Names as in predict_util.cc; dtypes as TensorFlow's call frame; shapes as a Python call."""
    given, wanted = set(inputs), set(infos)
    if len(given) != len(wanted):
        sent, needed, extra, missing = (
            ",".join(sorted(names)) for names in (given, wanted, given - wanted, wanted - given)
        )
        raise StatusError(
            "INVALID_ARGUMENT",
            f"input size does not match signature: {len(given)}!={len(wanted)} len({{{sent}}}) != "
            f"len({{{needed}}}). Sent extra: {{{extra}}}. Missing but required: {{{missing}}}.",
        )
    for index, (name, info) in enumerate(sorted(infos.items())):
        if name not in given:
            raise StatusError("INVALID_ARGUMENT", f"Missing input: {name}")
        dtypes = [tf.dtypes.as_dtype(dtype).name for dtype in (info.dtype, inputs[name].dtype)]
        if dtypes[0] != dtypes[1]:
            message = f"Expects arg[{index}] to be {dtypes[0]} but {dtypes[1]} is provided"
            raise StatusError("INVALID_ARGUMENT", message)
        shapes = [tf.TensorShape(shape) for shape in (info.tensor_shape, inputs[name].tensor_shape)]
        if not shapes[0].is_compatible_with(shapes[1]):
            message = f"Input {name} must be of shape {shapes[0]}. Received: {shapes[1]}"
            raise StatusError("INVALID_ARGUMENT", message)


def check_outputs(infos, names) -> None:
    """As predict_util.cc."""
    for place, name in enumerate(names):
        if name not in infos:
            known = ",".join(sorted(infos))
            message = f"output tensor alias not found in signature: {name} Outputs expected to be in the set "
            raise StatusError("INVALID_ARGUMENT", f"{message}{{{known}}}.")
        if name in names[:place]:
            raise StatusError("INVALID_ARGUMENT", f"duplicate output tensor alias: {name}")

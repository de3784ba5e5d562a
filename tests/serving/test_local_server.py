"""The test double beside TF Serving's contract: codes, texts, shapes and order of what it answers.

The texts of the tables are those of TF Serving's source.
"""

import json
import urllib.error
import urllib.request

import grpc
import pytest
import urllib3

from serving import stubs
from serving.client_grpc import to_tensor

from .conftest import QUESTIONS, ask, same

DATES = "/v1/models/dates"
# Verb, path, body, status, error.
REST_ERRORS = [
    (
        "POST",
        "/v1/models/foo:predict",
        '{"instances": ["a"]}',
        404,
        "Servable not found for request: Latest(foo)",
    ),
    ("GET", "/v1/models/foo/metadata", "", 404, "Servable not found for request: Latest(foo)"),
    ("POST", "/v1/models/foo:predict", "{", 400, "JSON Parse error: "),  # before the model is looked up
    (
        "POST",
        f"{DATES}/versions/7:predict",
        '{"inputs": []}',
        404,
        "Servable not found for request: Specific(dates, 7)",
    ),
    (
        "POST",
        f"{DATES}/labels/canary:predict",
        '{"inputs": []}',
        400,
        "Unrecognized servable version label: canary",
    ),
    ("GET", "/v1/models/foo", "", 404, "Could not find any versions of model foo"),
    ("GET", f"{DATES}/versions/7", "", 404, "Could not find version 7 of model dates"),
    ("GET", "/v1/models", "", 400, "Missing model name in request."),
    ("GET", "/v1/wrong", "", 400, "Malformed request: GET /v1/wrong"),
    (
        "POST",
        f"{DATES}/versions/abc:predict",
        "{}",
        400,
        f"Malformed request: POST {DATES}/versions/abc:predict",
    ),
    ("PUT", DATES, "", 400, f"Malformed request: PUT {DATES}"),
    (
        "POST",
        f"{DATES}/versions/99999999999999999999:predict",
        "{}",
        400,
        "Failed to convert version: 99999999999999999999 to numeric.",
    ),
    (
        "GET",
        f"{DATES}/versions/{'9' * 5000}",
        "",
        400,
        f"Failed to convert version: {'9' * 5000} to numeric.",
    ),
    ("GET", f"{DATES}/versions/{'0' * 5000}7", "", 404, "Could not find version 7 of model dates"),
    (
        "POST",
        f"{DATES}:predict",
        '{"signature_name": "x", "inputs": []}',
        400,
        'Serving signature name: "x" not found in signature def',
    ),
    (
        "POST",
        f"{DATES}:predict",
        '{"signature_name": 5}',
        400,
        "'signature_name' key must be a string value.",
    ),
    (
        "POST",
        f"{DATES}:predict",
        '{"instances": [{"x": "a"}]}',
        400,
        "Failed to process element: 0 key: x of 'instances' list. Error: INVALID_ARGUMENT: JSON object: "
        "does not have named input: x",
    ),
    (
        "POST",
        f"{DATES}:predict",
        '{"signature_name": "score", "instances": [{"source": "a"}]}',
        400,
        "Failed to process element: 0 of 'instances' list. JSON object: {\n"
        '    "source": "a"\n} keys must be equal to: source,target',
    ),
    (
        "POST",
        f"{DATES}:predict",
        '{"signature_name": "score", "inputs": {"source": ["a"]}}',
        400,
        "Missing named input: target in 'inputs' object.",
    ),
    (
        "POST",
        f"{DATES}:predict",
        '{"signature_name": "score", "instances": ["a"]}',
        400,
        "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
        "tensorinfo_map",
    ),
    (
        "POST",
        f"{DATES}:predict",
        '{"instances": ["a", {"text": "b"}]}',
        400,
        "Expecting value/list but got object at item 1 of input list",
    ),
    (
        "POST",
        f"{DATES}:predict",
        '{"instances": [5]}',
        400,
        "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: JSON Value: 5 Type: "
        "Number is not of expected type: string",
    ),
    (
        "POST",
        f"{DATES}:predict",
        '{"inputs": [5]}',
        400,
        "JSON Value: 5 Type: Number is not of expected type: string",
    ),
    (
        "POST",
        f"{DATES}:predict",
        '{"signature_name": "tokens", "instances": [[7, 3], [7, 11, 3]]}',
        400,
        "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: Expecting tensor size: 2 "
        "but got: 3",
    ),
    (
        "POST",
        f"{DATES}:predict",
        '{"signature_name": "tokens", "instances": [[7, 3], [[7], [3]]]}',
        400,
        "Expecting shape [2] but got: [2,1]",
    ),
    (
        "POST",
        f"{DATES}:predict",
        '{"signature_name": "tokens", "inputs": [[7, 3], [7, [3]]]}',
        400,
        "Encountered list at unexpected level: 2 expected < 2",
    ),
    (
        "POST",
        f"{DATES}:predict",
        '{"signature_name": "tokens", "inputs": [[7, 3], 7]}',
        400,
        "JSON Value: 7 found at incorrect level: 2 in the JSON DOM. Expected at level: 2",
    ),
    ("POST", f"{DATES}:predict", "", 400, "JSON Parse error: The document is empty"),
    ("POST", f"{DATES}:predict", '{"inputs": nul}', 400, "JSON Parse error: Invalid value. at offset: 14"),
    ("POST", f"{DATES}:predict", '["a"]', 400, 'JSON Value: [\n    "a"\n] Is not object'),
    (
        "POST",
        f"{DATES}:predict",
        '{"inputs": [], "instances": []}',
        400,
        " Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist ",
    ),
    ("POST", f"{DATES}:predict", "{}", 400, "Missing 'inputs' or 'instances' key"),
    ("POST", f"{DATES}:predict", '{"instances": "a"}', 400, " Expecting 'instances' to be an list/array"),
    ("POST", f"{DATES}:predict", '{"instances": []}', 400, " No values in 'instances' array"),
    ("POST", f"{DATES}:predict", '{"inputs": [{"b64": "%"}]}', 400, "Unable to base64 decode"),
    ("POST", f"{DATES}:predict", '{"inputs": [{"b64": 5}]}', 400, " not formatted correctly for base64 data"),
    ("POST", f"{DATES}:predict", '{"inputs": "a"}', 400, "Input text must be of shape (None,). Received: ()"),
    (
        "POST",
        "/v1/models/odd:predict",
        '{"signature_name": "scalar", "instances": ["a"]}',
        400,
        "Tensor name: count has no shape information ",
    ),
    (
        "POST",
        "/v1/models/odd:predict",
        '{"signature_name": "uneven", "instances": ["a"]}',
        400,
        "Tensor name: twice has inconsistent batch size: 2 expecting: 1",
    ),
    (
        "POST",
        "/v1/models/odd:predict",
        '{"signature_name": "failing", "instances": ["a"]}',
        400,
        "assertion failed: [too many texts] ",
    ),
    ("POST", "/v1/models/odd:classify", "{}", 501, "The test double has no classify."),
]
# What is changed in a good PredictRequest, code, details.
GRPC_ERRORS = [
    ({"model": "foo"}, "NOT_FOUND", "Servable not found for request: Latest(foo)"),
    ({"version": 7}, "NOT_FOUND", "Servable not found for request: Specific(dates, 7)"),
    ({"label": "canary"}, "INVALID_ARGUMENT", "Unrecognized servable version label: canary"),
    ({"model": ""}, "INVALID_ARGUMENT", "ModelSpec has no name specified."),
    ({"model": None}, "INVALID_ARGUMENT", "Missing ModelSpec"),
    ({"signature": "x"}, "FAILED_PRECONDITION", 'Serving signature key "x" not found.'),
    (
        {"inputs": {}},
        "INVALID_ARGUMENT",
        "input size does not match signature: 0!=1 len({}) != len({text}). Sent extra: {}. Missing but "
        "required: {text}.",
    ),
    (
        {"inputs": {"text": ["a"], "x": ["a"]}},
        "INVALID_ARGUMENT",
        "input size does not match signature: 2!=1 len({text,x}) != len({text}). Sent extra: {x}. Missing "
        "but required: {}.",
    ),
    ({"inputs": {"x": ["a"]}}, "INVALID_ARGUMENT", "Missing input: text"),
    ({"inputs": {"text": [5]}}, "INVALID_ARGUMENT", "Expects arg[0] to be string but int32 is provided"),
    (
        {"filter": ["x"]},
        "INVALID_ARGUMENT",
        "output tensor alias not found in signature: x Outputs expected to be in the set {translation}.",
    ),
    ({"filter": ["translation"] * 2}, "INVALID_ARGUMENT", "duplicate output tensor alias: translation"),
]


@pytest.fixture(scope="module")
def http(double):
    """Asks by REST: verb, path, body -> status, headers, body."""
    pool = urllib3.PoolManager(retries=False, timeout=60)

    def request(verb, path, body=None, **headers):
        answer = pool.request(verb, f"http://{double.rest}{path}", body=body, headers=headers)
        return answer.status, answer.headers, answer.data

    return request


@pytest.fixture(scope="module")
def predict(http):
    """The answer of a model by REST, which must be there."""

    def request(path, body):
        status, _, answer = http("POST", f"/v1/models/{path}:predict", body)
        assert status == 200, answer
        return json.loads(answer)

    return request


@pytest.mark.parametrize(
    ("verb", "path", "body", "status", "error"),
    REST_ERRORS,
    ids=[f"rest{n}" for n in range(len(REST_ERRORS))],
)
def test_rest_refuses_with_the_code_and_the_words_of_tf_serving(http, verb, path, body, status, error):
    found, headers, answer = http(verb, path, body or None)
    assert (found, headers["Content-Type"].partition(";")[0]) == (status, "application/json")
    message = json.loads(answer)
    assert list(message) == ["error"] and answer.startswith(b'{\n    "error": ')
    # The text is whole, or a value or a place stands around it.
    assert error in message["error"]
    if error.startswith("assertion failed"):  # and nothing that Python adds
        assert message["error"].startswith(error) and "[Op:" not in message["error"]
    elif not error.startswith((" ", "'", "JSON Parse error: ", "Expecting shape")):
        assert message["error"] == error


@pytest.mark.parametrize(("change", "code", "details"), GRPC_ERRORS)
def test_grpc_refuses_with_the_code_and_the_words_of_tf_serving(double, change, code, details):
    request = stubs.predict_pb2.PredictRequest(output_filter=change.get("filter", []))
    if change.get("model", "dates") is not None:
        spec = request.model_spec
        spec.name = change.get("model", "dates")
        spec.signature_name = change.get("signature", "")
        if "version" in change:
            spec.version.value = change["version"]
        if "label" in change:
            spec.version_label = change["label"]
        spec.SetInParent()
    for name, value in change.get("inputs", {"text": ["a"]}).items():
        request.inputs[name].CopyFrom(to_tensor(value))
    with grpc.insecure_channel(double.grpc) as channel:
        with pytest.raises(grpc.RpcError) as error:
            stubs.prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=60)
    assert (error.value.code().name, error.value.details()) == (code, details)


def test_status_and_metadata_errors_over_grpc(double):
    status = stubs.get_model_status_pb2.GetModelStatusRequest()
    metadata = stubs.get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    status.model_spec.name = metadata.model_spec.name = "foo"
    with grpc.insecure_channel(double.grpc) as channel:
        models = stubs.model_service_pb2_grpc.ModelServiceStub(channel)
        prediction = stubs.prediction_service_pb2_grpc.PredictionServiceStub(channel)
        for method, request, words in (
            (models.GetModelStatus, status, "Could not find any versions of model foo"),
            (prediction.GetModelMetadata, metadata, "Servable not found for request: Latest(foo)"),
        ):
            with pytest.raises(grpc.RpcError) as error:
                method(request, timeout=60)
            assert (error.value.code().name, error.value.details()) == ("NOT_FOUND", words)
        with pytest.raises(grpc.RpcError) as error:
            channel.unary_unary("/tensorflow.serving.PredictionService/Classify")(b"", timeout=60)
        assert error.value.code().name == "UNIMPLEMENTED"


def test_status_is_the_protos_json_with_the_version_as_a_string(http):
    status, headers, body = http("GET", DATES)
    state = {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    assert (status, json.loads(body)) == (200, {"model_version_status": [state]})


def test_metadata_names_the_signatures(http):
    metadata = json.loads(http("GET", f"{DATES}/metadata")[2])
    assert metadata["model_spec"] == {"name": "dates", "version": "1", "signature_name": ""}
    signature = metadata["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["inputs"]["text"]["dtype"] == "DT_STRING"
    assert signature["method_name"] == "tensorflow/serving/predict"


@pytest.mark.parametrize("path", ["dates", "dates/versions/1", "both/labels/stable", "both/versions/2"])
def test_a_model_is_named_with_version_or_label(predict, path):
    assert len(predict(path, '{"instances": ["5"]}')["predictions"]) == 1


def test_the_label_decides_the_version(predict):
    for label, version in (("stable", 1), ("new", 2)):
        assert predict(f"both/labels/{label}", '{"instances": ["x"]}') == {"predictions": [f"x {version}"]}


def test_rows_and_columns_of_one_and_of_several_outputs(predict):
    one = [predict("dates", json.dumps(body)) for body in ({"instances": ["5", "7"]}, {"inputs": ["5", "7"]})]
    assert one[0]["predictions"] == one[1]["outputs"] and len(one[0]["predictions"]) == 2
    several = {"signature_name": "translate_nbest"}
    rows = predict("dates", json.dumps({**several, "instances": [{"text": "5"}, {"text": "7"}]}))[
        "predictions"
    ]
    columns = predict("dates", json.dumps({**several, "inputs": {"text": ["5", "7"]}}))["outputs"]
    assert columns.keys() == {"translations", "scores"}
    assert rows == [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def test_what_rapidjson_reads_is_read(predict):
    # Of equal keys the first; what follows the object is ignored; a byte that is no UTF-8 passes.
    assert predict("odd", b'{"inputs": ["a"], "inputs": ["b"]} what?') == {"outputs": ["a"]}
    body = ' \n{"instances": [{"b64": "w7wA"}, "\\u00e9\\n\\ud83d\\ude42"]}'
    assert predict("odd", body) == {"predictions": ["ü\0", "é\n🙂"]}
    assert predict("odd", '{"inputs": {"text": ["a"], "more": 5}}') == {"outputs": ["a"]}


def test_bytes_that_are_no_utf_8_pass_in_and_out(http):
    status, _, body = http("POST", "/v1/models/odd:predict", b'{"instances": ["\xff\xfe"]}')
    assert status == 200 and b'"\xff\xfe"' in body


def test_an_output_whose_name_ends_in_bytes_is_base64(predict):
    body = '{"signature_name": "binary", "instances": [{"b64": "AP8="}]}'
    assert predict("odd", body) == {"predictions": [{"b64": "AP8="}]}


def test_numbers_are_written_with_the_fewest_digits_that_give_the_same_float(http, predict):
    body = '{"signature_name": "numbers", "instances": ["abc"]}'
    assert predict("odd", body) == {"predictions": [{"small": 0.1, "whole": 3}]}
    assert predict("odd", body.replace("numbers", "rows")) == {"predictions": [[[1.0] * 3] * 2]}
    assert b"1.0" in http("POST", "/v1/models/odd:predict", body.replace("numbers", "rows"))[2]


def test_what_the_translator_says_is_said_over_grpc_and_rest(double, functions):
    expected = [ask(functions["translate_nbest"], {"text": [question]}) for question in QUESTIONS]
    for rest in (False, True):
        with double.client("dates", rest, signature="translate_nbest") as client:
            assert same([client.predict({"text": [question]}) for question in QUESTIONS], expected)


def test_the_answer_over_grpc_says_which_version_it_is_from(double):
    request = stubs.predict_pb2.PredictRequest()
    request.model_spec.name = "both"
    request.inputs["text"].CopyFrom(to_tensor(["a"]))
    with grpc.insecure_channel(double.grpc) as channel:
        answer = stubs.prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=60)
    spec = answer.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("both", 2, "serving_default")


def test_what_is_not_below_v1_is_not_found(double):
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"http://{double.rest}/")

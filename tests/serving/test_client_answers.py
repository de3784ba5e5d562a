"""The client and whatever a server, or something else at its port, may answer: one line that says so."""

import contextlib
import json
import socket
import threading

import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from command_line import run
from serving import client as command
from serving import load_test
from serving.client import Client, Tls
from serving.client_errors import ServingError
from serving.local_servable import StatusError

from .played_server import Played, served

BOTH = pytest.mark.parametrize("rest", [False, True], ids=["grpc", "rest"])


def failing(code):
    def answer(texts):
        raise StatusError(code, "not so")

    return answer


def line_of(*arguments):
    """The one line that the command ends with."""
    with pytest.raises(SystemExit) as error:
        run(lambda: command.main([*map(str, arguments)]))
    assert isinstance(error.value.code, str) and len(error.value.code.splitlines()) == 1
    return error.value.code


@BOTH
@pytest.mark.parametrize("code", ["INVALID_ARGUMENT", "NOT_FOUND", "UNAVAILABLE"])
def test_what_the_server_said_is_told_as_the_servers(rest, code):
    with served(Played(failing(code))) as server:
        target = server.rest if rest else server.grpc
        options = ["--target", target, "--model", "m", "--retries", 0, *(["--rest"] if rest else [])]
        said = "answered" if code in ("INVALID_ARGUMENT", "NOT_FOUND") else "did not answer:"
        assert line_of(*options, "a") == f"error: {target} {said} {code}: not so"
        load = ["--target", target, "--model", "m", "--seconds", 0.1, *(["--rest"] if rest else [])]
        with pytest.raises(
            OSError, match=f"^No request to {target} was answered with a result: {code}: not so$"
        ):
            load_test.main([*map(str, load), "--input", __file__, "--retries", "0"])


@contextlib.contextmanager
def answering(*answers):
    """A server that sends these bytes, one to each connection, and closes it; yields HOST:PORT."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def work():
            for answer in answers:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(2**16)
                    connection.sendall(answer)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        thread.join(10)


def http(body, status=200, length=None):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (
        status,
        len(data) if length is None else length,
        data,
    )


SIGNATURE = {"inputs": {"text": {"dtype": "DT_STRING", "tensor_shape": {}}}, "outputs": {"a": {}}}
METADATA = http({"metadata": {"signature_def": {"signature_def": {"serving_default": SIGNATURE}}}})


@pytest.mark.parametrize(
    "body",
    [
        [],
        5,
        None,
        {},
        {"outputs": {"a": [{"x": 1}]}},
        {"outputs": {"a": [{"b64": "a"}]}},
        {"outputs": {"a": {}}},
    ],
    ids=json.dumps,
)
def test_an_answer_of_another_form_is_an_error_of_the_server(body):
    with answering(http(body)) as target, Client(target, "m", rest=True, retries=0) as client:
        with pytest.raises(ServingError, match="^INTERNAL: ") as error:
            client.predict({"text": ["a"]})
        assert error.value.answered


@pytest.mark.parametrize("body", [b"\xff\xfe", b"[" * 100_000, b"", b"<html>", b"9" * 5000])
def test_an_answer_that_is_no_json_is_an_error_of_the_server(body):
    with answering(http(body)) as target:
        line = line_of("--target", target, "--model", "m", "--rest", "--retries", 0, "--status")
        said = "HTTP 200, and no object in JSON: is this a server of models?"
        assert line == f"error: {target} answered INTERNAL: {said}"


@pytest.mark.parametrize("option", ["--status", "--metadata"])
@pytest.mark.parametrize(
    "body",
    [
        {"model_version_status": [{}], "metadata": {"signature_def": {"signature_def": {"a": {}}}}},
        {"model_version_status": 5, "metadata": {"signature_def": []}},
        {"model_version_status": [[]], "metadata": {"signature_def": {"signature_def": {"a": []}}}},
    ],
)
def test_a_status_and_metadata_of_another_form_are_one_line(option, body):
    with answering(http(body)) as target:
        line = line_of("--target", target, "--model", "m", "--rest", "--retries", 0, option)
        assert " answered INTERNAL: the answer has not the form of TF Serving's (" in line


@pytest.mark.parametrize("rest", [False, True], ids=["grpc", "rest"])
@pytest.mark.parametrize("data", [b"", http({"outputs": ["a"]}, length=500), b"HTTP/1.1 2", b"\0" * 50])
def test_a_server_that_closes_within_its_answer_is_one_line(rest, data):
    more = ["--rest"] if rest else []
    with answering(data) as target:
        line = line_of("--target", target, "--model", "m", "--retries", 0, "--timeout", 20, *more, "--status")
        assert line.startswith(f"error: {target} did not answer: UNAVAILABLE: ")


@pytest.mark.parametrize(
    "outputs", [{"a": ["x"]}, {"a": ["x", "y", "z"]}, {"a": "x"}, {"a": ["x", "y"], "b": []}, {}]
)
def test_answers_that_are_not_a_row_for_each_text_are_refused(outputs):
    with answering(METADATA, http({"outputs": outputs or {}})) as target:
        with Client(target, "m", rest=True, retries=0) as client:
            with pytest.raises(
                ValueError, match="must answer each text with a row. Received: another number"
            ):
                client.rows(["a", "b"])


def test_a_tensor_whose_values_are_not_its_shape_is_an_error_of_the_server():
    class Odd(Played):
        def predict(self, request):
            response = predict_pb2.PredictResponse()
            response.outputs["translation"].dtype = tf.float32.as_datatype_enum
            response.outputs["translation"].tensor_content = b"\0" * 7
            return response

    with served(Odd(None)) as server, Client(server.grpc, "m", retries=0) as client:
        with pytest.raises(ServingError, match="^INTERNAL: the answer has not the form"):
            client.predict({"text": ["a"]})


@pytest.mark.parametrize(
    "target",
    [
        "localhost:99999",
        "localhost:0",
        "localhost:-1",
        "localhost:",
        "localhost: 8500",
        " localhost:8500",
        "localhost:8500 ",
        "localhost:85OO",
        "localhost:\u0668\u0665",
        "localhost",
        ":8500",
        "",
        ":",
        "http://localhost:8501",
        "localhost:8501/v1",
        "user@localhost:8501",
        "a..b:8500",
        f"{'a' * 64}:8500",
        "::1:8500",
        "[::1]",
        "[::g]:8500",
        "[localhost]:8500",
    ],
)
def test_a_target_that_is_none_is_refused(target):
    with pytest.raises(ValueError, match="`target` must be HOST:PORT"):
        Client(target, "m")


@BOTH
def test_an_ipv6_address_in_brackets_is_asked(rest):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    with served(Played(lambda texts: texts), host="::1") as server:
        port = (server.rest if rest else server.grpc).rpartition(":")[2]
        with Client(f"[::1]:{port}", "m", rest, retries=0) as client:
            assert client.predict({"text": ["a"]}) == {"translation": ["a"]}


@pytest.mark.parametrize("timeout", [float("nan"), float("inf"), 1e300, -1, 0])
@BOTH
def test_a_time_that_the_libraries_cannot_count_is_refused(timeout, rest):
    with pytest.raises(ValueError, match="`timeout` must be positive, at most 1000000 seconds"):
        Client("localhost:1", "m", rest, timeout=timeout)


@pytest.mark.parametrize("version", ["9223372036854775808", "-1", "1 ", "007", "\u0661", "x"])
def test_a_version_that_no_server_has_is_refused(version):
    with pytest.raises(ValueError, match="A version is a number from 0 to 9223372036854775807"):
        command.main(["--target", "localhost:1", "--model", "m", f"--version={version}", "a"])


@BOTH
@pytest.mark.parametrize("data", [b"", b"no certificate", b"\xff\0"])
def test_a_certificate_that_is_no_pem_is_refused(tmp_path, rest, data):
    (tmp_path / "file").write_bytes(data)
    path = str(tmp_path / "file")
    for tls in (Tls(ca=path), Tls(certificate=path, key=path)):
        with pytest.raises(ValueError, match=f"must be a PEM file. Received: {path}, which is none."):
            Client("localhost:1", "m", rest, tls=tls)


@BOTH
@pytest.mark.parametrize("name", ["model", "signature", "label"])
def test_a_name_that_is_no_utf8_is_refused_by_its_argument(rest, name):
    with pytest.raises(ValueError, match=f"`{name}` must be a text .* Received: .*udcff"):
        Client(**{"target": "localhost:1", "model": "m", "rest": rest, name: "a\udcff"})

"""The client: what it prints, what it retries, and each error in one line."""

import http.client
import io
import json
import shutil
import subprocess
import types

import numpy as np
import pytest

from command_line import run
from serving import client as command
from serving import stubs
from serving.client import Client, Tls
from serving.client_errors import ServingError
from serving.client_grpc import from_tensor, to_tensor
from serving.local_servable import StatusError

from .conftest import ask, python
from .played_server import Gate, Played, served

BOTH = pytest.mark.parametrize("rest", [False, True], ids=["grpc", "rest"])


def arguments(double, rest, *more, model="dates"):
    target = double.rest if rest else double.grpc
    return ["--target", target, "--model", model, *(["--rest"] if rest else []), *map(str, more)]


@pytest.fixture
def error_line(monkeypatch, capsys):
    """Runs the command, which must fail with one line, and returns that."""

    def line(*options):
        monkeypatch.setattr("sys.argv", ["client", *map(str, options)])
        with pytest.raises(SystemExit) as error:
            run(command.main)
        text = error.value.code if isinstance(error.value.code, str) else capsys.readouterr().err
        assert len(text.strip().splitlines()) == 1
        return text

    return line


@BOTH
def test_a_text_a_file_and_standard_input_are_translated_in_order(
    double, functions, rest, tmp_path, capsys, monkeypatch
):
    texts = [f"{number} март" for number in range(7)] + ["", "5\0", "ａ"]
    expected = ask(functions["translate"], {"text": texts})["translation"]
    path, output = tmp_path / "texts", tmp_path / "translations"
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    command.main(arguments(double, rest, "--batch_size", 3, "--input", path, "--output", output))
    assert output.read_text(encoding="utf-8").splitlines() == expected
    command.main(arguments(double, rest, texts[1], "", texts[3]))
    assert capsys.readouterr() == (f"{expected[1]}\n\n{expected[3]}\n", "")
    monkeypatch.setattr("sys.stdin", types.SimpleNamespace(buffer=io.BytesIO(path.read_bytes()), isatty=bool))
    command.main(arguments(double, rest, "--batch_size", 4))
    assert capsys.readouterr().out.splitlines() == expected


@BOTH
def test_other_signatures_answer_in_json(double, rest, capsys):
    command.main(arguments(double, rest, "--signature", "translate_nbest", "5"))
    row = json.loads(capsys.readouterr().out)
    assert row.keys() == {"translations", "scores"} and len(row["scores"]) == 3
    command.main(arguments(double, rest, "--signature", "binary", "5", model="odd"))
    assert json.loads(capsys.readouterr().out) == {"text_bytes": {"b64": "NQ=="}}


@BOTH
def test_version_and_label_are_chosen(double, rest, capsys):
    for choice in (("--version", 1), ("--label", "stable")):
        command.main(arguments(double, rest, *choice, "x", model="both"))
        assert capsys.readouterr().out == "x 1\n"


@BOTH
def test_status_and_metadata_are_told(double, rest, capsys):
    command.main(arguments(double, rest, "--status", "--metadata"))
    version, *signatures = capsys.readouterr().out.splitlines()
    assert version == "1 AVAILABLE"
    assert "translate: text string (-1) -> translation string (-1)" in signatures
    assert len(signatures) == 6


@BOTH
def test_every_kind_of_value_goes_in_and_comes_out(double, rest):
    with double.client("dates", rest, signature="tokens") as client:
        answer = client.predict({"source_ids": [[7, 11, 3], [13, 3, 0]]})
        assert np.shape(answer["target_ids"]) == (2, 3, 13) and np.shape(answer["scores"]) == (2, 3)
    with double.client("odd", rest, signature="binary") as client:
        assert client.predict({"text": [b"\0\xff", "ü\0"]}) == {"text_bytes": [b"\0\xff", "ü\0".encode()]}
        assert client.rows([]) == []
        # One text is one text.
        assert client.rows("üa") == client.rows(["üa"])[0] == {"text_bytes": "üa".encode()}


def test_tensors_go_there_and_back():
    for value in (["a", "b\0"], [[1, 2], [3, 4]], [0.5], [True, False], [], 5):
        tensor = to_tensor(value)
        assert from_tensor("x", tensor) == value
        again = stubs.tensor_pb2.TensorProto.FromString(tensor.SerializeToString())
        assert from_tensor("x", again) == value
    import tensorflow as tf

    for value in (np.ones((2, 3), "int64"), np.arange(4, dtype="float32"), np.zeros((0, 2), "int32")):
        assert from_tensor("x", tf.make_tensor_proto(value)) == value.tolist()


def test_the_last_value_of_a_tensor_stands_for_those_that_are_left_out():
    tensor = stubs.tensor_pb2.TensorProto(dtype=stubs.types_pb2.DT_INT32, int_val=[5, 7])
    for size in (2, 3):
        tensor.tensor_shape.dim.add(size=size)
    assert from_tensor("x", tensor) == [[5, 7, 7], [7, 7, 7]]


@pytest.mark.parametrize("value", [[["a"], ["b", "c"]], [1, "a"], [None]])
def test_what_is_no_tensor_is_refused(value):
    with pytest.raises(ValueError, match="must be nested lists, of equal lengths, of one type"):
        to_tensor(value)


@BOTH
def test_unavailable_is_retried_and_nothing_else(rest):
    failures = []

    def answer(texts):
        if failures:
            raise StatusError(failures.pop(), "not now")
        return texts

    played = Played(answer)
    with served(played) as server, Client(server.rest if rest else server.grpc, "m", rest) as client:
        client.metadata()
        failures[:] = ["UNAVAILABLE"] * 2
        assert client.predict({"text": ["a"]}) == {"translation": ["a"]}
        assert played.calls == 3
        for code in ("INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "NOT_FOUND"):
            failures[:] = [code]
            with pytest.raises(ServingError, match=f"{code}: not now") as error:
                client.predict({"text": ["a"]})
            assert error.value.code == code
        assert played.calls == 6


@BOTH
def test_what_stays_unavailable_is_told_after_as_many_retries_as_were_allowed(rest):
    def answer(texts):
        raise StatusError("UNAVAILABLE", "not now")

    played = Played(answer)
    with served(played) as server:
        with Client(server.rest if rest else server.grpc, "m", rest, retries=2) as client:
            with pytest.raises(ServingError, match="UNAVAILABLE: not now"):
                client.predict({"text": ["a"]})
    assert played.calls == 3


@BOTH
def test_a_server_that_does_not_answer_in_time_is_told_in_one_line(rest, error_line):
    gate = Gate()
    with served(Played(gate)) as server:
        line = error_line(*arguments(server, rest, "--timeout", 0.4, "--retries", 0, "a", model="m"))
        gate.opened.set()
    assert " did not answer: DEADLINE_EXCEEDED: " in line


@BOTH
def test_nobody_there_is_told_in_one_line(rest, error_line):
    nobody = types.SimpleNamespace(grpc="127.0.0.1:1", rest="127.0.0.1:1")
    line = error_line(*arguments(nobody, rest, "--retries", 0, "a"))
    assert line.startswith("error: 127.0.0.1:1 did not answer: UNAVAILABLE: ")
    assert "refused" in line.lower()


@BOTH
def test_a_wrong_model_signature_or_version_is_told_in_one_line(double, rest, error_line):
    line = error_line(*arguments(double, rest, "a", model="foo"))
    target = double.rest if rest else double.grpc
    assert line == f"error: {target} answered NOT_FOUND: Servable not found for request: Latest(foo)"
    assert "The model's signatures are align, " in error_line(
        *arguments(double, rest, "--signature", "x", "a")
    )
    assert "with ['source', 'target']" in error_line(*arguments(double, rest, "--signature", "score", "a"))
    assert "Specific(dates, 9)" in error_line(*arguments(double, rest, "--version", 9, "a"))


@BOTH
@pytest.mark.parametrize("name", ["..", ".", "../dates", "dates/versions/1", "%2e%2e", "?"])
def test_a_name_that_is_no_part_of_a_path_is_told_in_one_line(double, rest, error_line, name):
    for asked in ("a", "--status", "--metadata"):
        line = error_line(*arguments(double, rest, asked, model=name))
        if rest and name in ("..", "."):
            assert line.startswith("error: `model` must be no dots alone over REST, ")
            assert line.endswith(f"Received: model={name!r}.")
        else:
            assert " answered NOT_FOUND: " in line and name in line


def test_dots_in_a_raw_path_are_a_name(double):
    host, _, port = double.rest.partition(":")
    for path, status in (("/v1/models/..", 404), ("/v1/models/../metadata", 404), ("/v1/models/%2e%2e", 404)):
        connection = http.client.HTTPConnection(host, int(port), timeout=10)
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.status == status and ".." in json.loads(answer.read())["error"]
        connection.close()


def test_another_program_at_the_port_is_told_in_one_line(double, error_line):
    line = error_line("--target", double.grpc, "--rest", "--model", "dates", "--retries", 0, "a")
    assert " did not answer: " in line
    line = error_line("--target", double.rest, "--model", "dates", "--retries", 0, "--timeout", 5, "a")
    assert " did not answer: " in line


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": "localhost"}, "`target` must be HOST:PORT, .* Received: target='localhost'."),
        ({"version": 1, "label": "a"}, "Give a version or a label."),
        ({"timeout": 0}, "`timeout` must be positive, .* Received: timeout=0."),
        ({"retries": 5}, "`retries` must be from 0 to 4. Received: retries=5."),
        ({"tls": Tls(key="k")}, "belong together. Received: certificate=None, key=k."),
    ],
)
def test_arguments_out_of_range_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        Client(**{"target": "localhost:1", "model": "m", **changes})


def test_options_that_do_not_fit_are_told_in_one_line(error_line, tmp_path, monkeypatch):
    there = ["--target", "localhost:1", "--model", "m"]
    assert "Give texts or --input" in error_line(*there, "a", "--input", tmp_path / "b")
    assert "`batch_size` must be positive" in error_line(*there, "a", "--batch_size", 0)
    assert "No such file" in error_line(*there, "--input", tmp_path / "b")
    assert "No such file" in error_line(*there, "--ca", tmp_path / "b", "a")
    monkeypatch.setattr("sys.stdin", None)
    assert "Give a text, or lines on standard input. Received: none" in error_line(*there)
    assert " did not answer: UNAVAILABLE: " in error_line(*there, "--retries", 0, "a")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """Files of an authority, a server "localhost" and a client, made by openssl."""
    if not shutil.which("openssl"):
        pytest.skip("no openssl here")
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*options):
        subprocess.run(["openssl", *options], cwd=folder, check=True, capture_output=True)

    new = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj"]
    for name in ("ca", "stranger"):
        openssl(*new, f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem")
    for name in ("server", "client"):
        alternative = ["-addext", "subjectAltName=DNS:localhost", "-CA", "ca.pem", "-CAkey", "ca.key"]
        openssl(*new, f"/CN={name}", *alternative, "-keyout", f"{name}.key", "-out", f"{name}.pem")
    return folder


def test_tls_with_a_certificate_of_the_client_too(certificates, error_line):
    files = {"--ca": "ca.pem", "--certificate": "client.pem", "--key": "client.key"}
    given = {option: certificates / name for option, name in files.items()}
    names = {"ssl_key": "server.key", "ssl_certificate": "server.pem", "ssl_ca": "ca.pem"}
    own = {option: certificates / name for option, name in names.items()}
    with served(Played(lambda texts: texts), **own) as server:
        with Client(server.grpc, "m", tls=Tls(*map(str, given.values())), retries=0) as client:
            assert client.predict({"text": ["a"]}) == {"translation": ["a"]}
        there = arguments(server, False, "--retries", 0, "--timeout", 20, "a", model="m")
        # An authority that did not sign the server; no certificate of our own; no TLS at all.
        stranger = [*there, *sum(({**given, "--ca": certificates / "stranger.pem"}).items(), ())]
        assert "certificate" in error_line(*stranger).lower()
        assert "UNAVAILABLE: " in error_line(*there, "--ca", given["--ca"])
        assert "UNAVAILABLE: " in error_line(*there)


def test_rest_through_tls(certificates):
    """TF Serving's REST has no TLS: a proxy stands before it. Here one that knows one answer."""
    import http.server
    import ssl
    import threading

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = b'{"model_version_status": []}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    target = f"localhost:{server.server_port}"
    with Client(target, "m", rest=True, retries=0, tls=Tls(str(certificates / "ca.pem"))) as client:
        assert client.status() == []
    with Client(target, "m", rest=True, retries=0, tls=Tls(str(certificates / "stranger.pem"))) as client:
        with pytest.raises(ServingError, match="CERTIFICATE_VERIFY_FAILED"):
            client.status()
    server.shutdown()
    server.server_close()


WITHOUT_TENSORFLOW = """
import sys
from serving import client_grpc, client_rest, stubs
print(any(name.partition(".")[0] == "tensorflow" for name in sys.modules))
import tensorflow as tf
request = stubs.predict_pb2.PredictRequest()
request.inputs["text"].CopyFrom(tf.make_tensor_proto(["a"]))
print(client_grpc.from_tensor("text", request.inputs["text"]), tf.constant(5).numpy())
from tensorflow.core.framework import tensor_pb2
print(tensor_pb2.TensorProto is stubs.tensor_pb2.TensorProto)
"""


def test_the_client_starts_without_tensorflow_and_leaves_it_whole():
    process = python("-c", WITHOUT_TENSORFLOW, text=True)
    assert process.stdout.splitlines() == ["False", "['a'] 5", "True"], process.stderr


def test_the_command_prints_the_answer_and_nothing_else(double):
    process = python("-m", "serving.client", *arguments(double, False, "x", model="both"), text=True)
    assert (process.stdout, process.stderr, process.returncode) == ("x 2\n", "", 0)

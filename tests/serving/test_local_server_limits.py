"""What the test double refuses, and that it goes on afterwards: overload, time, size, depth, slow clients."""

import concurrent.futures
import gzip
import json
import socket
import types
import zlib

import pytest
import urllib3

from benchmarks import serving_load
from benchmarks.serving_double import wait_for
from serving import local_server
from serving.client import Client
from serving.client_errors import ServingError

from .played_server import Gate, Played, served


def echo(texts):
    return texts


def post(server, body, path="/v1/models/m:predict", **headers):
    """Status and body of an answer by REST."""
    url = f"http://{server.rest}{path}"
    answer = urllib3.request("POST", url, body=body, headers=headers, retries=False, timeout=60)
    return answer.status, json.loads(answer.data)


@pytest.fixture(scope="module")
def echoing():
    """A server whose model says what it was told."""
    with served(Played(echo), client_seconds=0.5) as server:
        yield server


@pytest.mark.parametrize("rest", [False, True])
def test_what_finds_the_queue_full_is_refused_and_what_was_queued_is_answered(rest):
    gate = Gate()
    with served(Played(gate), threads=1, queue=1) as server, concurrent.futures.ThreadPoolExecutor(2) as pool:
        client = Client(server.rest if rest else server.grpc, "m", rest, retries=0)
        asked = [pool.submit(client.predict, {"text": ["a"]}) for _ in range(2)]
        assert gate.waiting.acquire(timeout=60)
        wait_for(lambda: server.models.in_flight == 2)
        with pytest.raises(ServingError, match="UNAVAILABLE: The batch scheduling queue .* is full"):
            client.predict({"text": ["b"]})
        gate.opened.set()
        assert [future.result() for future in asked] == [{"translation": ["a"]}] * 2
        assert client.predict({"text": ["b"]}) == {"translation": ["b"]}
        assert server.models.in_flight == 0
        client.close()


@pytest.mark.slow
def test_of_thousands_at_once_each_is_answered_or_refused():
    with served(Played(echo), threads=1, queue=3) as server:
        double = types.SimpleNamespace(client=lambda *names: Client(server.grpc, *names, retries=0))
        figures = serving_load.in_flight(double, "m", ["a"], 4000)
    assert figures["answered"] + figures.get("UNAVAILABLE", 0) == 4000, figures


@pytest.mark.parametrize("rest", [False, True])
def test_a_request_whose_deadline_passes_in_the_queue_is_never_run(rest):
    gate = Gate()
    played = Played(gate)
    with (
        served(played, threads=1, rest_api_timeout_in_ms=300) as server,
        concurrent.futures.ThreadPoolExecutor(1) as pool,
        Client(server.grpc, "m", retries=0) as patient,
    ):
        first = pool.submit(patient.predict, {"text": ["a"]})
        assert gate.waiting.acquire(timeout=60)
        if rest:
            assert post(server, '{"instances": ["b"]}') == (504, {"error": "Deadline exceeded"})
        else:
            with Client(server.grpc, "m", timeout=0.3, retries=0) as hasty:
                with pytest.raises(ServingError, match="DEADLINE_EXCEEDED"):
                    hasty.predict({"text": ["b"]})
            wait_for(lambda: server.models.in_flight == 1)
        gate.opened.set()
        assert first.result() == {"translation": ["a"]}
        assert patient.predict({"text": ["c"]}) == {"translation": ["c"]}
        assert played.calls == 2


def test_a_request_in_flight_is_answered_before_the_server_stops():
    gate = Gate()
    with served(Played(gate)) as server, concurrent.futures.ThreadPoolExecutor(2) as pool:
        client = Client(server.grpc, "m", retries=0)
        asked = pool.submit(client.predict, {"text": ["a"]}), pool.submit(post, server, '{"inputs": ["a"]}')
        for _ in asked:
            assert gate.waiting.acquire(timeout=60)
        stopped = server.stop()
        with pytest.raises(concurrent.futures.TimeoutError):
            stopped.result(0.2)
        gate.opened.set()
        assert [future.result() for future in asked] == [{"translation": ["a"]}, (200, {"outputs": ["a"]})]
        stopped.result(60)
        with pytest.raises(ServingError, match="UNAVAILABLE"):
            client.predict({"text": ["a"]})
        client.close()


def test_json_deeper_than_the_limit_is_refused(echoing):
    for depth in (32, 1000, 50_000):
        body = '{"instances": ' + "[" * depth + "]" * depth + "}"
        status, answer = post(echoing, body)
        assert (status, "nested deeper than 32" in answer["error"]) == (400, True)
    assert post(echoing, '{"instances": ' + "[" * 31 + "]" * 31 + "}")[0] == 200
    assert post(echoing, '{"instances": ["a"]}')[0] == 200


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_a_body_may_have_as_many_bytes_as_the_limit_says_also_when_inflated(echoing, extra):
    body = b'{"instances": ["%s"]}'
    body %= b"a" * (2**20 + extra - len(body) + 2)
    assert len(body) == 2**20 + extra
    status = 200 if extra <= 0 else 413
    assert post(echoing, body)[0] == status
    assert post(echoing, gzip.compress(body), **{"Content-Encoding": "gzip"})[0] == status


def test_a_gzip_bomb_is_refused(echoing):
    maker = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(maker.compress(bytes(2**20)) for _ in range(200)) + maker.flush()
    assert len(bomb) < 2**20
    status, answer = post(echoing, bomb, **{"Content-Encoding": "gzip"})
    assert (status, answer) == (413, {"error": "A body holds at most 1048576 bytes."})


def test_a_body_that_is_no_gzip_is_refused(echoing):
    assert post(echoing, b'{"instances": ["a"]}', **{"Content-Encoding": "gzip"})[0] == 400


@pytest.mark.parametrize(
    "sent", [b"", b"POST /v1/models/m:pre", b"POST /v1/models/m:predict HTTP/1.1\r\nHost: a\r\n"]
)
def test_a_client_that_does_not_finish_the_head_is_disconnected(echoing, sent):
    host, port = echoing.rest.split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(sent)
        assert connection.recv(1) == b""


def test_a_client_that_does_not_finish_the_body_is_told_so(echoing):
    host, port = echoing.rest.split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(b"POST /v1/models/m:predict HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n{")
        answer = b""
        while part := connection.recv(2**16):
            answer += part
    assert answer.startswith(b"HTTP/1.1 408 ") and b"did not come within 0.5 seconds" in answer


def test_an_answer_may_be_larger_than_grpcs_usual_4_mib():
    text = "a" * 5 * 2**20
    with served(Played(lambda texts: [text])) as server:
        for rest in (False, True):
            with Client(server.rest if rest else server.grpc, "m", rest) as client:
                assert client.predict({"text": ["b"]}) == {"translation": [text]}


def test_an_error_that_nobody_foresaw_is_told_and_the_server_goes_on():
    def answer(texts):
        if texts == ["break"]:
            raise RuntimeError("out of order")
        return texts

    with served(Played(answer)) as server:
        for rest in (False, True):
            with Client(server.rest if rest else server.grpc, "m", rest, retries=0) as client:
                with pytest.raises(ServingError, match="out of order"):
                    client.predict({"text": ["break"]})
                assert client.predict({"text": ["a"]}) == {"translation": ["a"]}


ONE = ["--model_name", "m", "--model_base_path", "d"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "Give --model_name and --model_base_path, or --model_config_file. Received: model_name=None"),
        (ONE[:2], "Received: model_name=m, model_base_path=None, model_config_file=None."),
        (
            [*ONE, "--model_config_file", "c"],
            "Received: model_name=m, model_base_path=d, model_config_file=c.",
        ),
        ([*ONE, "--threads", "0"], "`threads` must be from 1 to 4096. Received: threads=0."),
        ([*ONE, "--queue", "-1"], "`queue` must be from 0 to .* Received: queue=-1."),
        ([*ONE, "--port", "99999"], "`port` must be from 0 to 65535. Received: port=99999."),
        ([*ONE, "--rest_api_port", "-1"], "`rest_api_port` must be from 0 to 65535. Received: .*=-1."),
        ([*ONE, "--rest_api_timeout_in_ms", "0"], "`rest_api_timeout_in_ms` must be from 1 to "),
        (
            [*ONE, "--file_system_poll_wait_seconds", ".nan"],
            "`file_system_poll_wait_seconds` must be from 0 ",
        ),
        ([*ONE, "--client_seconds", ".inf"], "`client_seconds` must be from 0.001 to "),
        ([*ONE, "--max_body_bytes", "9999999999"], "`max_body_bytes` must be from 1 to 2147483647"),
        ([*ONE, "--ssl_ca", "c"], "TLS needs --ssl_key and --ssl_certificate. Received: ssl_ca."),
        (["--model_config_file", "absent"], "No such file"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises((ValueError, OSError), match=message):
        local_server.main(options)


def test_a_configuration_that_is_none_is_refused(tmp_path):
    path = tmp_path / "models.config"
    path.write_text("model_config_list { what }")
    with pytest.raises(ValueError, match="must be a ModelServerConfig in text form: 'model_config_list"):
        local_server.main(["--model_config_file", str(path)])
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="must be UTF-8. Received: .*models.config: "):
        local_server.main(["--model_config_file", str(path)])


def test_a_request_that_is_no_http_is_answered_and_leaves_no_traceback(echoing, caplog):
    host, port = echoing.rest.split(":")
    for sent in (b"GET /v1/models/" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n", b"\0\xff no HTTP\r\n\r\n"):
        with socket.create_connection((host, int(port)), timeout=60) as connection:
            connection.sendall(sent)
            assert connection.recv(100).startswith(b"HTTP/1.") and not caplog.records


def test_a_model_without_a_version_to_serve_ends_the_start(tmp_path):
    options = ["--model_name", "m", "--model_base_path", str(tmp_path)]
    with pytest.raises(ValueError, match="must have a version that loads. Received: m, without numbered fol"):
        local_server.main(options)
    (tmp_path / "1").mkdir()
    with pytest.raises(ValueError, match="must have a version that loads. Received: m, {1: .*saved_model.pb"):
        local_server.main(options)


def test_a_port_that_is_taken_is_told():
    with served(Played(echo)) as server:
        for name in ("grpc", "rest"):
            port = int(getattr(server, name).split(":")[1])
            option = {"grpc": "port", "rest": "rest_api_port"}[name]
            with pytest.raises(OSError, match=str(port)):
                with served(Played(echo), **{option: port}):
                    pass

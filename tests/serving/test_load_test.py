"""The load test: how it counts and what it reports."""

import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from serving import load_test
from serving.client_errors import ServingError

from .played_server import Played, served


def test_a_closed_loop_has_as_many_requests_in_flight_as_it_was_told():
    together = threading.Barrier(3)
    stopped = threading.Event()

    def ask(number):
        if number < 21:
            together.wait(60)
        elif number == 30:
            stopped.set()

    result = load_test.closed_loop(ask, 60, 3, stopped)
    assert 31 <= len(result.latencies) <= 33 and not result.errors


def test_an_open_loop_sends_every_request_and_counts_the_wait_from_when_it_was_due():
    numbers = []
    slow = threading.Event()

    def ask(number):
        if number == 0:
            slow.wait(0.2)
        numbers.append(number)

    result = load_test.open_loop(ask, seconds=0.5, rate=100, concurrency=1)
    assert numbers == list(range(50)) and len(result.latencies) == 50
    # The second was due 0.01 s after the first and waited for it.
    assert result.latencies[1] > 0.1


def test_refusals_are_counted_by_code_and_not_among_the_latencies():
    def ask(number):
        if number % 2:
            raise ServingError(["NOT_FOUND", "UNAVAILABLE"][number % 4 == 1], "no")

    result = load_test.open_loop(ask, seconds=1, rate=40, concurrency=4)
    assert result.errors == {"UNAVAILABLE": 10, "NOT_FOUND": 10}
    assert (len(result.latencies), len(result.refusals)) == (20, 20)
    assert "errors: NOT_FOUND 10, UNAVAILABLE 10" in str(result)


def test_an_error_that_is_not_the_servers_ends_the_load():
    def ask(number):
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        load_test.open_loop(ask, seconds=0.1, rate=20, concurrency=2)
    with pytest.raises(KeyError):
        load_test.closed_loop(ask, seconds=60, concurrency=2)


def interrupt(*_):
    raise KeyboardInterrupt


def test_control_c_waits_for_no_answer(monkeypatch):
    answered, start = threading.Event(), time.perf_counter()
    pauses = iter([time.sleep, time.sleep, interrupt])
    clock = SimpleNamespace(perf_counter=time.perf_counter, sleep=lambda seconds: next(pauses)(seconds))
    monkeypatch.setattr(load_test, "time", clock)
    with pytest.raises(KeyboardInterrupt):
        load_test.open_loop(lambda number: answered.wait(9), seconds=1, rate=50, concurrency=2)
    answered.set()
    assert time.perf_counter() < start + 5


@pytest.mark.parametrize(("name", "options"), [("open_loop", ["--rate", "50"]), ("closed_loop", [])])
def test_control_c_ends_in_one_line(tmp_path, monkeypatch, capsys, name, options):
    (tmp_path / "texts").write_text("a\n")
    monkeypatch.setattr(load_test, name, interrupt)
    with served(Played(list)) as server, pytest.raises(KeyboardInterrupt):
        load_test.main(
            ["--target", server.grpc, "--model", "m", "--input", str(tmp_path / "texts"), *options]
        )
    assert capsys.readouterr().err == "interrupted: a load that did not end has no figures\n"


def test_percentiles_are_in_milliseconds():
    result = load_test.Result(seconds=2, latencies=[0.001 * n for n in range(1, 102)])
    assert np.allclose([result.percentile(p) for p in (50, 90, 99)], [51, 91, 100])
    assert str(result).splitlines()[:2] == [
        "answered: 101 in 2.0 s, 50.5 per second",
        "milliseconds: p50 51.0, p90 91.0, p99 100.0, max 101.0",
    ]


def test_the_command_reports_and_draws(tmp_path, capsys):
    texts, picture = tmp_path / "texts", tmp_path / "latencies.png"
    texts.write_text("a\nb\nc\n")
    seen = []

    def answer(values):
        seen.append(tuple(values))
        return values

    with served(Played(answer)) as server:
        for loop in ((), ("--rate", "50")):
            load_test.main(
                ["--target", server.grpc, "--model", "m", "--input", str(texts), "--seconds", "0.4"]
                + ["--batch_size", "2", "--picture", str(picture), *loop]
            )
            report = capsys.readouterr().out.splitlines()
            assert report[0].startswith("answered: ") and report[2] == "errors: none"
    assert set(seen) == {("a", "b"), ("c", "a"), ("b", "c")}
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rate", "0"], "`rate` must be positive, at most 1000000. Received: rate=0.0."),
        (["--seconds", "-1"], "`seconds` must be positive"),
        (["--retries", "0"], "localhost:1 .* UNAVAILABLE"),
    ],
)
def test_what_cannot_be_measured_is_told(options, message, tmp_path):
    texts = tmp_path / "texts"
    texts.write_text("a\n")
    with pytest.raises((ValueError, OSError), match=message):
        load_test.main(["--target", "localhost:1", "--model", "m", "--input", str(texts), *options])


def test_a_file_without_lines_is_refused(tmp_path):
    texts = tmp_path / "texts"
    texts.write_text("")
    with pytest.raises(ValueError, match="`input` must have a line. Received: .*texts, which is empty."):
        load_test.main(["--target", "localhost:1", "--model", "m", "--input", str(texts)])

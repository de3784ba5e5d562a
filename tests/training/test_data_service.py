"""Workers of a tf.data service on this machine tokenize, and what is prepared is the same, byte for byte."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import tensorflow as tf

from tests.training.conftest import TINY
from training import data_service, prepare
from training.config import read
from training.pipeline import pairs, remote, shards

ROOT = Path(__file__).resolve().parents[2]
SUBWORDS = {"kind": "bpe", "vocabulary_size": 430}
DATES = {"name": "dates", "num_examples": 41}


class Servers:
    """A dispatcher and its workers."""

    def __init__(self, python):
        self.python = python
        self.processes = []
        self.address = self.start("dispatcher")

    def start(self, *arguments):
        process = subprocess.Popen(
            [self.python, "-m", "training.data_service", *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.processes.append(process)
        role, _, address = process.stdout.readline().strip().partition(": ")
        assert role == arguments[0]
        return address

    def add_workers(self, number):
        dispatcher = self.address.removeprefix("grpc://")
        starts = [
            threading.Thread(target=self.start, args=("worker", "--dispatcher", dispatcher))
            for _ in range(number)
        ]
        for start in starts:
            start.start()
        for start in starts:
            start.join()

    def stop(self):
        for process in self.processes:
            process.kill()
            process.wait()
            process.stdout.close()


@pytest.fixture(scope="module")
def servers(warm_python, whole_held_out_splits):
    servers = Servers(warm_python)
    try:
        servers.add_workers(2)
        yield servers
    finally:
        servers.stop()


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Shards of 4 blocks of 8 pairs, rounds of 6 blocks."""
    monkeypatch.setattr(pairs, "TOKENIZER_BATCH", 8)
    monkeypatch.setattr(shards, "BLOCKS_OF_SHARD", 4)
    monkeypatch.setattr(remote, "ROUND", 6)


def config(**data):
    tokenizers = {"source": SUBWORDS, "target": {**SUBWORDS, "lowercase": True}}
    data = {**TINY["data"], "num_examples": 170, "max_length": 24, "bucket_boundaries": [24], **data}
    return read({**TINY, "data": data, "tokenizer": tokenizers})


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("data", [{"also": [DATES]}, {"remove_duplicates": True, "also": [DATES]}])
def test_workers_prepare_what_one_process_prepares(servers, tmp_path, data):
    prepare.prepare(config(**data), tmp_path / "alone", 1000)
    prepare.prepare(config(**data), tmp_path / "served", 1000, servers.address)
    assert len(content(tmp_path / "alone")) > 30
    assert content(tmp_path / "served") == content(tmp_path / "alone")
    assert not (tmp_path / "served" / ".texts").exists()


def test_files_and_characters_go_to_the_workers_too(servers, tmp_path):
    lines = [f"{number}\u2028 der {number} Straße\tthe \r {number}" for number in range(50)]
    (tmp_path / "pairs.tsv").write_text("\n".join(lines), newline="")
    data = {"name": "parallel_text", "train": [str(tmp_path / "pairs.tsv")], "num_examples": 1}
    for name, address in (("alone", None), ("served", servers.address)):
        found = config(**data)
        found = read({**TINY, "data": vars(found.data) | {"also": []}})
        prepare.prepare(found, tmp_path / name, 1000, address)
    assert content(tmp_path / "served") == content(tmp_path / "alone")


def test_an_interrupted_preparation_goes_on_with_the_service(servers, tmp_path, monkeypatch):
    prepare.prepare(config(), tmp_path / "alone", 1000)
    write, numbers = shards.write, []

    def killed(folder, number, *arguments):
        numbers.append(number)
        if len(numbers) == 3:
            raise KeyboardInterrupt
        return write(folder, number, *arguments)

    monkeypatch.setattr(shards, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        prepare.prepare(config(), tmp_path / "served", 1000, servers.address)
    (tmp_path / "served" / ".texts").mkdir(exist_ok=True)  # as a kill leaves it
    (tmp_path / "served" / ".texts" / "9").write_text("half")
    prepare.prepare(config(), tmp_path / "served", 1000, servers.address)
    assert numbers[:5] == [0, 1, 2, 2, 3]
    assert content(tmp_path / "served") == content(tmp_path / "alone")


def mapped(servers, tmp_path, number=60, function=lambda source, target: (source, target)):
    texts = tf.data.Dataset.range(number).map(lambda n: [tf.strings.as_string(n)])
    service = remote.Service(servers.address, tmp_path / "texts")
    return service.mapped(tf.data.Dataset.zip((texts, texts)), function)


def values(results):
    return [int(source[0]) for source, _ in results]


def test_the_workers_do_the_work(servers, tmp_path):
    def places(source, target):
        return source, tf.raw_ops.Timestamp() + tf.zeros(1, tf.float64)

    before = time.time()
    assert values(mapped(servers, tmp_path, function=places)) == list(range(60))
    assert time.time() > before


def test_results_that_come_in_any_order_are_put_in_order(servers, tmp_path, monkeypatch):
    monkeypatch.setattr(remote, "MAX_WAITING", 6)
    given, held = remote._Answers.next, []

    def backwards(self):
        if not held:
            held.extend(iter(lambda: given(self), None))
            held.sort(key=lambda answer: int(answer[0]))
        return held.pop() if held else None

    monkeypatch.setattr(remote._Answers, "next", backwards)
    assert values(mapped(servers, tmp_path, 13)) == list(range(13))


def test_results_that_wait_for_one_that_stays_away_are_few(servers, tmp_path, monkeypatch):
    monkeypatch.setattr(remote, "MAX_WAITING", 3)
    monkeypatch.setattr(remote, "ROUND", 60)
    given, most = remote._Answers.next, []

    def without_the_tenth(self):
        answer = given(self)
        while answer is not None and int(answer[0]) == 10:
            answer = given(self)
        most.append(answer)
        return answer

    monkeypatch.setattr(remote._Answers, "next", without_the_tenth)
    results = mapped(servers, tmp_path)
    assert [int(next(results)[0][0]) for _ in range(11)] == list(range(11))
    assert len(most) <= 11 + 3
    assert values(results) == list(range(11, 60))


def test_the_error_of_a_worker_ends_in_one_line(servers, tmp_path):
    def broken(source, target):
        with tf.control_dependencies([tf.debugging.assert_equal(source, "1")]):
            return tf.identity(source), target

    with pytest.raises(ValueError, match="workers must be able to do the work.* Received: grpc://") as error:
        values(mapped(servers, tmp_path, function=broken))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "texts").exists()


def test_what_cannot_work_is_refused_before_anything_is_made(servers, tmp_path, fails, tiny_config):
    usual = ["--config", tiny_config, "--output", tmp_path / "prepared", "--service"]
    assert "must be grpc://HOST:PORT. Received: localhost:1." in fails(prepare.main, *usual, "localhost:1")
    assert "must listen at its address" in fails(prepare.main, *usual, "grpc://localhost:1")
    assert "must listen at its address" in fails(prepare.main, *usual, "grpc://localhost:70000")
    assert not (tmp_path / "prepared").exists()
    port = servers.address.rpartition(":")[2]
    assert f"must be a free one, 0 to 65535. Received: {port}" in fails(
        data_service.main, "dispatcher", "--port", port
    )
    assert "must be a free one" in fails(data_service.main, "dispatcher", "--port", 70000)
    assert "needs --dispatcher. Received: None" in fails(data_service.main, "worker")
    assert "must listen" in fails(data_service.main, "worker", "--dispatcher", "localhost:1")


SILENT = """
import sys
import command_line
from command_line import quiet
from training import prepare
with quiet.start_up():
    from training.pipeline import remote
remote.SILENCE = 2.0
command_line.run(lambda: prepare.main(sys.argv[1:]))
"""


def test_a_service_that_says_nothing_ends_the_command_in_one_line(tiny_config, tmp_path, warm_python):
    with socket.create_server(("localhost", 0)) as other:
        address = f"grpc://localhost:{other.getsockname()[1]}"
        done = subprocess.run(
            [warm_python, "-c", SILENT, "--config", tiny_config, "--output", tmp_path / "prepared"]
            + ["--service", address],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=300,
        )
    assert done.returncode == 1
    assert "answer within 2 s. Received: nothing from grpc" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_worker_that_dies_changes_nothing(tmp_path, monkeypatch, how):
    monkeypatch.setattr(remote, "ROUND", 400)
    monkeypatch.setattr(remote, "MAX_WAITING", 20)
    servers = Servers(sys.executable)
    try:
        servers.add_workers(2)
        results = mapped(servers, tmp_path, 400)
        found = [int(next(results)[0][0]) for _ in range(30)]
        os.kill(servers.processes[-1].pid, how)
        assert found + values(results) == list(range(400))
        if how == signal.SIGKILL:
            assert values(mapped(servers, tmp_path, 40)) == list(range(40))
        else:  # The dispatcher waits for one that is there and says nothing.
            monkeypatch.setattr(remote, "SILENCE", 3.0)
            with pytest.raises(ValueError, match="answer within 3 s"):
                values(mapped(servers, tmp_path, 40))
    finally:
        servers.stop()


@pytest.mark.slow
def test_without_workers_the_command_ends_and_sigterm_ends_the_service(warm_python, tmp_path, monkeypatch):
    monkeypatch.setattr(remote, "SILENCE", 3.0)
    servers = Servers(warm_python)
    try:
        with pytest.raises(ValueError, match="answer within 3 s"):
            values(mapped(servers, tmp_path))
        servers.add_workers(1)
        for process in reversed(servers.processes):
            process.terminate()
            assert process.wait(timeout=60) == 0
    finally:
        servers.stop()

"""Workers started one by one, as on several machines: what keeps them from training ends each in a line."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.training.conftest import TINY
from training.launch import free_ports

ROOT = Path(__file__).resolve().parents[2]
# As the command, but for how long it waits.
PROGRAM = """
import sys
import command_line
from training import rendezvous, train
rendezvous.PATIENCE = float(sys.argv.pop(1))
command_line.run(train.main)
"""
CONFIG = {
    **TINY,
    "data": {**TINY["data"], "num_examples": 200},
    "fit": {"epochs": 200, "steps_per_epoch": 1},
    "quality": {"num_pairs": 8},
}


class Workers:
    """Two workers, as far as they are started."""

    def __init__(self, folder):
        self.output = folder / "run"
        self.config = folder / "workers.yaml"
        self.config.write_text(yaml.safe_dump(CONFIG))
        self.addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
        self.processes = []

    def start(self, index, *arguments, patience=200, cluster=None):
        task = {"cluster": {"worker": self.addresses}, "task": {"type": "worker", "index": index}}
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(patience), "--config", self.config, "--output", self.output]
            + ["--data.batch_tokens", "192", *arguments],
            cwd=ROOT,
            env={**os.environ, "TF_CONFIG": cluster or json.dumps(task)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.processes.append(process)
        return process

    def line(self, process):
        """The one line that a process ends with."""
        _, printed = process.communicate(timeout=300)
        assert process.returncode == 1, printed
        (line,) = printed.splitlines()
        return line


@pytest.fixture
def workers(tmp_path):
    workers = Workers(tmp_path)
    try:
        yield workers
    finally:
        for process in workers.processes:
            process.kill()
            process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize(
    "changed", ["--fit.seed 5", "--data.batch_tokens 160", "--fit.num_devices 2", "--model.dropout 0.2"]
)
def test_workers_with_other_configurations_end_with_what_differs(workers, changed):
    name = changed.split()[0].removeprefix("--")
    lines = [workers.line(each) for each in (workers.start(1, *changed.split()), workers.start(0))]
    assert lines[0] == lines[1] and f"same configuration. Received: {name}: " in lines[0]
    assert not workers.output.exists()


@pytest.mark.slow
@pytest.mark.parametrize("index", [0, 1])
def test_a_worker_that_is_alone_ends(workers, index):
    line = workers.line(workers.start(index, patience=2))
    assert "must come within 2 s" in line and workers.addresses[1 - index] in line
    assert not workers.output.exists()


@pytest.mark.slow
@pytest.mark.parametrize("index", [0, 1])
def test_a_port_in_use_ends_its_worker_and_then_the_others(workers, index):
    with socket.create_server(("127.0.0.1", int(workers.addresses[index].rpartition(":")[2]))):
        refused, other = workers.start(index), workers.start(1 - index, patience=5)
        assert "must be a free one" in workers.line(refused)
        assert "must come within 5 s" in workers.line(other)


@pytest.mark.slow
def test_a_malformed_cluster_ends_in_one_line(workers):
    for text in ("{", '{"cluster": {"worker": [1, 2]}, "task": {"type": "worker", "index": 0}}'):
        assert "TF_CONFIG must be" in workers.line(workers.start(0, cluster=text))


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("index", [0, 1])
def test_a_worker_that_is_ended_takes_the_other_along(workers, index, how):
    both = [workers.start(0), workers.start(1)]
    while not list(workers.output.glob("checkpoints/resume/epoch-*")):
        assert all(process.poll() is None for process in both)
        time.sleep(0.1)
    both[index].send_signal(how)
    both[index].communicate(timeout=60)
    assert both[index].returncode == -how
    line = workers.line(both[1 - index])
    assert "another one has gone" in line and "last whole checkpoint" in line

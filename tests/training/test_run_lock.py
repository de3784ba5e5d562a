"""One process at a time writes into a run folder, and a killed one leaves no lock."""

import errno
import fcntl
import os
import re
import signal
import subprocess
import sys

import pytest

from training import average, prepare, run_lock, train

HOLDS = """
import sys, time
from training import run_lock

with run_lock.held(sys.argv[1]):
    print("holds", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def held(tmp_path):
    """A run folder that another process holds; the process."""
    command = [sys.executable, "-c", HOLDS, str(tmp_path / "run")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "holds\n"
    yield tmp_path / "run", process
    process.kill()
    process.wait()
    process.stdout.close()


def test_who_comes_second_is_told_who_holds_it_and_a_kill_frees_it(held, fails, tiny_config, run):
    folder, process = held
    told = rf"process {process.pid} on \S+, since 2\d\d\d-"
    message = fails(train.main, "--config", tiny_config, "--output", folder)
    assert re.search(told, message), message
    assert str(process.pid) in fails(average.main, "--run", run, "--output", folder)
    assert str(process.pid) in fails(prepare.main, "--config", tiny_config, "--output", folder)
    assert not folder.exists()
    process.send_signal(signal.SIGKILL)
    process.wait()
    with run_lock.held(folder):
        pass
    assert not list(folder.parent.iterdir())


def test_a_file_that_a_killed_process_left_is_no_lock(tmp_path):
    (tmp_path / ".run.lock").write_text("{")
    with run_lock.held(tmp_path / "run"):
        with pytest.raises(ValueError, match=f"process {os.getpid()} on"), run_lock.held(tmp_path / "run"):
            pass
        with run_lock.held(tmp_path / "other"):
            pass


def test_an_error_inside_frees_it(tmp_path):
    with pytest.raises(KeyError), run_lock.held(tmp_path / "run"):
        raise KeyError
    assert not list(tmp_path.iterdir())


def test_without_locks_in_the_file_system_a_line_says_so(tmp_path, monkeypatch, capsys):
    def refuse(*arguments):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with run_lock.held(tmp_path / "run"):
        assert "is not locked" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())

"""The process of a trial: one at a time, resumed, ended with its parent, and in one line if it fails."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from training.config import config_class
from training.sweep import process, space
from training.sweep.trial_folder import TrialFolder, spent

PROGRAM = "benchmarks.sleeping_trial"


def config(milliseconds=0, dropout=0.1):
    return space.changed(config_class("transformer")(), {"fit.seed": milliseconds, "model.dropout": dropout})


def lines(path):
    return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def folder(tmp_path):
    return TrialFolder(tmp_path / "trial_0")


def test_two_processes_never_train_in_one_folder(folder):
    threads = [
        threading.Thread(target=process.train, args=(folder, config(200), PROGRAM), daemon=True)
        for _ in range(2)
    ]
    folder.settle(config(200))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lines(folder.path / "begun.txt")) == len(lines(folder.path / "ended.txt")) == 1
    assert [record["epoch"] for record in folder.records()] == [1, 2, 3, 4]
    # What is finished is not begun again, and the first configuration stays.
    process.train(folder, config(dropout=0.3), PROGRAM)
    assert len(lines(folder.path / "begun.txt")) == 1
    assert folder.config().model.dropout == 0.1


def test_a_failure_is_told_by_the_line_of_its_error(folder):
    with pytest.raises(
        process.TrialFailed, match="^`hidden_dim` must be a multiple of num_heads. Rec.*0.3.$"
    ):
        process.train(folder, config(dropout=0.3), PROGRAM)
    assert folder.log.read_text().startswith("error: `hidden_dim`")
    with pytest.raises(process.TrialFailed, match="^ModuleNotFoundError: No module named 'training.tain'$"):
        process.train(folder, config(), "training.tain")
    assert spent(folder.path.parent)[0] > 0


TRACEBACK = 'Traceback (most recent call last):\n  File "a.py"\nKeyError: 3\n'
FULL = "ResourceExhaustedError: Graph execution error:\n  OOM when allocating\n [Op:a]\n"


@pytest.mark.parametrize(
    "status, printed, expected",
    [
        (1, "epoch 1\nerror: no  data\n", "no data"),
        (1, f"{TRACEBACK}a last word\n", "KeyError: 3"),
        (1, f"Traceback\n{FULL}", "out of memory: ResourceExhaustedError: Graph execution error:"),
        (-6, "terminate called: std::bad_alloc\n", "out of memory: terminate called: std::bad_alloc"),
        (-9, "epoch 1\n", "ended by SIGKILL, by which the system frees memory"),
        (-11, "", "ended by SIGSEGV"),
        (3, "", "exit status 3"),
        (1, "error: " + 500 * "x", 300 * "x" + "..."),
    ],
)
def test_a_reason_is_one_line(status, printed, expected):
    assert process.reason(status, printed) == expected


def test_a_trial_that_was_killed_from_outside_has_failed(folder):
    found = []

    def train():
        try:
            process.train(folder, config(60_000), PROGRAM)
        except process.TrialFailed as error:
            found.append(str(error))

    thread = threading.Thread(target=train, daemon=True)
    thread.start()
    while not lines(folder.path / "begun.txt"):
        time.sleep(0.05)
    (child,) = children(os.getpid())
    os.kill(child, signal.SIGTERM)
    thread.join()
    assert found == ["ended by SIGTERM"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_a_trial_ends_with_its_parent_and_is_resumed(folder):
    folder.settle(config(150))
    parent = (
        "from pathlib import Path\nfrom training.sweep import process\n"
        "from training.sweep.trial_folder import TrialFolder\n"
        f"folder = TrialFolder(Path({str(folder.path)!r}))\n"
        f"process.train(folder, folder.config(), {PROGRAM!r})\n"
    )
    command = subprocess.Popen([sys.executable, "-c", parent], env=process.environment())
    while not folder.records():
        assert command.poll() is None
        time.sleep(0.01)
    command.kill()
    command.wait()
    with open(folder.path / "lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # free as soon as the trial's process is gone
    assert not lines(folder.path / "ended.txt")
    before = len(folder.records())
    assert 1 <= before < 4
    process.train(folder, config(150), PROGRAM)
    assert [record["epoch"] for record in folder.records()] == [1, 2, 3, 4]
    assert len(lines(folder.path / "begun.txt")) == 2 and len(lines(folder.path / "ended.txt")) == 1


def children(parent):
    """Process ids of the children of a process."""
    import psutil

    return [
        child.pid for child in psutil.Process(parent).children() if "sweep.child" in " ".join(child.cmdline())
    ]


def test_a_loss_that_is_no_number_is_the_reason_of_a_trial():
    said = "error: The loss of a training must stay finite. Received: nan in step 2 of epoch 1."
    assert process.reason(1, f"train: 3 pairs\n{said}\n") == said.removeprefix("error: ")


@pytest.mark.parametrize(
    ("name", "read"), [("seconds", lambda f: f.seconds), ("metrics.jsonl", TrialFolder.records)]
)
def test_damaged_files_of_a_trial_are_named(folder, name, read):
    folder.run.mkdir(parents=True)
    for path in (folder.path / name, folder.run / name):
        path.write_text("{}}\n")
    with pytest.raises(ValueError, match=f"{name} must"):
        read(folder)

"""Runs a trial in a process of its own: what runs out of memory there ends nothing else."""

import os
import re
import signal
import subprocess
import time

from keras_transformer_programs import child
from training.run_config import RunConfig
from training.sweep.trial_folder import TrialFolder

# Seconds from one sign of life of a running trial to the next.
HEARTBEAT = 2.0
LONGEST_REASON = 300
OUT_OF_MEMORY = re.compile(r"ResourceExhausted|MemoryError|bad_alloc|[Oo]ut of memory|Cannot allocate")
ERROR = re.compile(r"^(error: |[\w.]*(Error|Exception|Interrupt)\b)")


class TrialFailed(Exception):
    """A training that did not end as it should; one line says why."""


def environment() -> dict:
    """That of a child: the same packages from wherever the command was started."""
    return child.environment(TF_CPP_MIN_LOG_LEVEL="3", PYTHONUNBUFFERED="1")


def train(folder: TrialFolder, config: RunConfig, program: str = "training.train") -> None:
    """Trains in the folder of a trial, or goes on where a training there was interrupted.

    Args:
        folder: the trial's.
        config: the trial's; see `TrialFolder.settle`.
        program: module whose `main` trains.

    Raises:
        TrialFailed: it did not work.
    """
    folder.settle(config)
    if folder.is_finished:
        return
    before, start = folder.seconds, time.monotonic()
    with open(folder.log, "ab") as log:
        begins_at = log.tell()
        process = subprocess.Popen(
            child.command("training.sweep.child", os.getpid(), folder.path, program),
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        while process.poll() is None:
            folder.write_seconds(before + time.monotonic() - start)
            try:
                process.wait(HEARTBEAT)
            except subprocess.TimeoutExpired:
                pass
    finally:
        process.kill()
        process.wait()
        folder.write_seconds(before + time.monotonic() - start)
    if process.returncode or not folder.is_finished:
        with open(folder.log, "rb") as log:
            log.seek(begins_at)
            printed = log.read().decode("utf-8", "replace")
        raise TrialFailed(reason(process.returncode, printed))


def reason(status: int, printed: str) -> str:
    """Why a process ended, in one line.

    Args:
        status: its exit status; -9 if signal 9 ended it.
        printed: what it printed.
    """
    lines = [" ".join(line.split()) for line in printed.splitlines() if line.strip()]
    full = [line for line in lines if OUT_OF_MEMORY.search(line)]
    errors = [line for line in lines if ERROR.match(line)]
    if full:
        found = f"out of memory: {full[-1]}"
    elif status < 0:
        found = f"ended by {signal.Signals(-status).name}"
        if -status == signal.SIGKILL:
            found += ", by which the system frees memory"
    else:
        found = (errors or lines or [f"exit status {status}"])[-1].removeprefix("error: ")
    return found if len(found) <= LONGEST_REASON else f"{found[:LONGEST_REASON]}..."

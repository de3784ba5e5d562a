"""A sweep from its beginning, or from where it was interrupted, to its results."""

import contextlib
import fcntl
import functools
import os
from pathlib import Path

from training.sweep import chief, process, results, settings
from training.sweep.tuner import SweepTuner


def run(
    sweep: settings.Sweep, folder: Path, workers: int = 1, is_chief: bool = False, program="training.train"
) -> None:
    """Searches, and leaves the results in the folder.

    Args:
        sweep: what is searched for.
        folder: to make, or of the same sweep, which then goes on.
        workers: trials at the same time on this machine.
        is_chief: whether workers come from elsewhere, to the address in the environment.
        program: module that trains; see `process.train`.

    Raises:
        ValueError: the folder holds something else or is in use, no worker is left, or all trials failed.
    """
    settings.check_same(sweep, folder)
    with _alone(folder):
        settings.enter(sweep, folder)
        tuner = SweepTuner(sweep, folder, functools.partial(process.train, program=program))
        before = len(tuner.oracle.end_order)
        if before or tuner.oracle.has_interrupted:
            print(f"going on after {before} trials", flush=True)
        try:
            if is_chief:
                address = ":".join(os.environ[f"KERASTUNER_ORACLE_{name}"] for name in ("IP", "PORT"))
                chief.Chief(tuner.oracle, address).serve(folder, {}, after=lambda _: results.write(tuner))
            elif workers > 1:
                _share(tuner, workers, program)
            else:
                tuner.after_trial = lambda: results.write(tuner)
                tuner.search()
        finally:
            results.write(tuner)
        if tuner.oracle.reason_to_stop:
            print(f"no further trial: {tuner.oracle.reason_to_stop}")
        results.finish(tuner)


def _share(tuner, count, program):
    """Workers on this machine do the trials, and this process keeps the books."""
    served = chief.Chief(tuner.oracle, "127.0.0.1:0")
    processes = chief.start_workers(tuner.folder, count, served.port, program)
    try:
        served.serve(tuner.folder, processes, after=lambda _: results.write(tuner))
        chief.end_workers(processes)
    finally:
        chief.end_workers(processes, grace=0)


@contextlib.contextmanager
def _alone(folder):
    """Keeps another command out of the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f"One sweep at a time may run in a folder. Received: {folder}, in use."
            ) from None
        yield

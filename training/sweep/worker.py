"""Runs the trials that a chief gives: python -m training.sweep.worker PARENT FOLDER PROGRAM

It ends with its parent. On another machine `training.tune` itself is the worker; see docs/tuning.md.
"""

import functools
import os
import sys
from pathlib import Path

import command_line
from command_line import quiet
from training.sweep import settings
from training.sweep.child import end_with

VARIABLES = ("KERASTUNER_TUNER_ID", "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT")


def role() -> str:
    """What keras-tuner's environment variables make of this process: alone, chief or worker.

    Raises:
        ValueError: only some of them are set, or the port is no number.
    """
    given = [name for name in VARIABLES if os.environ.get(name)]
    if not given:
        return "alone"
    if len(given) < len(VARIABLES):
        raise ValueError(f"{', '.join(VARIABLES)} must be set together. Received: only {', '.join(given)}.")
    name, _, port = (os.environ[name] for name in VARIABLES)
    if not port.isdecimal() or not 0 < int(port) < 2**16:
        raise ValueError(f"{VARIABLES[2]} must be a port, 1 to 65535. Received: {port}.")
    return "chief" if "chief" in name else "worker"  # as keras-tuner tells them apart


def work(sweep: settings.Sweep, folder: Path, program: str) -> None:
    """Runs trials until the chief has no more.

    Args:
        sweep: the chief's.
        folder: the chief's.
        program: see `process.train`.

    Raises:
        ValueError: the chief does not answer, or cannot go on.
    """
    with quiet.start_up():
        import grpc

        from training.sweep import chief, process
        from training.sweep.tuner import SweepTuner
    chief.answer_within()
    tuner = SweepTuner(sweep, folder, functools.partial(process.train, program=program))
    try:
        tuner.search()
    except grpc.RpcError as error:
        raise ValueError(
            f"A worker needs a chief. Received: {error.code().name}, {error.details()}"
        ) from error


def main() -> None:
    """Reads the sweep of the folder and works."""
    parent, folder, program = sys.argv[1:]
    end_with(int(parent))
    work(settings.read(folder), Path(folder), program)


if __name__ == "__main__":
    command_line.run(main)

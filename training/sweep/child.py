"""The process of one trial: python -m training.sweep.child PARENT FOLDER PROGRAM

It ends with its parent, and never trains where another process does.
"""

import ctypes
import fcntl
import importlib
import os
import signal
import sys

import command_line

PR_SET_PDEATHSIG = 1


def end_with(parent: int) -> None:
    """Makes the system kill this process when its parent ends, however that ends.

    Only Linux can; elsewhere a trial outlives its parent, and the next one waits for it.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it had ended before
        sys.exit(1)


def main() -> None:
    """Waits until no other process trains in the folder, and trains."""
    parent, folder, program = sys.argv[1:]
    end_with(int(parent))
    with open(os.path.join(folder, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # held until this process ends
        run = os.path.join(folder, "run")
        if not os.path.exists(os.path.join(run, "model.keras")):
            config = os.path.join(folder, "config.yaml")
            importlib.import_module(program).main(["--config", config, "--output", run])


if __name__ == "__main__":
    command_line.run(main)

"""Trains with several processes of this machine, and starts them again when one dies.

python -m training.launch --workers 2 -- --config dates --output runs/dates

What stands behind -- goes to training.train. Each worker is a process; they meet on loopback through
TF_CONFIG, as workers on several machines do (docs/scaling.md). The first one's lines are shown, and the end
of another's if it fails. A worker that is killed takes the others along: all are started again and go on
from the last whole checkpoint. An error of the configuration ends the training.
"""

import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import command_line
from keras_transformer_programs import child

POLL = 0.2  # seconds


def main(arguments=None) -> None:
    """Reads the command line, and runs the workers until the training is done."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    place = arguments.index("--") if "--" in arguments else len(arguments)
    parser = command_line.parser("training.launch", __doc__)
    parser.add_argument("--workers", type=int, default=2, help="processes that train together")
    parser.add_argument(
        "--max_restarts", type=int, default=10, help="how often all are started again after one was killed"
    )
    options = parser.parse_args(arguments[:place])
    if options.workers < 1 or options.max_restarts < 0:
        raise ValueError(
            "There must be at least one worker, and no less than 0 restarts. "
            f"Received: workers={options.workers}, max_restarts={options.max_restarts}."
        )
    launch(arguments[place + 1 :], options.workers, options.max_restarts)


def launch(arguments, num_workers: int, max_restarts: int = 10) -> None:
    """Runs `training.train` in several processes until all have ended well.

    Args:
        arguments: of `training.train`.
        num_workers: >= 1.
        max_restarts: how often all workers are started again because one was killed.

    Raises:
        ValueError: a worker ended with an error, or they were killed too often.
    """
    # A service manager stops a program by SIGTERM: end as after Ctrl-C, which ends the workers.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    for number in range(max_restarts + 1):
        with tempfile.TemporaryDirectory() as folder:
            killed = _run(arguments, num_workers, Path(folder))
        if killed is None:
            return
        if number < max_restarts:
            print(f"worker {killed} was killed: all start again, {max_restarts - number} restarts left")
    raise ValueError(
        f"Workers may be killed {max_restarts} times. Received: worker {killed} was killed again."
    )


def _run(arguments, num_workers, folder):
    """Runs the workers once; the number of one that was killed, None if all ended well."""
    addresses = [f"127.0.0.1:{port}" for port in free_ports(num_workers)]
    workers = []
    try:
        for index in range(num_workers):
            task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
            output = None if index == 0 else (folder / f"{index}").open("wb")
            workers.append(
                subprocess.Popen(
                    child.command("training.train", *arguments),
                    env=child.environment(TF_CONFIG=json.dumps(task)),
                    stdout=output,
                    stderr=output,
                )
            )
        while True:
            codes = [worker.poll() for worker in workers]
            # Who misses another ends with an error, but a little later.
            for index, code in sorted(enumerate(codes), key=lambda pair: pair[1] or 0):
                if code is not None and code < 0:
                    return index
                if code:
                    raise ValueError(_reason(folder, index))
            if not any(code is None for code in codes):
                return None
            time.sleep(POLL)
    finally:
        for worker in workers:
            worker.kill()
        for worker in workers:
            worker.wait()


def _reason(folder, index):
    if index == 0:
        return "Each worker must end well. Received: the first one did not, see above."
    lines = (folder / f"{index}").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return f"Each worker must end well. Received: worker {index}: {lines[-1] if lines else 'no message'}"


def free_ports(count) -> list[int]:
    """Ports of this machine that nothing listens on."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for found in sockets:
            found.bind(("127.0.0.1", 0))
        return [found.getsockname()[1] for found in sockets]
    finally:
        for found in sockets:
            found.close()


if __name__ == "__main__":
    command_line.run(main)

"""The chief of several workers: it chooses the trials and keeps the books, by keras-tuner's protocol."""

import logging
import os
import subprocess
import time
from concurrent import futures
from pathlib import Path

import grpc
from keras_tuner.src import protos
from keras_tuner.src.distribute import oracle_chief, oracle_client

from keras_transformer_programs import child
from training.sweep import oracles, process

# Seconds after which a worker of which nothing was heard counts as gone, and so does a chief.
SILENCE = 600.0
TURN = 0.1
# For a worker to end by itself.
GRACE = 60.0


def answer_within(seconds: float = SILENCE) -> None:
    """How long a worker waits for its chief; keras-tuner would wait for an hour."""
    oracle_client.TIMEOUT = seconds


class Chief:
    """Answers workers until all trials are over.

    keras-tuner's own server waits for ever for workers that are gone, looks every 20 seconds whether it may
    end, and shares its port with another one that is there already.

    Args:
        oracle: of `oracles.make`. One thread does all that touches it while the server runs.
        address: to listen on, HOST:PORT; port 0 for a free one.

    Attributes:
        port: that it listens on.

    Raises:
        ValueError: the port is in use, or the address is none of this machine's.
    """

    def __init__(self, oracle, address: str):
        logging.getLogger("grpc").setLevel(logging.CRITICAL)  # errors go to the worker that asked
        self.oracle = oracle
        self.thread = futures.ThreadPoolExecutor(max_workers=1)
        self.servicer = oracle_chief.OracleServicer(oracle)
        self.server = grpc.server(self.thread, options=[("grpc.so_reuseport", 0)])
        protos.get_service_grpc().add_OracleServicer_to_server(self.servicer, self.server)
        try:
            self.port = self.server.add_insecure_port(address)
        except RuntimeError:
            self.port = 0
        if not self.port:
            raise ValueError(
                "The chief's address must be one of this machine, with a port that is free. "
                f"Received: {address}."
            )
        self.server.start()

    def serve(
        self, folder: Path, workers: dict[str, subprocess.Popen], silence: float = SILENCE, after=None
    ) -> None:
        """Returns when all trials are over, or nobody is left to run them.

        Args:
            folder: of the sweep.
            workers: {tuner id: its process} of those on this machine; without any, they come from elsewhere.
            silence: seconds after which a worker from elsewhere is gone if its trial gives no sign of life.
            after: called with the number of trials that are over, whenever it grows.

        Raises:
            ValueError: nobody is left.
        """
        try:
            self._serve(folder, dict(workers), silence, after or (lambda count: None))
        finally:
            self.server.stop(grace=None)
            self.thread.shutdown(wait=False)

    def _serve(self, folder, workers, silence, after):
        oracle, is_local = self.oracle, bool(workers)
        signs, ended = {}, 0
        heard = time.monotonic()
        while True:
            time.sleep(TURN)
            if len(oracle.end_order) > ended:
                ended = len(oracle.end_order)
                self.thread.submit(after, ended).result()
            if self.servicer.stop_triggered and not oracle.ongoing_trials and not oracle.tuner_ids:
                break
            for name in [name for name, worker in workers.items() if worker.poll() is not None]:
                workers.pop(name)
                self.thread.submit(oracle.give_back, name).result()
            if is_local and not workers:
                break
            if is_local:
                continue
            # Everything that a living worker changes: what it was given, and the time that its trial took.
            now = time.monotonic()
            for name, trial in list(oracle.ongoing_trials.items()):
                sign = trial.trial_id, oracles.folder_of(folder, trial.trial_id).seconds
                if signs.get(name, (None,))[0] != sign:
                    signs[name], heard = (sign, now), now
                elif now - signs[name][1] > silence:
                    print(
                        f"trial {trial.trial_id}: nothing was heard of {name} for {silence:g} s", flush=True
                    )
                    self.thread.submit(oracle.give_back, name).result()
            if now - heard > silence:
                break
        if not self.servicer.stop_triggered or oracle.has_interrupted:
            raise ValueError(
                f"A sweep needs workers until its trials are over. Received: none that answers, after "
                f"{ended} trials. The same command goes on."
            )


def start_workers(folder: Path, count: int, port: int, program: str) -> dict[str, subprocess.Popen]:
    """Starts workers on this machine, each a process that ends with this one.

    Returns:
        {tuner id: process}
    """
    workers = {}
    for number in range(count):
        name = f"worker-{number}"
        environment = process.environment() | {
            "KERASTUNER_TUNER_ID": name,
            "KERASTUNER_ORACLE_IP": "127.0.0.1",
            "KERASTUNER_ORACLE_PORT": str(port),
        }
        command = child.command("training.sweep.worker", os.getpid(), folder, program)
        workers[name] = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)
    return workers


def end_workers(workers: dict[str, subprocess.Popen], grace: float = GRACE) -> None:
    """Waits until they have ended, and ends those that do not."""
    until = time.monotonic() + grace
    for worker in workers.values():
        try:
            worker.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()

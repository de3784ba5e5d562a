"""Measured programs, each a process in an environment of its own, which take turns."""

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclasses.dataclass(frozen=True)
class Peer:
    """One measured program: a library in one variant."""

    label: str
    program: str  # in the package of the benchmark's programs
    variant: str = ""
    environment: str | None = None  # folder of its environment; None for this project's
    install: str = ""

    def python(self, environments):
        """Its Python, and how to make it if it is not there, else None."""
        if self.environment is None:
            return Path(sys.executable), None
        folder = environments / self.environment / "bin"
        python = folder / "python"
        how = f"`python3.11 -m venv {folder.parent} && {folder / 'pip'} install {self.install}`"
        return python, None if python.exists() else how


class Child:
    """A running program, which answers a line with a line."""

    def __init__(self, peer, python, package, specification):
        threads = str(specification["threads"])
        environment = {**os.environ, "OMP_NUM_THREADS": threads, "CUDA_VISIBLE_DEVICES": "-1"}
        self.label = peer.label
        self.errors = tempfile.TemporaryFile("w+")
        self.start = time.perf_counter()
        self.process = subprocess.Popen(
            [python, "-m", f"benchmarks.{package}.{peer.program}", json.dumps(specification)],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )

    def ready(self):
        """Waits until it is warm; returns what it says about itself."""
        return {**json.loads(self._answer()), "seconds": time.perf_counter() - self.start}

    def ask(self, question):
        """What it answers: seconds."""
        print(json.dumps(question), file=self.process.stdin, flush=True)
        return float(self._answer())

    def _answer(self):
        answer = self.process.stdout.readline()
        if not answer:
            self.errors.seek(0)
            last = self.errors.read().strip().splitlines()[-1:]
            raise ValueError(f"{self.label} ended: {' '.join(last)}")
        return answer

    def end(self):
        """Closes its input, which ends it."""
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()
        self.errors.close()

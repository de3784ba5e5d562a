"""Measured programs, each a process in an environment of its own, which take turns."""

import dataclasses
import json
import os
import statistics
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


def print_speeds(children, batches, number, rounds):
    """Asks programs in turn for the seconds of texts, and prints the median texts per second, and ratios.

    Args:
        children: {key: `Child`}; all are compared with the first.
        batches: numbers of texts that go together, a row of each program for each.
        number: texts of a turn; a fifth of it where they go one by one.
        rounds: turns that count; one more comes before them, in which each shape is new.
    """
    first = next(iter(children))
    print(f"\n| | batch | texts/s | lowest and highest | {children[first].label} is faster by |")
    print("|---|---|---|---|---|")
    for batch_size in batches:
        texts = number if batch_size > 1 else max(1, number // 5)
        question = {"batch_size": batch_size, "number": texts}
        turns = [{key: child.ask(question) for key, child in children.items()} for _ in range(1 + rounds)][1:]
        for key, child in children.items():
            speeds = [texts / seconds[key] for seconds in turns]
            ratio = statistics.median(seconds[key] / seconds[first] for seconds in turns)
            cells = [child.label, batch_size, f"{statistics.median(speeds):,.1f}"]
            cells += [f"{min(speeds):,.1f} to {max(speeds):,.1f}", f"{ratio:.2f}"]
            print("|", " | ".join(map(str, cells)), "|", flush=True)

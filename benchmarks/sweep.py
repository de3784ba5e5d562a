"""Kills a sweep at random moments until it ends, and times two workers beside one.

python -m benchmarks.sweep [--trials 20] [--kills 5] [--seconds 4]

The trials only sleep (benchmarks/sleeping_trial.py), so that the search is measured and not a training. Each
kill is SIGKILL to the command, at a random moment after it began to work. In the end every trial must have
ended, none twice, and the command's memory must not have grown.
"""

import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

import command_line
from command_line import quiet
from training.config import read
from training.sweep import settings, space

SPACE = {
    "model.num_layers": {"int": [1, 9]},
    "model.dropout": {"choice": [0.0, 0.1, 0.2]},
    "optimizer.peak": {"float": [1e-4, 1e-2], "sampling": "log"},
}
MIB = 2**20


def main(arguments=None):
    """Runs both measurements, or one search, which is what they start."""
    parser = command_line.parser("benchmarks.sweep", __doc__)
    parser.add_argument("--trials", type=int, default=20, help="trials of the sweep that is killed")
    parser.add_argument("--kills", type=int, default=5, help="number of kills")
    parser.add_argument("--seconds", type=float, default=4.0, help="that a trial sleeps")
    parser.add_argument("--workers", type=int, default=1, help="of the search")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--folder", type=str, help="only search there")
    options = parser.parse_args(arguments)
    if options.folder:
        search(options)
        return
    with tempfile.TemporaryDirectory() as folder:
        is_right = kill(Path(folder), options)
        share(Path(folder), options)
    sys.exit(not is_right)


def search(options):
    """The sweep; what `training.tune` does, with other trainings."""
    config = space.changed(read({}), {"fit.seed": int(options.seconds * 1000 / 4)})
    fields = space.parse(SPACE, config)
    sweep = settings.make(config, fields, objective="val_loss", max_trials=options.trials)
    with quiet.start_up():
        from training.sweep import running
    running.run(sweep, Path(options.folder), options.workers, program="benchmarks.sleeping_trial")


def kill(folder, options) -> bool:
    """Prints what became of a sweep that was killed; whether all is as it should be."""
    chance, sweep, growth = random.Random(options.seed), folder / "killed", 0.0
    for number in range(options.kills):
        process = start(sweep, options, options.trials)
        wait_for_work(process, sweep)
        growth = max(growth, watch(process, chance.uniform(0.0, 3 * options.seconds)))
        process.kill()
        process.wait()
        print(f"kill {number + 1}: {len(notes(sweep, 'ended'))} trials had ended", flush=True)
    process = start(sweep, options, options.trials)
    wait_for_work(process, sweep)
    growth = max(growth, watch(process))
    ended = [len(lines) for lines in notes(sweep, "ended").values()]
    begun = sum(len(lines) for lines in notes(sweep, "begun").values())
    print(
        f"{options.kills} kills: {len(ended)} of {options.trials} trials ended, {max(ended)} times at most; "
        f"{begun - len(ended)} were resumed; memory of the command grew by {growth:.0f} MiB"
    )
    return process.returncode == 0 and ended == options.trials * [1]


def share(folder, options):
    """Prints how much sooner two workers are done than one."""
    spans = {}
    for workers in (1, 2):
        sweep = folder / f"workers-{workers}"
        begin = time.monotonic()
        if start(sweep, options, options.trials, "--workers", str(workers)).wait():
            sys.exit("the search failed")
        whole = time.monotonic() - begin
        first = min(min(lines) for lines in notes(sweep, "begun").values())
        last = max(max(lines) for lines in notes(sweep, "ended").values())
        spans[workers] = last - first
        print(
            f"{workers} workers, {options.trials} trials of {options.seconds:g} s: {last - first:.1f} s from "
            f"the first trial's begin to the last one's end, {whole:.1f} s with start and table",
            flush=True,
        )
    print(f"two workers are {spans[1] / spans[2]:.2f} times as fast as one")


def start(folder, options, trials, *more):
    """The search as a process of its own."""
    command = [sys.executable, "-m", "benchmarks.sweep", "--folder", str(folder)]
    command += ["--trials", str(trials), "--seconds", str(options.seconds), *more]
    with open(f"{folder}.log", "ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)


def wait_for_work(process, folder):
    """Waits until this process has begun or resumed a trial, or is over."""
    before = sum(len(lines) for lines in notes(folder, "begun").values())
    while process.poll() is None and sum(len(lines) for lines in notes(folder, "begun").values()) == before:
        time.sleep(0.05)


def watch(process, seconds=float("inf")) -> float:
    """Waits; returns by how many MiB the process's memory has grown meanwhile."""
    sizes, until = [], time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < until:
        try:
            sizes.append(psutil.Process(process.pid).memory_info().rss / MIB)
        except psutil.NoSuchProcess:
            break
        time.sleep(0.1)
    sizes = [size for size in sizes if size > 0]
    return max(sizes) - sizes[0] if sizes else 0.0


def notes(folder, word):
    """{trial: times} of the lines in begun.txt or ended.txt."""
    return {
        path.parent.name: [float(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for path in folder.glob(f"trial_*/{word}.txt")
    }


if __name__ == "__main__":
    command_line.run(main)

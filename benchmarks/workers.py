"""Trains with one, two and four workers, and kills some: python -m benchmarks.workers [--kills 10]

The workers are processes of this machine, started by training.launch, with one global batch: the losses must
be those of one process (largest difference over the epochs of 50 steps), and the weights the same on all
workers, which training.train checks at its end. With --kills, so many jobs of two are disturbed: one of
the two is killed at a random moment, and the final loss compared with the undisturbed job's.

Other options go to training.train, in place of those for small dates:
python -m benchmarks.workers -- --config training/configs/multi30k_en_de_tiny.yaml --data.data_dir DATA
"""

import json
import os
import random
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

import command_line
from benchmarks.train_step import machine

DATES = """
--config training/configs/dates.yaml --data.num_examples 4000 --model.num_layers 1 --model.hidden_dim 64
--model.intermediate_dim 96 --model.num_heads 2
""".split()
# Fifty steps, of which every tenth is logged; no chance but that of the data. The rows of every batch are a
# multiple of eight: they are rounded up to a multiple of the parts, and all jobs must have the same.
# Sums over workers round otherwise, and Adam's usual epsilon makes whole steps of mere rounding.
SAME = """
--data.bucket_boundaries [16,32,48,64] --data.batch_tokens 3072
--fit.epochs 5 --fit.steps_per_epoch 10 --model.dropout 0.0 --fit.precision float32 --fit.jit_compile off
--optimizer.epsilon 1e-5 --optimizer.warmup_steps 25
--quality.num_pairs 20 --quality.num_shown 0 --checkpoints.average none
""".split()


def main(arguments=None):
    """Runs the jobs and prints tables."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    place = arguments.index("--") if "--" in arguments else len(arguments)
    parser = command_line.parser("benchmarks.workers", __doc__)
    parser.add_argument("--counts", type=list[int], default=[1, 2, 4], help="numbers of workers")
    parser.add_argument("--micro_batches", type=list[int], default=[1, 2], help="parts of a replica's batch")
    parser.add_argument("--kills", type=int, default=0, help="disturbed jobs")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    options = parser.parse_args(arguments[:place])
    training = arguments[place + 1 :] or DATES
    print(shlex.join(["python", "-m", "benchmarks.workers", *arguments]))
    print(machine(os.cpu_count()) + "\n")
    with tempfile.TemporaryDirectory() as folder:
        compare(Path(folder), options, [*training, *SAME])
        if options.kills:
            disturb(Path(folder), options, [*training, *SAME])


def compare(folder, options, training):
    """Prints losses and speeds of all numbers of workers."""
    print("| workers | micro-batches | loss of the last 10 steps | largest difference | tokens/s |")
    print("|---|---|---|---|---|")
    first = None
    for parts in options.micro_batches:
        for count in options.counts:
            run = folder / f"{count}-{parts}"
            start(run, training, count, parts).wait()
            found = records(run)
            first = first or found
            losses = [(line["loss"], line["val_loss"]) for line in found]
            wanted = [(line["loss"], line["val_loss"]) for line in first]
            worst = max(
                abs(a - b) for pair in zip(losses, wanted, strict=True) for a, b in zip(*pair, strict=True)
            )
            speed = sorted(line["tokens_per_second"] for line in found[1:])[len(found) // 2 - 1]
            print(f"| {count} | {parts} | {found[-1]['loss']:.6f} | {worst:.1e} | {speed:,.0f} |", flush=True)


def disturb(folder, options, training):
    """Kills one worker of two in each of several jobs, and prints their final losses."""
    chance = random.Random(options.seed)
    begin = time.monotonic()
    start(folder / "undisturbed", training, 2, 1).wait()
    duration = time.monotonic() - begin
    wanted = records(folder / "undisturbed")[-1]["loss"]
    print(f"\nundisturbed: final loss {wanted:.6f} after {duration:.0f} s")
    num_killed = num_same = 0
    while num_killed < options.kills:
        moment, index = chance.uniform(0.1, 0.9) * duration, chance.randrange(2)
        run = folder / f"killed-{num_killed}-{moment}"
        begin, job = time.monotonic(), start(run, training, 2, 1)
        is_killed = False
        while job.poll() is None:
            workers = sorted(child.pid for child in psutil.Process(job.pid).children())
            if not is_killed and time.monotonic() - begin > moment and len(workers) == 2:
                os.kill(workers[index], signal.SIGKILL)
                is_killed = True
            time.sleep(0.05)
        if not is_killed:  # It ended before the moment came: it says nothing.
            continue
        num_killed += 1
        if job.returncode:
            ended = f"ended with {log(run).splitlines()[-1]}"
        else:
            loss = records(run)[-1]["loss"]
            num_same += abs(loss - wanted) < 1e-4
            ended = f"final loss {loss:.6f}"
        print(f"job {num_killed}: worker {index} killed after {moment:.0f} s, {ended}", flush=True)
    print(f"{num_same} of {num_killed} jobs ended with the loss of the undisturbed one, to 1e-4")


def start(run, training, count, parts):
    """The training command as a process, its lines in a file beside the run."""
    options = [*training, "--fit.num_micro_batches", str(parts), "--output", str(run)]
    command = [sys.executable, "-m", "training.launch", "--workers", str(count), "--", *options]
    with run.with_suffix(".log").open("w", encoding="utf-8") as file:
        return subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)


def log(run):
    """What a job printed."""
    return run.with_suffix(".log").read_text(encoding="utf-8")


def records(run):
    """The metrics of a run, by epoch."""
    if not (run / "model.keras").exists():
        raise ValueError(f"A job must end well. Received: {log(run)[-500:]}")
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


if __name__ == "__main__":
    command_line.run(main)

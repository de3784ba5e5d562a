"""Whether attention helps a classifier of images: python -m benchmarks.image_attention --output FOLDER -- ...

Trains one configuration with and without attention from several seeds, by training.train with the options
behind `--`, and prints the accuracy of the test split of each; in the last row means and standard deviations
over the seeds, and the mean difference with its standard error. The runs and their logs lie in FOLDER, one
for each set of options; the same command goes on with what was interrupted, and trains nothing twice.
"""

import math
import os
import shlex
import statistics
import subprocess
import sys
from pathlib import Path

import command_line
from benchmarks.train_step import machine
from training.measuring import measure


def main(arguments=None):
    """Trains, measures and prints a table."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    place = arguments.index("--") if "--" in arguments else len(arguments)
    parser = command_line.parser("benchmarks.image_attention", __doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder of the run folders")
    parser.add_argument("--seeds", type=list[int], default=[1, 2, 3, 4, 5], help="two or more")
    options = parser.parse_args(arguments[:place])
    training = arguments[place + 1 :]
    if len(options.seeds) < 2:
        raise ValueError(f"`seeds` must be two or more. Received: {options.seeds}.")
    options.output.mkdir(parents=True, exist_ok=True)
    print(shlex.join(["python", "-m", "benchmarks.image_attention", *arguments]))
    print(f"{machine(os.cpu_count())}\n\n| seed | with attention | without | difference |\n|---|---|---|---|")
    pairs = []
    for seed in options.seeds:
        pairs.append([accuracy(options.output, seed, attention, training) for attention in (True, False)])
        print(f"| {seed} | {pairs[-1][0]:.2%} | {pairs[-1][1]:.2%} | {difference(pairs[-1])} |", flush=True)
    means = [statistics.mean(column) for column in zip(*pairs, strict=True)]
    spreads = [statistics.stdev(column) for column in zip(*pairs, strict=True)]
    error = statistics.stdev(ours - theirs for ours, theirs in pairs) / math.sqrt(len(pairs))
    cells = [f"{mean:.2%} ± {spread:.2%}" for mean, spread in zip(means, spreads, strict=True)]
    print(f"| all | {cells[0]} | {cells[1]} | {difference(means)} ± {100 * error:.2f} |")


def difference(pair):
    """With minus without attention, in points of percent."""
    ours, theirs = pair
    return f"{100 * (ours - theirs):+.2f}"


def accuracy(folder, seed, attention, training):
    """Of the test split, after the training that the run folder's name says."""
    run = folder / f"{'attention' if attention else 'plain'}-{seed}"
    command = [sys.executable, "-m", "training.train", *training, "--output", str(run)]
    command += ["--fit.seed", str(seed), "--model.attention", str(attention).lower()]
    if not (run / "model.keras").exists():  # written at the end of a training
        log = folder / f"{run.name}.log"
        with log.open("ab") as file:
            ended = subprocess.run(command, stdout=file, stderr=file)
        if ended.returncode:
            raise ValueError(
                f"The training must end well. Received: exit status {ended.returncode}; see {log}."
            )
    (found,) = [measured.value for measured in measure(run, "test") if measured.name == "accuracy"]
    return found


if __name__ == "__main__":
    command_line.run(main)

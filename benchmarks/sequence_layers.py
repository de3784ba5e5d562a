"""Recurrent, convolutional and self-attention layers against Table 1: python -m benchmarks.sequence_layers

Vaswani et al. 2017, section 4. Each layer maps (B, n, d) to (B, n, d). Time and memory of a forward pass are
measured in a process of its own for each point: processor time of one thread, the lowest of several calls,
because that hardly depends on what else the machine does; and peak resident memory less what is resident
before. Sequential operations are counted in the graph: the longest chain of matrix products of which each
needs the one before. Path lengths come from gradients: which inputs a position depends on after one layer (or
one step of the recurrence), and how many of them it takes from the first position to the last.

Restricted self-attention is full self-attention with a mask, which hides scores after they were computed: its
path is the restricted one, its time and memory are not. Linux only: it reads /proc.
"""

import shlex
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import command_line
from benchmarks.table_one import DILATED, HEADS, KERNEL, KINDS, WINDOW, cost, longest_chain, path_length
from benchmarks.train_step import machine

CHAIN_LENGTHS = (8, 16, 32)
PATH_LENGTHS = (16, 32, 64, 128)


def main(arguments=None):
    """Measures, prints the tables and draws them."""
    parser = command_line.parser("benchmarks.sequence_layers", __doc__)
    parser.add_argument("--lengths", type=list[int], default=[64, 128, 256, 512, 1024], help="n")
    parser.add_argument("--widths", type=list[int], default=[64, 256], help=f"d, multiples of {HEADS}")
    parser.add_argument("--batch_size", type=int, default=8, help="sequences")
    parser.add_argument("--repeats", type=int, default=5, help="timed calls, of which the fastest counts")
    parser.add_argument("--picture", type=Path, help="file to draw to")
    options = parser.parse_args(arguments)
    given = sys.argv[1:] if arguments is None else arguments
    print(shlex.join(["python", "-m", "benchmarks.sequence_layers", *given]))
    print(machine(1))
    command_line.run(lambda: measure(options))


def measure(options):
    """Prints the three tables."""
    for name in ("lengths", "widths", "batch_size", "repeats"):
        values = np.atleast_1d(options[name])
        if not values.size or values.min() < 1:
            raise ValueError(f"`{name}` must be positive. Received: {name}={options[name]}.")
    if any(width % HEADS for width in options.widths):
        raise ValueError(f"`widths` must be multiples of {HEADS}. Received: widths={options.widths}.")
    chains = {name: [longest_chain(name, n) for n in CHAIN_LENGTHS] for name in KINDS}
    print("\n| sequential operations | Table 1 |", " | ".join(f"n = {n}" for n in CHAIN_LENGTHS), "|")
    print("|---|---|" + "---|" * len(CHAIN_LENGTHS))
    for name, counts in chains.items():
        print(f"| {name} | O({KINDS[name].sequential}) |", " | ".join(map(str, counts)), "|")

    paths = {name: [path_length(name, n) for n in PATH_LENGTHS] for name in (*KINDS, DILATED)}
    print("\n| maximum path length | Table 1 |", " | ".join(f"n = {n}" for n in PATH_LENGTHS), "|")
    print("|---|---|" + "---|" * len(PATH_LENGTHS))
    for name, lengths in paths.items():
        stated = "log_k(n)" if name == DILATED else KINDS[name].path
        print(f"| {name} | O({stated}) |", " | ".join(map(str, lengths)), "|")

    print(f"\nbatch {options.batch_size}, {HEADS} heads, k = {KERNEL}, r = {2 * WINDOW + 1}")
    print("\n| forward pass | Table 1 | d | n | ms | ns for 1,000 multiply-adds | peak, MiB |")
    print("|---|---|---|---|---|---|---|")
    points = {}
    for name, kind in KINDS.items():
        for width in options.widths:
            for length in options.lengths:
                seconds, memory = cost_alone(name, length, width, options.batch_size, options.repeats)
                points[name, width, length] = seconds, memory
                each = 1e12 * seconds / (options.batch_size * kind.products(length, width))
                print(
                    f"| {name} | O({kind.complexity}) | {width} | {length:,} | {1000 * seconds:.1f} "
                    f"| {each:.0f} | {memory:.1f} |",
                    flush=True,
                )
    if options.picture:
        draw(options, points, paths).savefig(options.picture, dpi=120)


def cost_alone(*point):
    """`table_one.cost` in a process of its own."""
    # Forked from a server that has imported TensorFlow, and never used it: an import each would take longer.
    context = get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.table_one"])
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as process:
        return process.submit(cost, *point).result()


def draw(options, points, paths):
    """Time and memory of the widest layers, and path lengths, against n; all axes logarithmic."""
    figure = Figure(figsize=(12, 4.3), layout="constrained")
    panels = figure.subplots(1, 3)
    width = max(options.widths)
    for name in KINDS:
        seconds, memory = np.transpose([points[name, width, length] for length in options.lengths])
        panels[0].plot(options.lengths, 1000 * seconds, marker="o")
        panels[1].plot(options.lengths, memory, marker="o")
    panels[0].set_title(f"forward pass, ms, d = {width}")
    panels[1].set_title(f"peak memory, MiB, d = {width}")
    for name, lengths in paths.items():
        panels[2].plot(PATH_LENGTHS, lengths, marker="o", label=name)
    panels[2].set_title("maximum path length")
    figure.legend(*panels[2].get_legend_handles_labels(), loc="outside lower center", ncols=len(paths))
    for axes, ticks in zip(panels, (options.lengths, options.lengths, PATH_LENGTHS), strict=True):
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.set_xticks(ticks, ticks)
        axes.set_xlabel("n")
    return figure


if __name__ == "__main__":
    main()

"""Memory and time of attention against the length of its input: python -m benchmarks.attention_length

Forward and backward in a compiled function, each point a process of its own: peak resident memory of the
first two calls, less what is resident before them, and the fastest of a few more. "plain" keeps the (T, T)
scores, as where weights or their dropout are asked for; "exact" is the layer as it is; "window" the layer
with `sliding_window`. Slopes are those of log against log: 1 is linear, 2 the square. Linux only: it reads
/proc.
"""

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import command_line
from benchmarks.train_step import machine
from command_line import quiet

KINDS = ("plain", "exact", "window")
CLEAR = Path("/proc/self/clear_refs")
STATUS = Path("/proc/self/status")


def main(arguments=None):
    """Measures, prints the table, and draws it."""
    parser = command_line.parser("benchmarks.attention_length", __doc__)
    parser.add_argument("--lengths", type=list[int], default=[512, 1024, 2048, 4096, 8192, 16384])
    parser.add_argument("--plain_up_to", type=int, default=4096, help="longest input whose scores are kept")
    parser.add_argument("--num_heads", type=int, default=4, help="heads")
    parser.add_argument("--key_dim", type=int, default=64, help="width of a head")
    parser.add_argument("--window", type=int, default=128, help="of the kind window")
    parser.add_argument("--turns", type=int, default=3, help="timed calls")
    parser.add_argument("--picture", type=str, default=None, help="file for a plot")
    options = parser.parse_args(arguments)
    given = sys.argv[1:] if arguments is None else arguments
    print(shlex.join(["python", "-m", "benchmarks.attention_length", *given]))
    print(machine(2))
    command_line.run(lambda: report(options))


def report(options):
    """Prints a row for each length, and the slopes; draws them."""
    print("\n| length |" + "".join(f" {kind}, s | MiB |" for kind in KINDS) + "\n|" + "---|" * 7)
    found = {kind: [] for kind in KINDS}
    for length in options.lengths:
        cells = []
        for kind in KINDS:
            if kind == "plain" and length > options.plain_up_to:
                cells.append(" | |")
                continue
            seconds, mib = point(kind, length, options)
            found[kind].append((length, seconds, mib))
            cells.append(f" {seconds:.3f} | {mib:,.0f} |")
        print(f"| {length:,} |" + "".join(cells), flush=True)
    print()
    for kind, points in found.items():
        lengths, seconds, mib = np.transpose(points)
        if len(points) > 1:
            print(f"{kind}: slope of time {slope(lengths, seconds):.2f}, of memory {slope(lengths, mib):.2f}")
    if options.picture:
        draw(found, options.picture)


def slope(lengths, values):
    """Of the straight line that fits best, log against log."""
    return np.polyfit(np.log(lengths), np.log(values), 1)[0]


def point(kind, length, options):
    """Seconds and MiB, measured in a process of its own."""
    sizes = [length, options.num_heads, options.key_dim, options.window, options.turns]
    program = f"from benchmarks.attention_length import measure; print(*measure({kind!r}, *{sizes}))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env={**os.environ}
    )
    seconds, mib = done.stdout.split()[-2:]
    return float(seconds), float(mib)


def measure(kind, length, num_heads, key_dim, window, turns):
    """Seconds of a call and MiB at its peak, of a self-attention and its gradient for one row."""
    with quiet.start_up():
        import keras
        from keras import ops

        from keras_transformer import layers
    layer = layers.MultiHeadAttention(num_heads, key_dim, sliding_window=window if kind == "window" else None)
    width = num_heads * key_dim
    x = ops.convert_to_tensor(np.random.default_rng(0).normal(size=(1, length, width)).astype("float32"))
    layer.build(x.shape)

    def total(x):
        if kind == "plain":
            return ops.sum(layer(x, use_causal_mask=True, return_attention_scores=True)[0] ** 2)
        return ops.sum(layer(x, use_causal_mask=True) ** 2)

    step = gradient(keras.backend.backend(), total)
    CLEAR.write_text("5")  # the peak is what is resident now
    before = resident("VmRSS")
    for _ in range(2):
        np.asarray(step(x))
    mib = (resident("VmHWM") - before) / 1024
    times = []
    for _ in range(turns):
        start = time.perf_counter()
        np.asarray(step(x))
        times.append(time.perf_counter() - start)
    return min(times), mib


def gradient(backend, total):
    """The gradient of a function with respect to its input, as one compiled function."""
    if backend == "jax":
        import jax

        return jax.jit(jax.grad(total))
    import tensorflow as tf

    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = total(x)
        return tape.gradient(loss, x)

    return step


def resident(field):
    """A field of the process's memory in KiB."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1])


def draw(found, path):
    """Saves time and memory against length."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    for axes, column, label in zip(figure.subplots(1, 2), (1, 2), ("seconds", "MiB"), strict=True):
        for kind, points in found.items():
            lengths = [point[0] for point in points]
            axes.loglog(lengths, [point[column] for point in points], marker="o", label=kind, base=2)
        axes.set_xlabel("length")
        axes.set_ylabel(label)
        axes.legend()
    figure.savefig(path)


if __name__ == "__main__":
    main()

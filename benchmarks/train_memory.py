"""Peak memory of a training step against the tokens of a batch: python -m benchmarks.train_memory

Each point is a process of its own: peak resident memory during two steps, less what is resident before them
(model, optimizer, traced graph, and a step on a batch of two tokens). First the batch grows at two fixed
lengths, and a straight line is fitted; then the sentences grow while the tokens stay the same, which shows
attention's square. Source and target have the same length; "tokens" are those of the target. Linux only: it
reads /proc.
"""

import shlex
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import numpy as np

import command_line
from benchmarks.train_step import DROPOUT, LABEL_SMOOTHING, MODELS, machine
from command_line import quiet


def main(arguments=None):
    """Measures and prints the tables."""
    parser = command_line.parser("benchmarks.train_memory", __doc__)
    parser.add_argument("--models", type=list[Literal[*MODELS]], default=["3x256", "tiny"], help="sizes")
    parser.add_argument(
        "--tokens", type=list[int], default=[1536, 3072, 4608, 6144, 9216, 12288], help="of a batch"
    )
    parser.add_argument("--lengths", type=list[int], default=[24, 96], help="at which the batch grows")
    parser.add_argument(
        "--growing_lengths", type=list[int], default=[24, 96, 192, 384, 768], help="at the second of --tokens"
    )
    options = parser.parse_args(arguments)
    given = sys.argv[1:] if arguments is None else arguments
    print(shlex.join(["python", "-m", "benchmarks.train_memory", *given]))
    print(machine(2))
    command_line.run(lambda: [measure(name, options) for name in options.models])


def measure(name, options):
    """Prints the tables of one model."""
    print(f"\n{name}: {MODELS[name]}")
    for length in options.lengths:
        print(f"\n| tokens of length {length} | peak, MiB | the line, MiB |\n|---|---|---|")
        print_line(options.tokens, [peak(name, tokens, length) for tokens in options.tokens], "token")
    tokens = options.tokens[min(1, len(options.tokens) - 1)]
    print(f"\n| length, {tokens} tokens | peak, MiB | the line, MiB |\n|---|---|---|")
    lengths = options.growing_lengths
    print_line(lengths, [peak(name, tokens, length) for length in lengths], "position of length")


def print_line(x, peaks, unit):
    """Prints points, and the straight line that fits them best."""
    slope, start = np.polyfit(x, peaks, 1)
    line = start + slope * np.array(x)
    for point, measured, fitted in zip(x, peaks, line, strict=True):
        print(f"| {point:,} | {measured:,.0f} | {fitted:,.0f} |")
    explained = 1 - np.sum((peaks - line) ** 2) / np.sum((peaks - np.mean(peaks)) ** 2)
    worst = np.max(np.abs(peaks / line - 1))
    print(
        f"\n{start:,.0f} MiB and {1024 * slope:,.0f} KiB for each {unit}; R^2 {explained:.4f}, "
        f"worst deviation {worst:.1%}",
        flush=True,
    )


def peak(name, tokens, length):
    """MiB that a training step needs at its peak, in a process of its own."""
    if tokens % length:
        raise ValueError(f"Lengths must divide the tokens. Received: {tokens} tokens of length {length}.")
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as process:
        return process.submit(peak_here, MODELS[name], tokens // length, length).result()


def peak_here(sizes, batch_size, length):
    """See `peak`; in this process."""
    with quiet.start_up():
        import keras
        import tensorflow as tf

        from keras_transformer import losses, models

    sizes = dict(sizes)
    vocabulary_size = sizes.pop("vocabulary_size")
    model = models.Transformer(
        vocabulary_size, vocabulary_size, share_embeddings=True, dropout=DROPOUT, **sizes
    )
    model.build()
    loss = losses.SmoothedCrossEntropy(LABEL_SMOOTHING)
    model.compile(keras.optimizers.Adam(1e-4), loss, jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    step = tf.function(model.train_step, autograph=False)

    def batch(*shape):
        ids = np.random.default_rng(0).integers(4, vocabulary_size, shape, "int32")
        ids = tf.constant(ids)
        return {"source_ids": ids, "target_ids": ids}, ids

    step(batch(1, 2))
    large = batch(batch_size, length)
    step.get_concrete_function(large)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts from here
    before = resident()["VmRSS"]
    for _ in range(2):
        step(large)
    return (resident()["VmHWM"] - before) / 1024


def resident():
    """KiB of resident memory: now (VmRSS) and at the peak (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return {line.split(":")[0]: int(line.split()[1]) for line in lines if line.startswith("Vm")}


if __name__ == "__main__":
    main()

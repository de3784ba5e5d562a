"""Training steps on a GPU beside PyTorch's, with JAX: python -m benchmarks.gpu_train_step

Needs Keras, JAX, PyTorch and NumPy, and neither TensorFlow nor the packages of the programs: it runs where
only a driver and these are. Both sides train the paper's model (embeddings shared, dropout in the paper's
places, label smoothing, Adam) on the same random ids, a fifth of them padding, in bfloat16 with float32
weights. Ours is `fit` with `jit_compile`; theirs `nn.Transformer` under `torch.compile`, bfloat16 autocast,
fused Adam. The sides of a row are compiled at the same time, each in a process of its own, and take turns.

    python -m benchmarks.gpu_train_step --rows base:400x64 big:300x64
    python -m benchmarks.gpu_train_step --rows smoke:3x5 --steps 2        # on a CPU: whether it runs
"""

import argparse
import importlib.metadata
import json
import math
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
DROPOUT, LABEL_SMOOTHING = 0.1, 0.1
SIZES = {
    "base": dict(num_layers=6, hidden_dim=512, num_heads=8, intermediate_dim=2048, vocabulary_size=37_000),
    "big": dict(num_layers=6, hidden_dim=1024, num_heads=16, intermediate_dim=4096, vocabulary_size=37_000),
    "smoke": dict(num_layers=1, hidden_dim=16, num_heads=2, intermediate_dim=32, vocabulary_size=50),
}
ROWS = ["base:400x64", "big:300x64", "base:50x512", "base:16x2048"]
PEAK_FLOPS = 989e12  # dense bfloat16 of an H100 or H200, by the vendor's datasheet
BATCHES = 4
PROGRAM = ["-m", "benchmarks.gpu_train_step"]


def main(arguments=None):
    """Measures and prints a table."""
    parser = argparse.ArgumentParser("benchmarks.gpu_train_step", description=__doc__.split("\n")[0])
    parser.add_argument(
        "--rows", nargs="+", default=ROWS, help="SIZE:BATCHxTOKENS, SIZE one of " + ", ".join(SIZES)
    )
    parser.add_argument(
        "--sides", nargs="+", choices=list(SIDES), default=list(SIDES)[:2], help="what is measured"
    )
    parser.add_argument("--steps", type=int, default=20, help="training steps of a turn")
    parser.add_argument("--turns", type=int, default=5, help="turns, of which the medians count")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        serve(json.loads(options.child))
        return
    print(shlex.join(["python", "-m", "benchmarks.gpu_train_step", *(arguments or sys.argv[1:])]))
    print(", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("keras", "jax", "torch")))
    print(
        "\n| model, rows x tokens | side | target tokens/s | ratio to the last | of the peak | memory, GiB "
        "| parameters | loss | ready after |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for row in options.rows:
        measure(row, options)


def measure(row, options):
    """Prints the lines of one row: all sides are made at once, and then take turns."""
    size, _, shape = row.partition(":")
    batch_size, length = (int(number) for number in shape.split("x"))
    tokens = batch_size * length * options.steps
    children, made = {}, {}
    for side in options.sides:
        task = dict(side=side, size=size, batch_size=batch_size, length=length)
        children[side] = Child(task)
    for side, child in children.items():
        made[side] = child.answer()
        if "error" in made[side]:
            print(f"| {row} | {side} | {made[side]['error']} |", flush=True)
    running = [side for side in children if "error" not in made[side]]
    rounds = [{side: children[side].ask(options.steps) for side in running} for _ in range(options.turns)]
    for side in running:
        speeds = [tokens / times[side]["seconds"] for times in rounds]
        speed = statistics.median(speeds)
        ratio = statistics.median(times[running[-1]]["seconds"] / times[side]["seconds"] for times in rounds)
        share = speed * flops(SIZES[size], length) / PEAK_FLOPS
        found, last = made[side], rounds[-1][side]
        print(
            f"| {row} | {side} | {speed:,.0f} | {ratio:.2f} | {share:.1%} | {last['memory'] / 2**30:.1f} "
            f"| {found['parameters']:,} | {found['first_loss']:.2f} to {last['loss']:.2f} "
            f"| {found['ready']:.0f} s |",
            flush=True,
        )
    for child in children.values():
        child.end()


class Child:
    """One side of one row in a process of its own, so that its peak of memory is its own."""

    def __init__(self, task):
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [sys.executable, *PROGRAM, "--child", json.dumps(task)],
            cwd=ROOT,
            env=environment(task["side"]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )

    def answer(self):
        """Its next line, or {"error"} with the last line that it wrote before it ended."""
        found = self.process.stdout.readline()
        if found:
            return json.loads(found)
        self.errors.seek(0)
        reason = (self.errors.read().strip().splitlines() or ["no message"])[-1]
        return {"error": f"ended: {reason[:300]}"}

    def ask(self, steps):
        """Some training steps: {"seconds", "memory", "loss"}."""
        print(steps, file=self.process.stdin, flush=True)
        return self.answer()

    def end(self):
        """Closes its input, which ends it."""
        self.process.stdin.close()
        self.process.wait()
        self.errors.close()


def serve(task):
    """Makes one side, says what it is, and takes steps when asked."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # standard output belongs to the parent
    start = time.perf_counter()
    turn, parameters, memory = SIDES[task["side"]](task, random_batches(task))
    _, first_loss = turn(1)
    turn(2)
    ready = time.perf_counter() - start
    print(json.dumps(dict(parameters=parameters, first_loss=first_loss, ready=ready)), file=answers)
    for line in sys.stdin:
        seconds, loss = turn(int(line))
        print(json.dumps(dict(seconds=seconds, memory=memory(), loss=loss)), file=answers)


def environment(side):
    """JAX takes memory as it needs it, else its peak says nothing."""
    more = (
        {"KERAS_BACKEND": "jax", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"} if side.startswith("ours") else {}
    )
    return {**os.environ, **more, "TF_CPP_MIN_LOG_LEVEL": "3"}


def flops(sizes, length):
    """Multiplications and additions for a target token, forward and backward, source of equal length."""
    width, inner, layers = sizes["hidden_dim"], sizes["intermediate_dim"], sizes["num_layers"]
    weights = layers * (3 * 4 * width**2 + 2 * 2 * width * inner) + sizes["vocabulary_size"] * width
    scores = layers * 3 * 2 * length * width
    return 3 * 2 * (weights + scores)


def random_batches(task):
    """[(source_ids, target_ids, labels)], int32 (B, T): 0.6 to 1 times the length, then padding."""
    generator = np.random.default_rng(0)
    shape = (BATCHES, task["batch_size"], task["length"])
    vocabulary_size = SIZES[task["size"]]["vocabulary_size"]
    lengths = generator.integers(math.ceil(0.6 * shape[-1]), shape[-1], (*shape[:2], 1), endpoint=True)
    arrays = [generator.integers(4, vocabulary_size, shape, "int32") for _ in range(3)]
    return list(zip(*(np.where(np.arange(shape[-1]) < lengths, ids, 0) for ids in arrays), strict=True))


def ours(task, batches):
    """`fit` with JAX."""
    import jax
    import keras

    from keras_transformer import losses, models

    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy("mixed_bfloat16")
    sizes = dict(SIZES[task["size"]])
    vocabulary_size = sizes.pop("vocabulary_size")
    model = models.Transformer(
        vocabulary_size, vocabulary_size, share_embeddings=True, dropout=DROPOUT, **sizes
    )
    model.build()
    model.compile(keras.optimizers.Adam(1e-4), losses.SmoothedCrossEntropy(LABEL_SMOOTHING), jit_compile=True)
    examples = [({"source_ids": source, "target_ids": target}, labels) for source, target, labels in batches]

    def endless():
        while True:
            yield from examples

    data = endless()

    def turn(steps):
        start = time.perf_counter()
        history = model.fit(data, steps_per_epoch=steps, epochs=1, verbose=0)
        jax.block_until_ready([weight.value for weight in model.trainable_variables])
        return time.perf_counter() - start, history.history["loss"][0]

    def memory():
        return (jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use", 0)

    return turn, model.count_params(), memory


def torch_side(task, batches, compiled):
    """`nn.Transformer`, bfloat16 autocast."""
    import torch

    from benchmarks.training_peers.torch_transformer import Training

    torch.manual_seed(0)
    torch.set_float32_matmul_precision("high")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    arrays = dict(
        zip(("source_ids", "target_ids", "labels"), map(np.stack, zip(*batches, strict=True)), strict=True)
    )
    specification = {
        "sizes": SIZES[task["size"]],
        "dropout": DROPOUT,
        "label_smoothing": LABEL_SMOOTHING,
        "variant": "compile" if compiled else "eager",
    }
    training = Training(specification, arrays, device=device)

    def turn(steps):
        if device == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        with torch.autocast(device, torch.bfloat16):
            losses = [training.step().detach() for _ in range(steps)]
        mean = float(torch.stack(losses).mean())  # waits for all of them
        return time.perf_counter() - start, mean

    def memory():
        return torch.cuda.max_memory_allocated() if device == "cuda" else 0

    return turn, sum(parameter.numel() for parameter in training.model.parameters()), memory


SIDES = {
    "ours": ours,
    "torch_compile": lambda task, batches: torch_side(task, batches, compiled=True),
    "torch": lambda task, batches: torch_side(task, batches, compiled=False),
}

if __name__ == "__main__":
    main()

"""What every measured program does: it makes a model, says what it is, and takes steps when it is asked.

    python -m benchmarks.training_peers.NAME '{"batches": FILE.npz, "variant": ..., "threads": 2, ...}'

answers on standard output with a line {"parameters", "first_loss", "unchanged"} when it is warm, and then,
for each line with a number n on standard input, with the seconds that n steps took. Needs NumPy only: the
programs run in environments that have nothing else in common.
"""

import json
import os
import sys
import time

import numpy as np

WARM_UP_STEPS = 3


def serve(make):
    """Runs a program.

    Args:
        make: function of the specification (above) and of the N batches, {"source_ids", "target_ids",
            "labels"}: int32 (N, B, T), padded with 0. Returns a training with two methods: `run(n)` takes
            n steps, one batch each, and returns their seconds, together, and losses, a list; `weights()`
            returns all trained arrays.
    """
    # Whatever a library prints goes to standard error: standard output belongs to the parent.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    specification = json.loads(sys.argv[1])
    with np.load(specification["batches"]) as file:
        batches = {name: file[name] for name in file}
    training = make(specification, batches)
    before = [np.array(weight) for weight in training.weights()]
    _, losses = training.run(WARM_UP_STEPS)
    unchanged = [np.array_equal(old, new) for old, new in zip(before, training.weights(), strict=True)]
    ready = {
        "parameters": sum(weight.size for weight in before),
        "first_loss": float(losses[0]),
        "unchanged": sum(unchanged),
    }
    print(json.dumps(ready), file=answers)
    for line in sys.stdin:
        seconds, _ = training.run(int(line))
        print(seconds, file=answers)


def timed(step, steps):
    """Calls a step, which returns its loss; what `run` returns."""
    start = time.perf_counter()
    losses = [float(step()) for _ in range(steps)]
    return time.perf_counter() - start, losses

"""What every measured program does: it loads the model, shows what it makes of texts, and embeds when asked.

    python -m benchmarks.embedding_peers.NAME '{"texts": FILE, "folder": ..., "run": ..., "threads": 2}'

answers on standard output with a line {"vectors": of the first texts} when it is warm, and then, for each
line {"batch_size": B, "number": N} on standard input, with the seconds that the first N texts took,
tokenizing included. Needs NumPy only: the programs run in environments that have nothing else in common.
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np

COMPARED = 1000  # texts whose vectors are shown, in batches of 32


def serve(make):
    """Runs a program.

    Args:
        make: function of the specification (above) that returns a function: N texts and a batch size -> their
            vectors, float32 (N, D), as NumPy has them.
    """
    # Whatever a library prints goes to standard error: standard output belongs to the parent.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    specification = json.loads(sys.argv[1])
    texts = Path(specification["texts"]).read_text(encoding="utf-8").splitlines()
    embed = make(specification)
    print(json.dumps({"vectors": embed(texts[:COMPARED], 32).tolist()}), file=answers)
    for line in sys.stdin:
        question = json.loads(line)
        start = time.perf_counter()
        embed(texts[: question["number"]], question["batch_size"])
        print(time.perf_counter() - start, file=answers)


def one_by_one(embed):
    """What `serve` wants, of a function of one batch: batch after batch, texts of similar length together."""

    def embed_all(texts, batch_size):
        order = sorted(range(len(texts)), key=lambda number: len(texts[number]))
        batches = [order[first : first + batch_size] for first in range(0, len(order), batch_size)]
        vectors = np.concatenate([embed([texts[number] for number in batch]) for batch in batches])
        return vectors[np.argsort(order)]

    return embed_all

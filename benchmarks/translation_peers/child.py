"""What every measured program does: it loads the model, translates all texts, and some again when asked.

    python -m benchmarks.translation_peers.NAME '{"texts": FILE, "folder": ..., "threads": 2, ...}'

answers on standard output with a line {"found": [(translation, log-probability), ...]}, and then, for each
line {"batch_size": B, "number": N} on standard input, with the seconds that the first N texts took,
tokenizers included. Needs the standard library only: the environments have nothing else in common.
"""

import json
import os
import sys
import time
from pathlib import Path

BATCH_SIZE = 32  # when all are translated


def serve(make):
    """Runs a program.

    Args:
        make: function of the specification (above) that returns a function: a batch of texts -> of each its
            greedy translation, of at most `max_length` tokens, and the log-probability of that.
    """
    # Whatever a library prints goes to standard error: standard output belongs to the parent.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    specification = json.loads(sys.argv[1])
    texts = Path(specification["texts"]).read_text(encoding="utf-8").splitlines()
    translate = make(specification)

    def all_of(texts, batch_size):
        """Texts of similar length together, as those do that translate files."""
        order = sorted(range(len(texts)), key=lambda number: len(texts[number]))
        found = [None] * len(texts)
        for first in range(0, len(order), batch_size):
            batch = order[first : first + batch_size]
            for number, pair in zip(batch, translate([texts[number] for number in batch]), strict=True):
                found[number] = pair
        return found

    print(json.dumps({"found": all_of(texts, BATCH_SIZE)}), file=answers)
    for line in sys.stdin:
        question = json.loads(line)
        start = time.perf_counter()
        all_of(texts[: question["number"]], question["batch_size"])
        print(time.perf_counter() - start, file=answers)

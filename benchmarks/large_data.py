"""Training pairs by the million: python -m benchmarks.large_data --num_pairs 10000000

Generates pairs, prepares them as training.prepare does, and reads batches of two passes over the shards:
pairs and tokens in a second, and the memory of the process behind each part. "tokenized" are batches of the
same configuration made from the texts of fewer pairs, tokenizing included: what a pass costs without shards.
"""

import random
import shlex
import sys
import tempfile
import time
from pathlib import Path

import psutil

import command_line
from benchmarks.train_step import machine
from command_line import quiet

WORDS = 5_000
CONFIG = """
data: {name: parallel_text, max_length: 64, batch_tokens: 4096, train: [%s]}
tokenizer: {source: {kind: bpe, vocabulary_size: 8000}}
"""


def main(arguments=None):
    """Generates, prepares, reads, and prints a table."""
    parser = command_line.parser("benchmarks.large_data", __doc__)
    parser.add_argument("--num_pairs", type=int, default=10_000_000, help="pairs")
    parser.add_argument("--num_batches", type=int, default=5_000, help="batches that are read of each pass")
    parser.add_argument("--num_tokenized", type=int, default=1_000_000, help="pairs of the comparison")
    options = parser.parse_args(arguments)
    with quiet.start_up():
        import tensorflow  # noqa: F401  its memory is there before the first measurement
    print(shlex.join(["python", "-m", "benchmarks.large_data", *(arguments or sys.argv[1:])]))
    print(machine(2) + "\n")
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), options)


def measure(folder, options):
    """See the module."""
    from training import prepare, tasks

    begin = time.perf_counter()
    generate(folder / "all.tsv", options.num_pairs)
    print(f"generated in {time.perf_counter() - begin:,.0f} s\n")
    print("| | pairs/s | target tokens/s | memory of its own, MiB | with files mapped into it, MiB |")
    print("|---|---|---|---|---|")
    config = configuration(folder / "all.tsv", folder / "prepared")
    begin = time.perf_counter()
    prepare.prepare(configuration(folder / "all.tsv"), folder / "prepared", 200_000)
    report("prepared", options.num_pairs, None, begin)
    task = tasks.make(config)
    task.load()
    task.train_tokenizers()
    begin = time.perf_counter()
    batches = task.batches("train")
    report("shards opened, buckets made", options.num_pairs, None, begin)
    for number in (0, 1):
        begin = time.perf_counter()
        report(f"pass {number + 1}, shards", *read(batches, number, options.num_batches), begin)
    del batches
    generate(folder / "part.tsv", options.num_tokenized)
    task = tasks.make(configuration(folder / "part.tsv"))
    task.load()
    task.load_tokenizers(folder / "prepared")
    begin = time.perf_counter()
    report("a pass, tokenized", *read(task.batches("train"), 0, None), begin)


def configuration(path, prepared=None):
    """Of a file of pairs, prepared or not."""
    import yaml

    from training.config import read as read_config

    mapping = yaml.safe_load(CONFIG % path)
    if prepared is not None:
        mapping["data"]["prepared"] = str(prepared)
    return read_config(mapping)


def generate(path, number):
    """Writes pairs of 4 to 24 made-up words, rare ones rarely; the other side in other words."""
    draw = random.Random(0)
    syllables = [consonant + vowel for consonant in "bdfgklmnprst" for vowel in "aeiou"]
    words = [
        [prefix + "".join(draw.choices(syllables, k=draw.randint(1, 4))) for _ in range(WORDS)]
        for prefix in ("", "z")
    ]
    weights = [1 / (rank + 10) for rank in range(WORDS)]
    # A long list of draws, cut anew for each pair: drawing each word by itself takes minutes.
    draws = draw.choices(range(WORDS), weights, k=1_000_000)
    with path.open("w", encoding="utf-8") as file:
        for _ in range(number):
            start, length = draw.randrange(len(draws) - 24), draw.randint(4, 24)
            sides = (" ".join(side[word] for word in draws[start : start + length]) for side in words)
            file.write("\t".join(sides) + "\n")


def read(batches, number, count):
    """Pairs and target tokens of some batches of a pass."""
    pairs = tokens = 0
    for place, (_, labels) in enumerate(batches.batches_of_pass(number)):
        if place == count:
            break
        pairs += int((labels[:, 0] != 0).sum())
        tokens += int((labels != 0).sum())
    return pairs, tokens


def report(name, pairs, tokens, begin):
    """Prints a row."""
    seconds = time.perf_counter() - begin
    memory = psutil.Process().memory_info()
    speed = "" if tokens is None else f"{tokens / seconds:,.0f}"
    own = (memory.rss - memory.shared) / 2**20
    print(
        f"| {name} | {pairs / seconds:,.0f} | {speed} | {own:,.0f} | {memory.rss / 2**20:,.0f} |", flush=True
    )


if __name__ == "__main__":
    command_line.run(main)

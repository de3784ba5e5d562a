"""Writes a small parallel corpus to practise on: python -m examples.number_words FOLDER

Pairs like "four hundred and twelve" <tab> "412" for all numbers below 10,000, in three TSV files. Put your
own files in their place: one pair a line, source and target separated by a tab.
"""

import random
import sys
from pathlib import Path

UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
).split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()


def in_words(number):
    """0 <= number < 10,000 in British English."""
    if number < 20:
        return UNITS[number]
    if number < 100:
        tens, units = divmod(number, 10)
        return TENS[tens - 2] + (f"-{UNITS[units]}" if units else "")
    if number < 1000:
        hundreds, rest = divmod(number, 100)
        return f"{UNITS[hundreds]} hundred" + (f" and {in_words(rest)}" if rest else "")
    thousands, rest = divmod(number, 1000)
    joint = " and " if rest < 100 else " "
    return f"{UNITS[thousands]} thousand" + (joint + in_words(rest) if rest else "")


def main():
    """Shuffles with a fixed seed and writes train.tsv, validation.tsv and test.tsv."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m examples.number_words FOLDER")
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    numbers = random.Random(0).sample(range(10_000), 10_000)
    splits = {"train": numbers[:9000], "validation": numbers[9000:9500], "test": numbers[9500:]}
    for split, members in splits.items():
        lines = "".join(f"{in_words(number)}\t{number}\n" for number in members)
        (folder / f"{split}.tsv").write_text(lines, encoding="utf-8")
        print(f"{folder / split}.tsv: {len(members):,} pairs")


if __name__ == "__main__":
    main()

"""Makes training data of Tatoeba's pairs: python -m examples.tatoeba_pairs deu_eng.tsv.gz tatoeba

The file holds German, a tab, English; further columns are ignored. The same sentence stands in several pairs
of Tatoeba, so the splits are made by sentence: no training pair shares its German or its English side, case
and punctuation aside, with a pair of the validation or the test set.
"""

import argparse
import gzip
import random
from pathlib import Path

HELD_OUT = 1000  # pairs of the validation set, and of the test set


def main(arguments=None):
    """Reads the command line, and writes the three files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path, help="pairs, plain or gzip")
    parser.add_argument("folder", type=Path, help="where train.tsv, validation.tsv and test.tsv are written")
    options = parser.parse_args(arguments)
    open_ = gzip.open if options.file.suffix == ".gz" else open
    with open_(options.file, "rt", encoding="utf-8") as lines:
        pairs = sorted({tuple(line.rstrip("\n").split("\t")[:2]) for line in lines})
    options.folder.mkdir(parents=True, exist_ok=True)
    for split, chosen in splits([pair for pair in pairs if all(map(plain, pair))]).items():
        text = "".join(f"{german}\t{english}\n" for german, english in chosen)
        (options.folder / f"{split}.tsv").write_text(text, encoding="utf-8")
        print(f"{options.folder / split}.tsv: {len(chosen):,} pairs")


def splits(pairs, held_out=HELD_OUT):
    """Pairs of texts as {"train": ..., "validation": ..., "test": ...}, which share no sentence."""
    pairs = random.Random(0).sample(pairs, len(pairs))
    found, seen = {}, set()
    for split in ("test", "validation"):
        free = [pair for pair in pairs if not seen & sentences(pair)]
        found[split] = free[:held_out]
        seen = seen.union(*map(sentences, found[split]))
    return {"train": [pair for pair in pairs if not seen & sentences(pair)], **found}


def sentences(pair):
    """What stands on both sides, and on which."""
    return {(side, plain(text)) for side, text in enumerate(pair)}


def plain(text):
    """Letters and digits alone, in lower case."""
    return "".join(character for character in text.casefold() if character.isalnum())


if __name__ == "__main__":
    main()

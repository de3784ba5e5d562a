"""Classifiers of texts beside a linear model: python -m benchmarks.text_classification --data_dir DATA

Two tasks of which nothing is published, and so a linear model on TF-IDF stands beside each (scikit-learn: 1-
and 2-grams of words with 1- to 5-grams of characters; logistic regression, C by the validation set):

    languages  German, English or French by the first 20 characters of a caption of Multi30k: 100 captions of
               each to learn from, 1,000 of each (test_2016_flickr) to be tested on
    speakers   which of the eight speakers with most lines in Tiny Shakespeare says a line; one speech in
               ten is for validation and two for the test, so that no test line stands beside a training line

DATA holds multi30k/ and text/. Files and runs stay in --output, a new folder.
"""

import gzip
import random
import re
import time
from collections import Counter, defaultdict
from pathlib import Path

import command_line
from benchmarks.train_step import machine
from command_line import quiet

LANGUAGES = ("de", "en", "fr")
NUM_CHARACTERS, NUM_CAPTIONS = 20, 100
NUM_SPEAKERS = 8
SPLITS = ("train", "validation", "test")
CODE_POINTS, SUB_WORDS = {"kind": "code_points"}, {"kind": "bpe", "vocabulary_size": 2000}
ENCODER = {
    "kind": "text_classifier",
    "num_layers": 2,
    "hidden_dim": 128,
    "num_heads": 4,
    "intermediate_dim": 256,
    "dropout": 0.3,
    "norm_first": True,
}
RECURRENT = {"kind": "rnn_classifier", "embedding_dim": 64, "hidden_dim": 128, "dropout": 0.5}
# Task -> tokens of a text, tokenizer, epochs.
TASKS = {"languages": (NUM_CHARACTERS + 1, CODE_POINTS, 80), "speakers": (32, SUB_WORDS, 8)}


def main(arguments=None):
    """Makes the data, trains, and prints the table."""
    parser = command_line.parser("benchmarks.text_classification", __doc__)
    parser.add_argument("--data_dir", type=Path, required=True, help="folder with multi30k/ and text/")
    parser.add_argument("--output", type=Path, default=Path("text_classification"), help="for files and runs")
    options = parser.parse_args(arguments)
    with quiet.start_up():
        import keras  # noqa: F401
    rows = []
    makers = {"languages": languages, "speakers": speakers}
    for task, make in makers.items():
        folder = options.output / task
        write(folder, make(options.data_dir))
        rows += [(task, *row) for row in measured(task, folder)]
    print(f"{machine(2)}\n\n| task | classifier | accuracy | macro F1 | minutes |\n|---|---|---|---|---|")
    for task, name, minutes, accuracy, f1 in rows:
        print(f"| {task} | {name} | {accuracy:.1%} | {f1:.1%} | {minutes:.1f} |")


def languages(data_dir):
    """{split: pairs of text and label}, of Multi30k."""
    names = dict(zip(SPLITS, ("train", "val", "test_2016_flickr"), strict=True))
    found = defaultdict(list)
    for split, name in names.items():
        for language in LANGUAGES:
            with gzip.open(data_dir / "multi30k" / f"{name}.{language}.gz", "rt", encoding="utf-8") as file:
                texts = [line.strip()[:NUM_CHARACTERS].strip() for line in file]
            found[split] += [(text, language) for text in texts[: 1000 if split == "test" else NUM_CAPTIONS]]
    return found


def speakers(data_dir):
    """{split: pairs of text and label}, of Tiny Shakespeare."""
    text = gzip.open(data_dir / "text" / "tinyshakespeare.txt.gz", "rt", encoding="utf-8").read()
    speeches = re.findall(r"^(.+):\n((?:.+\n)+)", text, re.MULTILINE)
    sizes = Counter()
    for speaker, speech in speeches:
        sizes[speaker] += len(speech.splitlines())
    chosen = {speaker for speaker, _ in sizes.most_common(NUM_SPEAKERS)}
    speeches = [speech for speech in speeches if speech[0] in chosen]
    random.Random(0).shuffle(speeches)
    found = defaultdict(list)
    for number, (speaker, speech) in enumerate(speeches):
        split = {0: "validation", 1: "test", 2: "test"}.get(number % 10, "train")
        found[split] += [(line.strip(), speaker) for line in speech.splitlines()]
    return found


def write(folder, examples):
    """A TSV file for each split."""
    folder.mkdir(parents=True)
    for split, pairs in examples.items():
        text = "".join(f"{text}\t{label}\n" for text, label in pairs)
        (folder / f"{split}.tsv").write_text(text, encoding="utf-8")


def measured(task, folder):
    """Yields name, minutes, accuracy and macro F1 of each classifier on the test split."""
    from training import python

    most = Counter(read(folder, "train")[1]).most_common(1)[0][0]
    right = read(folder, "test")[1]
    yield "always the most frequent class", 0.0, *scores(right, [most] * len(right))
    yield "linear, TF-IDF", *linear(folder)
    max_length, tokenizer, epochs = TASKS[task]
    for name, model, peak in (("Transformer", ENCODER, 1e-3), ("GRU with word attention", RECURRENT, 3e-3)):
        run, begin = folder / model["kind"], time.perf_counter()
        config = {
            "data": {
                **{split: [str(folder / f"{split}.tsv")] for split in SPLITS},
                "max_length": max_length,
            },
            "tokenizer": tokenizer,
            "model": model,
            "optimizer": {"schedule": "cosine", "warmup_steps": 100, "peak": peak, "clip_norm": 1.0},
            "fit": {"epochs": epochs, "seed": 1},
            "checkpoints": {"average": "best"},
        }
        python.train(config, run)
        minutes = (time.perf_counter() - begin) / 60
        found = python.evaluate(run)
        yield name, minutes, found["accuracy"].value, found["macro F1"].value


def read(folder, split):
    """Texts and labels of a split."""
    lines = (folder / f"{split}.tsv").read_text(encoding="utf-8").splitlines()
    return list(zip(*(line.split("\t") for line in lines), strict=True))


def scores(right, found):
    """Accuracy and macro F1."""
    from sklearn.metrics import accuracy_score, f1_score

    return accuracy_score(right, found), f1_score(right, found, average="macro", zero_division=0)


def linear(folder):
    """Minutes, accuracy and macro F1 of logistic regression on TF-IDF; C by the validation set."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union

    begin = time.perf_counter()
    data = {split: list(map(list, read(folder, split))) for split in SPLITS}

    def features():
        kinds = {"word": (1, 2), "char": (1, 5)}
        return make_union(
            *(TfidfVectorizer(analyzer=x, ngram_range=n, sublinear_tf=True) for x, n in kinds.items())
        )

    fitted = [
        make_pipeline(features(), LogisticRegression(C=strength, max_iter=1000)).fit(*data["train"])
        for strength in (0.1, 1, 10, 100, 1000)
    ]
    best = max(fitted, key=lambda model: model.score(*data["validation"]))
    found = best.predict(data["test"][0])
    return (time.perf_counter() - begin) / 60, *scores(data["test"][1], found)


if __name__ == "__main__":
    command_line.run(main)

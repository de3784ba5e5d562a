"""A tagger of words beside simpler ones: python -m benchmarks.tagging --data_dir DATA --output runs/tagging

Two tasks of which nothing is published, on captions of Multi30k, and so two simpler taggers beside ours:

    languages  which words are German, English or French? A sentence is made of two to four parts, of one to
               five words each, in lower case; neighbours are of different languages. An entity is a part.
               "die", "in", "an", "on", "." and others are words of two languages or of three.
    dates      which number is the day, which the month? "# 4711 : 03 / 05 / 2019" stands before or behind a
               caption; the month comes first if that is English, the day if it is German or French. A number
               above 12 is a day; of the other dates only the words that stand farther away tell.

    lookup  the tag that a word has most often; of languages with "B" where the language changes, and of a
            word that is new that of the word before
    linear  logistic regression (scikit-learn) on the word, two neighbours to each side, and the first and
            last one to four characters of it and of the two next to it; C by the validation set

10,000 sentences to learn from, 1,000 for validation, both of the training captions; 2,000 of the captions of
test_2016_flickr to be tested on. DATA holds multi30k/. Files and runs stay in --output, a new folder.
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
# Split -> files of Multi30k, sentences.
SPLITS = {"train": ("train", 10_000), "validation": ("train", 1_000), "test": ("test_2016_flickr", 2_000)}
# Task -> tokens that are seen together.
TASKS = {"languages": 48, "dates": 64}
MODEL = {
    "kind": "tagger",
    "num_layers": 2,
    "hidden_dim": 128,
    "num_heads": 4,
    "intermediate_dim": 256,
    "dropout": 0.2,
    "norm_first": True,
}


def main(arguments=None):
    """Makes the data, trains, and prints the table."""
    parser = command_line.parser("benchmarks.tagging", __doc__)
    parser.add_argument("--data_dir", type=Path, required=True, help="folder with multi30k/")
    parser.add_argument("--output", type=Path, default=Path("tagging"), help="for files and runs")
    parser.add_argument(
        "--tasks", type=str, nargs="+", choices=TASKS, default=list(TASKS), help="which of the two"
    )
    options = parser.parse_args(arguments)
    with quiet.start_up():
        import keras  # noqa: F401
    rows = []
    for task in options.tasks:
        make = {"languages": mixed, "dates": dated}[task]
        data = {split: sentences(options.data_dir / "multi30k", split, make) for split in SPLITS}
        write(options.output / task, data)
        rows += [(task, *row) for row in measured(data, options.output / task, TASKS[task])]
    print(
        f"{machine(2)}\n\n| task | tagger | accuracy | F1 | of types | minutes |\n|---|---|---|---|---|---|"
    )
    for task, name, minutes, accuracy, entities in rows:
        types = ", ".join(f"{kind} {row['F1']:.1%}" for kind, row in entities.types.items())
        print(f"| {task} | {name} | {accuracy.value:.1%} | {entities.value:.1%} | {types} | {minutes:.1f} |")


def sentences(folder, split, make):
    """Pairs of words and tags."""
    (name, number), captions = SPLITS[split], {}
    for language in LANGUAGES:
        with gzip.open(folder / f"{name}.{language}.gz", "rt", encoding="utf-8") as file:
            captions[language] = [re.findall(r"\w+|[^\w\s]", line.lower()) for line in file]
    draw = random.Random(split)
    return [make(captions, draw) for _ in range(number)]


def mixed(captions, draw):
    """Words of several languages, and the language of each."""
    words, tags, language = [], [], None
    for _ in range(draw.randint(2, 4)):
        language = draw.choice([other for other in LANGUAGES if other != language])
        caption = draw.choice(captions[language])
        length = min(draw.randint(1, 5), len(caption))
        start = draw.randint(0, len(caption) - length)
        words += caption[start : start + length]
        tags += [f"B-{language}"] + [f"I-{language}"] * (length - 1)
    return words, tags


def dated(captions, draw):
    """A caption with a date, and what the numbers of the date are."""
    language = draw.choice(LANGUAGES)
    day_and_month = [(f"{draw.randint(1, 28):02}", "B-day"), (f"{draw.randint(1, 12):02}", "B-month")]
    first, second = reversed(day_and_month) if language == "en" else day_and_month
    sign = draw.choice("./-")
    number, year = draw.randint(1000, 9999), draw.randint(1990, 2029)
    date = [("#", "O"), (f"{number}", "O"), (":", "O"), first, (sign, "O"), second, (sign, "O")]
    date.append((f"{year}", "B-year"))
    caption = [(word, "O") for word in draw.choice(captions[language])]
    pairs = caption + date if draw.random() < 0.5 else [*date, (":", "O"), ("#", "O"), *caption]
    return tuple(map(list, zip(*pairs, strict=True)))


def measured(data, folder, max_length):
    """Yields name, minutes, accuracy and entity F1 of each tagger on the test split."""
    from training import python
    from training.entity_measures import measure

    right = [tags for _, tags in data["test"]]
    classes = sorted({tag for tags in right for tag in tags})
    for name, tag in (("lookup", lookup), ("linear", linear)):
        begin = time.perf_counter()
        found = measure(right, tag(data), classes, "split:test")
        yield name, (time.perf_counter() - begin) / 60, *found
    begin = time.perf_counter()
    config = {
        "data": {**{split: [str(folder / f"{split}.conll")] for split in SPLITS}, "max_length": max_length},
        "tokenizer": {"kind": "bpe", "vocabulary_size": 4000},
        "model": MODEL,
        "optimizer": {"schedule": "cosine", "warmup_steps": 200, "peak": 1e-3, "clip_norm": 1.0},
        "fit": {"epochs": 12, "seed": 1},
        "checkpoints": {"average": "best"},
    }
    python.train(config, folder / "run")
    minutes = (time.perf_counter() - begin) / 60
    found = python.evaluate(folder / "run")
    print(found)
    yield "Transformer", minutes, found["accuracy"], found["entity F1"]


def write(folder, data):
    """A file of CoNLL's columns for each split."""
    folder.mkdir(parents=True)
    for split, pairs in data.items():
        text = "\n\n".join("\n".join(map(" ".join, zip(*pair, strict=True))) for pair in pairs)
        (folder / f"{split}.conll").write_text(text + "\n", encoding="utf-8")


def lookup(data):
    """The tags of the test split by what each word is most often."""
    counts = defaultdict(Counter)
    for words, tags in data["train"]:
        for word, tag in zip(words, tags, strict=True):
            counts[word][tag[2:]] += 1
    most = {word: found.most_common(1)[0][0] for word, found in counts.items()}
    ((most_of_all, _),) = sum(counts.values(), Counter()).most_common(1)
    result = []
    for words, _ in data["test"]:
        tags, before = [], None
        for word in words:
            kind = most.get(word, most_of_all if before is None else before)
            tags.append(f"{'I' if kind == before else 'B'}-{kind}" if kind else "O")
            before = kind
        result.append(tags)
    return result


def linear(data):
    """The tags of the test split by logistic regression."""
    from sklearn.feature_extraction import DictVectorizer
    from sklearn.linear_model import LogisticRegression

    vectorizer = DictVectorizer()
    inputs, labels = {}, {}
    for split, pairs in data.items():
        rows = (features(words, place) for words, _ in pairs for place in range(len(words)))
        inputs[split] = vectorizer.fit_transform(rows) if split == "train" else vectorizer.transform(rows)
        labels[split] = [tag for _, tags in pairs for tag in tags]
    fitted = [
        LogisticRegression(C=strength, max_iter=300).fit(inputs["train"], labels["train"])
        for strength in (0.1, 1, 10)
    ]
    best = max(fitted, key=lambda model: model.score(inputs["validation"], labels["validation"]))
    found = iter(best.predict(inputs["test"]))
    return [[str(next(found)) for _ in words] for words, _ in data["test"]]


def features(words, place):
    """{name: 1} of a word and its neighbours."""
    found = {}
    for offset in range(-2, 3):
        at = place + offset
        word = words[at] if 0 <= at < len(words) else ""
        found[f"{offset} {word}"] = 1
        if abs(offset) < 2:
            for length in range(1, min(len(word), 4) + 1):
                found[f"{offset} {word[:length]}-"] = found[f"{offset} -{word[-length:]}"] = 1
    return found


if __name__ == "__main__":
    command_line.run(main)

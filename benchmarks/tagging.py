"""A tagger of words beside simpler ones: python -m benchmarks.tagging --data_dir DATA --output runs/tagging

Which words are German, English or French, and where does the language change? Each sentence is made of two to
four parts, of one to five words each, from captions of Multi30k in lower case; neighbours are of different
languages. An entity is a part. "die", "in", "an", "a", "on", "." and others are words of two languages or of
three: only their neighbours tell. 10,000 sentences to learn from, 1,000 for validation, both of the training
captions; 2,000 of the captions of test_2016_flickr to be tested on. Nothing is published of this, and so two
simpler taggers stand beside it:

    lookup  the language that a word has most often, of a word that is new that of the word before; a part
            begins where the language changes
    linear  logistic regression (scikit-learn) on the word, two neighbours to each side, and the first and
            last one to four characters of it and of the two next to it; C by the validation set

DATA holds multi30k/. Files and the run stay in --output, a new folder.
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
CONFIG = {
    "tokenizer": {"kind": "bpe", "vocabulary_size": 4000},
    "model": {
        "kind": "tagger",
        "num_layers": 2,
        "hidden_dim": 128,
        "num_heads": 4,
        "intermediate_dim": 256,
        "dropout": 0.2,
        "norm_first": True,
    },
    "optimizer": {"schedule": "cosine", "warmup_steps": 200, "peak": 1e-3, "clip_norm": 1.0},
    "fit": {"epochs": 12, "seed": 1},
    "checkpoints": {"average": "best"},
}


def main(arguments=None):
    """Makes the data, trains, and prints the table."""
    parser = command_line.parser("benchmarks.tagging", __doc__)
    parser.add_argument("--data_dir", type=Path, required=True, help="folder with multi30k/")
    parser.add_argument("--output", type=Path, default=Path("tagging"), help="for files and the run")
    options = parser.parse_args(arguments)
    with quiet.start_up():
        import keras  # noqa: F401
    from training.entity_measures import measure

    data = {split: sentences(options.data_dir / "multi30k", split) for split in SPLITS}
    write(options.output, data)
    right = [tags for _, tags in data["test"]]
    classes = sorted({tag for tags in right for tag in tags})
    rows = []
    for name, tag in (("lookup", lookup), ("linear", linear)):
        begin = time.perf_counter()
        accuracy, entities = measure(right, tag(data), classes, "split:test")
        rows.append((name, accuracy, entities, begin, time.perf_counter()))
    rows.append(transformer(options.output))
    head = ["tagger", "accuracy", "F1", *LANGUAGES, "minutes"]
    print(f"{machine(2)}\n\n| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for name, accuracy, entities, begin, end in rows:
        parts = [f"{entities.types[language]['F1']:.1%}" for language in LANGUAGES]
        figures = [f"{accuracy.value:.1%}", f"{entities.value:.1%}", *parts, f"{(end - begin) / 60:.1f}"]
        print(f"| {' | '.join([name, *figures])} |")


def sentences(folder, split):
    """Pairs of words and tags."""
    name, number = SPLITS[split]
    draw = random.Random(split)
    captions = {}
    for language in LANGUAGES:
        with gzip.open(folder / f"{name}.{language}.gz", "rt", encoding="utf-8") as file:
            captions[language] = [re.findall(r"\w+|[^\w\s]", line.lower()) for line in file]
    found = []
    for _ in range(number):
        words, tags, language = [], [], None
        for _ in range(draw.randint(2, 4)):
            language = draw.choice([other for other in LANGUAGES if other != language])
            caption = draw.choice(captions[language])
            length = min(draw.randint(1, 5), len(caption))
            start = draw.randint(0, len(caption) - length)
            words += caption[start : start + length]
            tags += [f"B-{language}"] + [f"I-{language}"] * (length - 1)
        found.append((words, tags))
    return found


def write(folder, data):
    """A file of CoNLL's columns for each split."""
    folder.mkdir(parents=True)
    for split, pairs in data.items():
        text = "\n\n".join("\n".join(map(" ".join, zip(*pair, strict=True))) for pair in pairs)
        (folder / f"{split}.conll").write_text(text + "\n", encoding="utf-8")


def lookup(data):
    """The tags of the test split by the language that each word has most often."""
    counts = defaultdict(Counter)
    for words, tags in data["train"]:
        for word, tag in zip(words, tags, strict=True):
            counts[word][tag[2:]] += 1
    most = {word: found.most_common(1)[0][0] for word, found in counts.items()}
    result = []
    for words, _ in data["test"]:
        tags, before = [], None
        for word in words:
            language = most.get(word, before or LANGUAGES[0])
            tags.append(f"{'I' if language == before else 'B'}-{language}")
            before = language
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


def transformer(folder):
    """A row of the table, of a run that is trained and measured here."""
    from training import python

    begin = time.perf_counter()
    files = {split: [str(folder / f"{split}.conll")] for split in SPLITS}
    python.train(CONFIG | {"data": files | {"max_length": 48}}, folder / "run")
    end = time.perf_counter()
    found = python.evaluate(folder / "run")
    print(found)
    return "Transformer", found["accuracy"], found["entity F1"], begin, end


if __name__ == "__main__":
    command_line.run(main)

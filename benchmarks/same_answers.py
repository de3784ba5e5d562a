"""Whether all ways to one model answer alike: python -m benchmarks.same_answers --run RUN --input FILE

The file has one text a line. Each text is translated by greedy search and by beam search: eagerly, in a
graph, by the exported model in TensorFlow and through its C API, alone and among others. A batch of another
shape rounds otherwise in float32, which can turn a tie: every difference is listed with both scores.
"""

import importlib.util
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import command_line
from command_line import quiet
from command_line.search_options import SearchOptions

with quiet.start_up():
    import tensorflow as tf

    from keras_transformer.pipelines.translator import Translator
    from serving.export import export

C_API = Path(__file__).parents[1] / "tests" / "serving" / "c_api.py"
BATCH = 64
TOLERANCE = 1e-4  # of a score, a log-probability
SEARCHES = {"greedy": SearchOptions(beam=1), "beam 4": SearchOptions(beam=4)}


def batches_of(size, count):
    """Numbers of the texts, in the order of the file."""
    return [range(start, min(start + size, count)) for start in range(0, count, size)]


def ask(function, texts, batches):
    """Answers (number, translation, score) of `function`: strings (B,) -> translations, scores (B, 1)."""
    answers = []
    for batch in batches:
        outputs = function(tf.constant([texts[number] for number in batch]))
        translations, scores = (x[:, 0].numpy().tolist() for x in outputs)
        answers += zip(batch, [text.decode("utf-8") for text in translations], scores, strict=True)
    return answers


def ask_graph(translator, texts):
    """The same as the commands do it: texts of similar length together."""
    best = [hypotheses[0] for hypotheses in translator.hypotheses(texts, BATCH)]
    return [(number, answer.text, answer.score) for number, answer in enumerate(best)]


def ask_c_api(folder, texts, batches):
    """The same in a process without TensorFlow's Python."""
    ops = Path(importlib.util.find_spec("tensorflow_text").origin).parent / "python" / "ops"
    requests = [
        json.dumps({"signature": "translate_nbest", "inputs": {"text": [texts[number] for number in batch]}})
        for batch in batches
    ]
    command = [sys.executable, "-I", C_API, folder, ops / "_sentencepiece_tokenizer.so"]
    done = subprocess.run(command, input="\n".join(requests), capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(f"The C API must answer. Received: {done.stderr.splitlines()[-1]}")
    answers = []
    for batch, line in zip(batches, done.stdout.splitlines(), strict=True):
        answer = json.loads(line)
        answers += [
            (number, text, score)
            for number, (text,), (score,) in zip(batch, answer["translations"], answer["scores"], strict=True)
        ]
    return answers


def compare(expected, answers):
    """Number of equal texts, the largest difference of their scores, and what differs."""
    pairs = [(expected[number], answer) for number, *answer in answers]
    gaps = [abs(first[2] - second[1]) for first, second in pairs if first[1] == second[0]]
    wrong = [pair for pair in pairs if pair[0][1] != pair[1][0] or abs(pair[0][2] - pair[1][1]) > TOLERANCE]
    return len(gaps), max(gaps, default=0.0), wrong


def measure(run, texts, options, num_random):
    """Prints the table of one search; returns the number of differences."""
    translator = Translator.from_run(run, options.search)
    count, generator = len(texts), random.Random(1)
    in_order = batches_of(BATCH, count)
    at_random = [generator.choices(range(count), k=generator.randint(1, BATCH)) for _ in range(num_random)]
    with tempfile.TemporaryDirectory() as base:
        folder = export(run, base, search=options)
        model = tf.saved_model.load(str(folder))

        def served(text):
            answer = model.signatures["translate_nbest"](text=text)
            return answer["translations"], answer["scores"]

        def served_by_default(text):
            translations = model.signatures["serving_default"](text=text)["translation"]
            return translations[:, None], served(text)[1]

        ways = {
            f"eager, batches of {BATCH}": lambda: ask(translator.n_best, texts, in_order),
            "graph, similar lengths together": lambda: ask_graph(translator, texts),
            f"SavedModel, batches of {BATCH}": lambda: ask(served, texts, in_order),
            f"serving_default, batches of {BATCH}": lambda: ask(served_by_default, texts, in_order),
            f"C API, batches of {BATCH}": lambda: ask_c_api(folder, texts, in_order),
            "SavedModel, each text alone": lambda: ask(served, texts, batches_of(1, count)),
            f"SavedModel, {num_random} random batches": lambda: ask(served, texts, at_random),
        }
        print(f"{'way':<38}{'answers':>8}{'equal':>7}{'score':>9}{'differ':>7}", flush=True)
        expected, differences = None, []
        for way, function in ways.items():
            answers = function()
            expected = expected or answers
            equal, gap, wrong = compare(expected, answers)
            differences += [(way, *pair) for pair in wrong]
            print(f"{way:<38}{len(answers):>8}{equal:>7}{gap:>9.1e}{len(wrong):>7}", flush=True)
    for way, (number, *first), second in differences:
        print(f"line {number + 1}, {way}\n  {first[1]:.6f} {first[0]}\n  {second[1]:.6f} {second[0]}")
    return len(differences)


def main(arguments=None):
    """Reads the command line, compares, and ends with status 1 if anything differs."""
    parser = command_line.parser("benchmarks.same_answers", __doc__)
    parser.add_argument("--run", type=str, required=True, help="run folder of training.train")
    parser.add_argument("--input", type=str, required=True, help="file with one text a line")
    parser.add_argument("--random_batches", type=int, default=50, help="number of batches drawn at random")
    options = parser.parse_args(arguments)
    texts = Path(options.input).read_text(encoding="utf-8").splitlines()
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, TensorFlow {tf.__version__}; {len(texts)} texts")
    print("score: largest difference where the texts are equal; differ: other text, or score by over 1e-4")
    total = 0
    for name, search in SEARCHES.items():
        print(f"\n{name}")
        total += measure(options.run, texts, search, options.random_batches)
    sys.exit(1 if total else 0)


if __name__ == "__main__":
    command_line.run(main)

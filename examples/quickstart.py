"""Trains a date reader, measures it, looks into it, exports it and asks it: python -m examples.quickstart"""

import os
import subprocess
import sys
import time
from pathlib import Path

import command_line
from command_line import quiet
from keras_transformer_programs import hints

with quiet.start_up():
    from keras_transformer.attention_maps import attention_map
    from keras_transformer.pipelines.translator import Translator
    from serving.export import export
    from training import evaluate, train

ROOT = Path(__file__).parent.parent
QUESTION = "среда, 5 марта 2031 г."


def main():
    """Runs the whole path once, with a headline for each step."""
    start = time.monotonic()
    run = unused(Path("runs") / "quickstart")
    exported = run / "exported"

    headline("1. Train a Transformer to read dates in seventeen languages")
    train.main(["--config", "dates", "--output", str(run)])

    headline("2. Measure it on 2,000 dates whose days it has never seen")
    print("\n".join(evaluate.evaluate(run, "test").lines()))

    headline("3. Look into it")
    source, target, weights = Translator.from_run(run).attention(QUESTION)
    picture = run / "attention.png"
    title = "Attention of the last decoder layer, mean of its heads"
    attention_map(weights[-1].mean(axis=0), source, target, title).savefig(picture, dpi=150)
    print(f"attention map: {picture}")

    headline("4. Export it, and ask it in a process that has only TensorFlow and TF Text")
    version = export(run, exported)
    program = [sys.executable, str(ROOT / "examples/ask_saved_model.py"), str(version), QUESTION]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    answer = subprocess.run(
        program, capture_output=True, text=True, encoding="utf-8", env=environment, check=False
    )
    if answer.returncode:
        sys.exit(f"error: the exported model did not answer.\n{answer.stderr}")
    print(f"{QUESTION}  ->  {answer.stdout.strip()}")

    headline(f"Done in {time.monotonic() - start:.0f} s. What next")
    print("\n".join(what_next(run)))


def what_next(run):
    """Lines to paste: they begin with the environment's path, unless it is active."""
    tensorboard = hints.script("tensorboard") or "tensorboard"
    help_text = hints.command("training.train", "--config", "parallel_text", "--help")
    return [
        hints.command("training.translate", "--run", run, "3 février 1987"),
        f"{tensorboard} --logdir {run / 'logs'}",
        f"{help_text}   # your own pairs: README.md",
    ]


def headline(text):
    """Prints a title with room above it."""
    print(f"\n{text}\n{'-' * len(text)}", flush=True)


def unused(path):
    """The path itself, or with the first number that makes a name that does not exist."""
    candidates = [path, *(path.with_name(f"{path.name}-{number}") for number in range(2, 1000))]
    return next(candidate for candidate in candidates if not candidate.exists())


if __name__ == "__main__":
    command_line.run(main)

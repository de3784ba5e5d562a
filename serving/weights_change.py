"""What small weights change: of the answers, and of the measures of `training.evaluate`.

The measures are of files that are named, else of the run's test data, else of its validation data. A run
whose data is not there, as that of an imported model, is compared by its answers alone.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_transformer.saving import model_files
from keras_transformer_programs import child

# A vector changes with each bit: of embedders more texts are compared than the samples of an export.
NUM_TEXTS = 64


def of_answers(pipeline, served, weights) -> str:
    """Rounds the small weights of a pipeline, and says how its answers change.

    Args:
        pipeline: with `SmallWeight`s.
        served: what is exported of it.
        weights: how they are called.

    Raises:
        ValueError: a weight cannot be so small.
    """
    function = served.functions["serving_default"]
    requests = [inputs for name, inputs in served.samples if name == "serving_default"]
    if "embed" in served.functions:
        requests = [{"text": _texts(pipeline.tokenizer)}]
    requests = [{name: tf.constant(value) for name, value in inputs.items()} for inputs in requests]
    before = [function(**inputs) for inputs in requests]
    for weight in weights:
        weight.round()
    after = [function(**inputs) for inputs in requests]
    if not requests:
        return "answers are drawn anew each time"
    said = []
    for name in before[0]:
        old, new = (np.concatenate([answer[name].numpy() for answer in found]) for found in (before, after))
        if old.dtype.kind == "O":
            said.append(
                f"{name}: {np.all(old == new, axis=tuple(range(1, old.ndim))).sum()} of {len(old)} equal"
            )
        elif name == "embedding":
            lengths = np.linalg.norm(old, axis=1) * np.linalg.norm(new, axis=1)
            cosines = np.sum(old * new, axis=1) / np.maximum(lengths, 1e-30)
            said.append(
                f"{name}: cosine {cosines.mean():.5f}, of {len(old)} texts at least {cosines.min():.5f}"
            )
        else:
            said.append(f"{name}: differ by at most {np.abs(old - new).max():.2g}")
    return "; ".join(said)


def of_measures(run, checkpoint, model, search, files) -> Iterator[str]:
    """Measures a run with its own weights and with others, on data, in processes of their own.

    Args:
        run: the run folder.
        checkpoint: which of its models; model.keras if None.
        model: the same with the other weights.
        search: `SearchOptions`; None for what does not decode.
        files: see `--files` of `training.evaluate`; none for the run's own data.

    Yields:
        Lines, "float32: ..." and "small: ...".

    Raises:
        ValueError: the files cannot be measured.
    """
    options = [] if search is None else _given(search)
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / "run"
        shutil.copytree(run, small, ignore=shutil.ignore_patterns("checkpoints", "logs", "*.keras"))
        model_files.save_model(model, small / "model.keras")
        of_run = ["--run", run, *(["--checkpoint", checkpoint] if checkpoint else [])]
        choices = [["--files", *files]] if files else [["--data", split] for split in ("test", "validation")]
        for data in choices:
            done, said = _evaluate(*of_run, *data, *options)
            if done:
                break
        else:
            if files:
                raise ValueError(f"`test_files` must be measured. Received: {_reason(said)}")
            yield f"not measured on data: {_reason(said)}"
            return
        yield from (f"float32: {line}" for line in said)
        _, said = _evaluate("--run", small, *data, *options)
        yield from (f"small: {line}" for line in said)


def _evaluate(*options):
    """Whether `training.evaluate` ended well, and the lines that it printed."""
    done = subprocess.run(
        child.command("training.evaluate", *options),
        # This process has the GPU's memory.
        env=child.environment(CUDA_VISIBLE_DEVICES="-1"),
        capture_output=True,
        text=True,
        check=False,
    )
    lines = (done.stderr if done.returncode else done.stdout).strip().splitlines()
    return not done.returncode, lines or [f"status {done.returncode}"]


def _reason(said):
    """What a command that failed said, without the word before it."""
    return said[-1].removeprefix("error: ")


def _given(search):
    """The options of a search that were given, but for the number of results."""
    values = {field.name: getattr(search, field.name) for field in fields(search) if field.name != "n_best"}
    given = {name: values[name] for name in values if values[name] != getattr(type(search)(), name)}
    return [word for name, value in given.items() for word in (f"--{name}", value)]


def _texts(tokenizer):
    """Texts of 1 to 16 pieces, drawn alike each time."""
    draw = np.random.default_rng(1)
    ids = [draw.integers(4, tokenizer.vocabulary_size, 1 + number % 16) for number in range(NUM_TEXTS)]
    return [text.decode("utf-8", "replace") for text in tokenizer.detokenize(tf.ragged.constant(ids)).numpy()]

"""Plan of a training, made before its first step: micro-batches, XLA or not; and what it costs."""

import json
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import tensorflow as tf

from keras_transformer.saving.run_files import read_json
from training import trial
from training.atomic import write_text

PLAN_FILE = "plan.json"
# Shorter trainings on a CPU are not worth the minute that trying XLA takes.
LONG_TRAINING = 5000  # steps


@dataclass(frozen=True)
class Plan:
    """Answers to what the configuration leaves open; written once, so that a resumed training keeps them.

    Args:
        num_micro_batches: parts that a batch is split into.
        jit_compile: whether XLA compiles the training step.
        data: {split: digest of its batches' examples}; None in run folders that are older.
    """

    num_micro_batches: int
    jit_compile: bool
    data: dict[str, str] | None = None

    @classmethod
    def read(cls, folder: Path) -> "Plan":
        """The plan of a run folder. Raises ValueError or OSError if it has none or a damaged one."""
        path = folder / PLAN_FILE
        values = read_json(path)
        count, jit_compile = values.get("num_micro_batches"), values.get("jit_compile")
        data = values.get("data")
        is_good = type(count) is int and count > 0 and type(jit_compile) is bool
        if not is_good or not (data is None or isinstance(data, dict)):
            raise ValueError(f"{path} must be what training.train wrote. Received: {str(values)[:200]}.")
        return cls(count, jit_compile, data)

    def write(self, folder: Path) -> None:
        """Enters the plan into a run folder."""
        write_text(folder / PLAN_FILE, json.dumps(asdict(self)))

    def check_data(self, digests: dict[str, str], folder: Path) -> None:
        """Raises ValueError if the data is not that with which the training in a run folder began."""
        for split in [*digests, *(self.data or {})]:
            if self.data is not None and self.data.get(split) != digests.get(split):
                raise ValueError(
                    f"A training goes on with the data that it began with. Received: other {split} data than "
                    f"that of {folder}. --accept_changed_data goes on with it all the same."
                )


def check_replicas(config, num_replicas: int) -> None:
    """Raises ValueError if the configuration leaves open or asks for what several devices cannot have."""
    if num_replicas == 1:
        return
    if config.fit.num_micro_batches == "auto":
        raise ValueError(
            "`fit.num_micro_batches` must be a number where several devices share a batch. Received: auto."
        )
    if config.fit.jit_compile == "on":
        raise ValueError(
            "`fit.jit_compile` must be auto or off where several devices share a batch: XLA cannot compile "
            "the sum over them. Received: on."
        )


def find_num_micro_batches(task, memory_limit: int | None = None) -> int:
    """The smallest number of micro-batches with which a step of the longest shape fits into memory.

    Each number is tried in a process of its own: 1, 2, 4, ...

    Args:
        task: the run's `Task`, with tokenizers; only `fit.num_micro_batches: auto` is tried.
        memory_limit: see `trial.run`.

    Raises:
        ValueError: one row at a time does not fit.
    """
    if task.config.fit.num_micro_batches != "auto":
        return task.config.fit.num_micro_batches
    count = 1
    while True:
        # All micro-batches have the same number of rows.
        shape = task.largest_shape(count)
        cost = trial.run(task.config, trial.Step(task.sizes, shape, count), memory_limit)
        told = "not enough memory" if cost is None else f"{cost.memory / 2**20:,.0f} MiB"
        print(f"batch of {in_words(shape)} in {count} micro-batches: {told}", flush=True)
        if cost is not None:
            return count
        if count >= task.largest_shape()[0]:
            raise ValueError(
                "A training step on one row of the largest shape must fit into memory. "
                f"Received: {in_words((1, *shape[1:]))}, which does not."
            )
        count *= 2


def choose_jit_compile(task, batches, steps: int, num_micro_batches: int) -> bool:
    """Whether XLA compiles the step: as configured; "auto" is on for GPUs, and tried for long CPU runs.

    On a CPU each shape takes 10 s and more to compile; XLA is chosen if a trial of both ways on the most
    frequent shape says that the steps win more than that back.

    Args:
        task: the run's `Task`, with tokenizers.
        batches: of the training.
        steps: of the whole training.
        num_micro_batches: parts that a batch is split into.
    """
    if task.config.fit.jit_compile != "auto":
        return task.config.fit.jit_compile == "on"
    if tf.config.list_physical_devices("GPU"):
        return True
    if steps < LONG_TRAINING:
        return False
    step = trial.Step(task.sizes, most_frequent(batches).shape, num_micro_batches)
    plain, compiled = (trial.run(task.config, replace(step, jit_compile=flag)) for flag in (False, True))
    if plain is None or compiled is None:
        return False
    num_shapes = len(batches.shapes)
    is_worth_it = (plain.seconds - compiled.seconds) * steps > compiled.first_seconds * num_shapes
    print(
        f"a step of {in_words(step.shape)}: {plain.seconds:.3f} s; with XLA "
        f"{compiled.seconds:.3f} s, after {compiled.first_seconds:.0f} s for each of {num_shapes} shapes. "
        f"XLA is {'on' if is_worth_it else 'off'}",
        flush=True,
    )
    return is_worth_it


def most_frequent(batches) -> Any:
    """The `pipeline.Shape` that most of the batches have."""
    return max(batches.shapes, key=lambda shape: shape.num_batches)


def in_words(shape) -> str:
    """(8, 16, 16) -> "8 x 16 x 16"."""
    return " x ".join(map(str, shape))


def describe(task, batches, settled: Plan) -> str:
    """The plan as a page of text: model, steps, shapes; time and memory by a trial of two shapes.

    Args:
        task: the run's `Task`, with tokenizers.
        batches: of the training.
        settled: the answers to what the configuration leaves open.
    """
    config, frequent = task.config, most_frequent(batches).shape
    largest = max((shape.shape for shape in batches.shapes), key=math.prod)
    options = {"num_micro_batches": settled.num_micro_batches, "jit_compile": settled.jit_compile}
    costs = {
        shape: trial.run(config, trial.Step(task.sizes, shape, **options))
        for shape in dict.fromkeys([frequent, largest])
    }
    usual, most = costs[frequent], costs[largest]
    steps_per_epoch = len(batches) if config.fit.steps_per_epoch is None else config.fit.steps_per_epoch
    steps = steps_per_epoch * config.fit.epochs

    lines = [
        f"steps       {steps:,}: {config.fit.epochs} epochs of {steps_per_epoch:,}; "
        f"a pass over the data has {len(batches):,}",
        f"precision   {config.fit.precision}, XLA {'on' if settled.jit_compile else 'off'}, "
        f"{settled.num_micro_batches} micro-batches",
        f"shapes      {len(batches.shapes)} ({batches.AXES}: batches in a pass)",
    ]
    for shape in batches.shapes:
        lines.append(f"            {in_words(shape.shape)}: {shape.num_batches:,}")
    if usual is None or most is None:
        return "\n".join([*lines, "memory      NOT ENOUGH for the largest shape"])
    places = sum(shape.num_batches * shape.num_places for shape in batches.shapes)
    seconds = usual.seconds / most_frequent(batches).num_places * places / len(batches) * steps
    compiling = usual.first_seconds * (len(batches.shapes) if settled.jit_compile else 1)
    return "\n".join(
        [
            f"parameters  {usual.num_parameters:,}",
            *lines,
            f"memory      {most.memory / 2**20:,.0f} MiB at the largest shape, measured, without the data",
            f"time        {_duration(seconds + compiling)}: {usual.seconds:.3f} s for a step of "
            f"{in_words(frequent)}, measured; without validation and translations",
        ]
    )


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"about {minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"about {max(1, minutes)} min"

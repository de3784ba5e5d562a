"""What is settled before the first step: how many micro-batches, XLA or not; and what a training costs."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import tensorflow as tf

from training import trial
from training.config import TrainingConfig

PLAN_FILE = "plan.json"
# Shorter trainings on a CPU are not worth the minute that trying XLA takes.
LONG_TRAINING = 5000  # steps


@dataclass(frozen=True)
class Plan:
    """Answers to what the configuration leaves open; written once, so that a resumed training keeps them.

    Args:
        num_micro_batches: parts that a batch is split into.
        jit_compile: whether XLA compiles the training step.
    """

    num_micro_batches: int
    jit_compile: bool

    @classmethod
    def read(cls, folder: Path) -> "Plan":
        """The plan of a run folder."""
        return cls(**json.loads((folder / PLAN_FILE).read_text(encoding="utf-8")))

    def write(self, folder: Path) -> None:
        """Enters the plan into a run folder that is being made."""
        (folder / PLAN_FILE).write_text(json.dumps(asdict(self)), encoding="utf-8")


def vocabulary(source_tokenizer, target_tokenizer) -> dict:
    """What `trial.Step` needs to know of the tokenizers."""
    return {
        "source_vocabulary_size": source_tokenizer.vocabulary_size,
        "target_vocabulary_size": target_tokenizer.vocabulary_size,
        "is_joint": source_tokenizer is target_tokenizer,
    }


def find_num_micro_batches(config: TrainingConfig, sizes: dict, memory_limit: int | None = None) -> int:
    """The smallest number of micro-batches with which a step of the longest shape fits into memory.

    Each number is tried in a process of its own: 1, 2, 4, ...

    Args:
        config: the run's; only `fit.num_micro_batches: auto` is tried.
        sizes: see `vocabulary`.
        memory_limit: see `trial.run`.

    Raises:
        ValueError: one row at a time does not fit.
    """
    if config.fit.num_micro_batches != "auto":
        return config.fit.num_micro_batches
    length = config.data.max_length
    rows = max(1, config.data.batch_tokens // length)
    count = 1
    while True:
        # All micro-batches have the same number of rows.
        shape = (-(-rows // count) * count, length, length)
        step = trial.Step(**sizes, shape=shape, num_micro_batches=count)
        cost = trial.run(config, step, memory_limit)
        told = "not enough memory" if cost is None else f"{cost.memory / 2**20:,.0f} MiB"
        print(f"batch of {shape[0]} x {length} in {count} micro-batches: {told}", flush=True)
        if cost is not None:
            return count
        if count >= rows:
            raise ValueError(
                "A training step on one row must fit into memory. "
                f"Received: data.max_length={length}, which does not."
            )
        count *= 2


def choose_jit_compile(
    config: TrainingConfig, sizes: dict, batches, steps: int, num_micro_batches: int
) -> bool:
    """Whether XLA compiles the step: as configured; "auto" is on for GPUs, and tried for long CPU runs.

    On a CPU each shape takes 10 s and more to compile; XLA is chosen if a trial of both ways on the most
    frequent shape says that the steps win more than that back.

    Args:
        config: the run's.
        sizes: see `vocabulary`.
        batches: the `pipeline.BucketBatches` of the training.
        steps: of the whole training.
        num_micro_batches: parts that a batch is split into.
    """
    if config.fit.jit_compile != "auto":
        return config.fit.jit_compile == "on"
    if tf.config.list_physical_devices("GPU"):
        return True
    if steps < LONG_TRAINING:
        return False
    step = trial.Step(**sizes, shape=frequent_shape(batches), num_micro_batches=num_micro_batches)
    plain, compiled = (trial.run(config, replace(step, jit_compile=flag)) for flag in (False, True))
    if plain is None or compiled is None:
        return False
    num_shapes = len(batches.buckets)
    is_worth_it = (plain.seconds - compiled.seconds) * steps > compiled.first_seconds * num_shapes
    print(
        f"a step of {' x '.join(map(str, step.shape))}: {plain.seconds:.3f} s; with XLA "
        f"{compiled.seconds:.3f} s, after {compiled.first_seconds:.0f} s for each of {num_shapes} shapes. "
        f"XLA is {'on' if is_worth_it else 'off'}",
        flush=True,
    )
    return is_worth_it


def frequent_shape(batches) -> tuple[int, int, int]:
    """The (rows, source length, target length) that most of the batches have."""
    return shape_of(max(batches.buckets, key=lambda bucket: bucket.num_batches))


def shape_of(bucket) -> tuple[int, int, int]:
    """(rows, source length, target length) of a bucket's batches."""
    return bucket.batch_size, bucket.source_length, bucket.target_length


def describe(config: TrainingConfig, sizes: dict, batches, settled: Plan) -> str:
    """The plan as a page of text: model, steps, shapes; time and memory by a trial of two shapes.

    Args:
        config: the run's.
        sizes: see `vocabulary`.
        batches: the `pipeline.BucketBatches` of the training.
        settled: the answers to what the configuration leaves open.
    """
    options = {"num_micro_batches": settled.num_micro_batches, "jit_compile": settled.jit_compile}
    largest = shape_of(max(batches.buckets, key=lambda bucket: bucket.batch_size * bucket.target_length))
    shapes = dict.fromkeys([frequent_shape(batches), largest])
    costs = {shape: trial.run(config, trial.Step(**sizes, shape=shape, **options)) for shape in shapes}
    usual, most = costs[frequent_shape(batches)], costs[largest]
    steps_per_epoch = config.fit.steps_per_epoch or len(batches)
    steps = steps_per_epoch * config.fit.epochs

    lines = [
        f"steps       {steps:,}: {config.fit.epochs} epochs of {steps_per_epoch:,}; "
        f"a pass over the data has {len(batches):,}",
        f"precision   {config.fit.precision}, XLA {'on' if settled.jit_compile else 'off'}, "
        f"{settled.num_micro_batches} micro-batches",
        f"shapes      {len(batches.buckets)} (rows x source x target: batches in a pass)",
    ]
    for bucket in batches.buckets:
        shape = " x ".join(map(str, shape_of(bucket)))
        lines.append(f"            {shape}: {bucket.num_batches:,}")
    if usual is None or most is None:
        return "\n".join([*lines, "memory      NOT ENOUGH for the largest shape"])
    rows, _, length = frequent_shape(batches)
    places = sum(bucket.num_batches * bucket.batch_size * bucket.target_length for bucket in batches.buckets)
    seconds = usual.seconds / (rows * length) * places / len(batches) * steps
    compiling = usual.first_seconds * (len(batches.buckets) if settled.jit_compile else 1)
    return "\n".join(
        [
            f"parameters  {usual.num_parameters:,}",
            *lines,
            f"memory      {most.memory / 2**20:,.0f} MiB at the largest shape, measured, without the data",
            f"time        {_duration(seconds + compiling)}: {usual.seconds:.3f} s for a step of "
            f"{rows} x {length} target places, measured; without validation and translations",
        ]
    )


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"about {minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"about {max(1, minutes)} min"

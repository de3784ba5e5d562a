"""Second stage: data, tokenizers, batches, and what the configuration leaves open."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

from training import checkpointing, devices, initial, memory, plan, tasks
from training import config as configs
from training.run_config import RunConfig
from training.stages.settle import Start


@dataclass(frozen=True)
class Data:
    """What a training needs besides its model.

    Attributes:
        task: with examples and tokenizers.
        batches: {split: `pipeline.Batches`}.
        steps_per_epoch: of the training.
        settled: how a step is made, and the digests of the examples.
    """

    task: tasks.Task
    batches: dict
    steps_per_epoch: int
    settled: plan.Plan

    @property
    def total_steps(self) -> int:
        """Optimizer steps of the whole training."""
        return self.steps_per_epoch * self.task.config.fit.epochs


def read(start: Start) -> Data:
    """The data of a training; that of an unfinished run must be what it began with, unless told.

    Raises:
        ValueError: the data cannot be used, or is not the same as before or as of the other workers.
    """
    data = prepare(start.config, start.unfinished, start.strategy.num_replicas_in_sync)
    digests = {split: batches.digest() for split, batches in data.batches.items()}
    devices.check_same(start.strategy, "data", json.dumps(digests).encode())
    if start.unfinished and not start.accepts_changed_data:
        data.settled.check_data(digests, start.unfinished)
    settled = replace(data.settled, data=digests)
    if start.unfinished and settled != data.settled and start.is_chief:
        settled.write(start.unfinished)
    return replace(data, settled=settled)


def prepare(config: RunConfig, unfinished: Path | None = None, num_replicas: int = 1) -> Data:
    """What `read` does, without looking whether the data changed.

    Args:
        config: see `training.config`.
        unfinished: run folder of a training that was interrupted: its tokenizers and its plan are kept.
        num_replicas: equal parts of each batch, over all workers and their devices.
    """
    configs.check(config)
    plan.check_replicas(config, num_replicas)
    memory.check_model(config)
    task = tasks.make(config)
    task.load()
    checkpointing.check(config, has_validation=task.has("validation"))
    before = unfinished or config.initial.run
    if before is not None:
        task.keep_classes(Path(before))
    if unfinished:
        task.load_tokenizers(unfinished)
        settled = plan.Plan.read(unfinished)
        num_micro_batches = settled.num_micro_batches
    else:
        if initial.keeps_tokenizers(config):
            task.load_tokenizers(Path(config.initial.run))
        else:
            task.train_tokenizers()
        num_micro_batches = plan.find_num_micro_batches(task)
    batches = {}
    for split in ("train", "validation"):
        if task.has(split):
            batches[split] = task.batches(split, num_micro_batches * num_replicas)
            print(f"{split}: {batches[split].summary()}")
    steps_per_epoch = config.fit.steps_per_epoch
    if steps_per_epoch is None:
        steps_per_epoch = len(batches["train"])
    if not unfinished:
        steps = steps_per_epoch * config.fit.epochs
        jit_compile = num_replicas == 1 and plan.choose_jit_compile(
            task, batches["train"], steps, num_micro_batches
        )
        settled = plan.Plan(num_micro_batches, jit_compile)
    return Data(task, batches, steps_per_epoch, settled)

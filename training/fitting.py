"""From a configuration to a run folder: data, tokenizers, model, `fit`."""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import keras

from keras_transformer.callbacks import MetricsFile, Resume, Throughput, restore
from training import checkpointing, initial, plan, run_folder, tasks
from training.config import RunConfig

# In the run folder, while the training lasts: what it goes on from after an interruption.
CHECKPOINTS = "checkpoints/resume"


@dataclass(frozen=True)
class Prepared:
    """What a training needs besides its model."""

    task: tasks.Task
    batches: dict  # split -> `pipeline.Batches`
    steps_per_epoch: int
    settled: plan.Plan


def train(config: RunConfig, output: Path):
    """Trains by a configuration, or goes on with a training that was interrupted.

    Args:
        config: see `training.config`.
        output: the run folder. It must not exist, or hold an unfinished run of the same configuration,
            which then goes on from its last checkpoint as if nothing had happened.

    Returns:
        The trained model.

    Raises:
        ValueError: the configuration or the data cannot be used, or `output` holds something else. A
            folder that was made here is removed again if nothing has been learnt.
    """
    output = Path(output)
    config = initial.settled(config, output)
    goes_on = run_folder.is_unfinished(output, config)
    keras.utils.set_random_seed(config.fit.seed)
    keras.config.set_dtype_policy(config.fit.precision)
    prepared = prepare(config, output if goes_on else None)
    task, batches, settled = prepared.task, prepared.batches, prepared.settled
    steps_per_epoch = prepared.steps_per_epoch
    model, epoch = restore(output / CHECKPOINTS) or (None, 0)
    if model is None:
        model = task.make_model(task.sizes)
        if config.initial.run is not None:
            initial.take_weights(model, task)
        model.freeze(config.fit.freeze)
        total_steps = steps_per_epoch * config.fit.epochs
        tasks.compile_model(model, task, total_steps, settled.jit_compile, settled.num_micro_batches)
    print(f"{task.summary()}; {model.count_params():,} parameters")
    if goes_on:
        print(f"going on after {epoch} of {config.fit.epochs} epochs")
    else:
        run_folder.make(output, config, task, settled)
    quality = task.quality(model)
    try:
        model.fit(
            batches["train"].stream(epoch * steps_per_epoch),
            steps_per_epoch=steps_per_epoch,
            initial_epoch=epoch,
            epochs=config.fit.epochs,
            validation_data=batches["validation"].dataset() if "validation" in batches else None,
            callbacks=make_callbacks(output, config, quality),
            shuffle=False,  # it is shuffled already
            verbose=1 if sys.stdout.isatty() else 2,
        )
    except BaseException:
        if not goes_on and not any((output / "checkpoints").iterdir()):
            shutil.rmtree(output)  # nothing was learnt that would be lost
        raise
    model = checkpointing.final_model(model, config.checkpoints, output)
    run_folder.save_model(model, output)
    shutil.rmtree(output / CHECKPOINTS, ignore_errors=True)
    print(f"run folder: {output}")
    return model


def dry_run(config: RunConfig) -> str:
    """What a training would do and cost, as a page of text; see `plan.describe`. Trains nothing."""
    prepared = prepare(config)
    return plan.describe(prepared.task, prepared.batches["train"], prepared.settled)


def prepare(config: RunConfig, unfinished: Path | None = None) -> Prepared:
    """Data, tokenizers, batches, and what the configuration leaves open.

    Args:
        config: see `training.config`.
        unfinished: run folder of a training that was interrupted: its tokenizers and its plan are kept.
    """
    task = tasks.make(config)
    task.load()
    checkpointing.check(config, has_validation=task.has("validation"))
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
            batches[split] = task.batches(split, num_micro_batches)
            print(f"{split}: {batches[split].summary()}")
    steps_per_epoch = config.fit.steps_per_epoch or len(batches["train"])
    if not unfinished:
        steps = steps_per_epoch * config.fit.epochs
        jit_compile = plan.choose_jit_compile(task, batches["train"], steps, num_micro_batches)
        settled = plan.Plan(num_micro_batches, jit_compile)
    return Prepared(task, batches, steps_per_epoch, settled)


def make_callbacks(output: Path, config: RunConfig, quality=None):
    """Quality, metrics file, TensorBoard, what `train` goes on from, and what is done with checkpoints.

    The order counts: validation, translation and the checkpoint are of the averaged weights, if there are
    any; what comes after the translation finds BLEU in its logs.
    """
    averages = None
    if config.optimizer.ema_momentum is not None:
        averages = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    callbacks = [
        Throughput(),
        averages,
        quality,
        Resume(output / CHECKPOINTS),
        MetricsFile(output / "metrics.jsonl"),
        keras.callbacks.TensorBoard(output / "logs", write_graph=False),
        *checkpointing.make_callbacks(config.checkpoints, output, averages),
    ]
    return [callback for callback in callbacks if callback is not None]

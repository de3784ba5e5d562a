"""From a configuration to a run folder: data, tokenizers, model, `fit`."""

import contextlib
import json
import shutil
import sys
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import keras

from keras_transformer.callbacks import (
    FiniteLoss,
    MetricsFile,
    NotFinite,
    Resume,
    ResumeEnd,
    Throughput,
    finish,
    num_epochs,
    restore,
)
from keras_transformer.model_files import load_model
from training import checkpointing, devices, initial, memory, plan, run_folder, run_lock, tasks
from training import config as configs
from training.config import RunConfig


@dataclass(frozen=True)
class Prepared:
    """What a training needs besides its model."""

    task: tasks.Task
    batches: dict  # split -> `pipeline.Batches`
    steps_per_epoch: int
    settled: plan.Plan


@devices.lost_workers_told()
@memory.too_little_told()
def train(
    config: RunConfig, output: Path, continues: bool = False, accept_changed_data: bool = False
) -> keras.Model:
    """Trains by a configuration, or goes on with a training that was interrupted.

    Args:
        config: see `training.config`.
        output: the run folder. It must not exist, or hold an unfinished run of the same configuration,
            which then goes on from its last checkpoint as if nothing had happened.
        continues: whether it may also hold a run, finished or not, of fewer epochs, which goes on for more.
        accept_changed_data: whether a run goes on with other data than it began with.

    Returns:
        The trained model.

    Raises:
        ValueError: the configuration or the data cannot be used, `output` holds something else or is
            another process's, or the loss is no number any more. A folder that was made here is removed again
            if nothing has been learnt. Among several workers a finished run of the same configuration is no
            error, but returned as it is.
    """
    output = Path(output)
    configs.check(config)
    # The chief alone writes.
    with run_lock.held(output) if devices.is_chief() else contextlib.nullcontext():
        return _train(config, output, continues, accept_changed_data)


def _train(config, output, continues, accept_changed_data):
    config = initial.settled(config, output)
    strategy = devices.make_strategy(config.fit.num_devices, asdict(config))
    found = devices.from_chief(strategy, lambda: run_folder.find(output, config, continues))
    if found == run_folder.FINISHED:
        if devices.num_workers() == 1:  # else one was killed behind the end, and all were started again
            run_folder.refuse_finished(output)
        print(f"run folder: {output}, finished before")
        return load_model(output / run_folder.MODEL_FILE)
    goes_on = found == run_folder.UNFINISHED
    keras.utils.set_random_seed(config.fit.seed)
    keras.config.set_dtype_policy(config.fit.precision)
    prepared = prepare(config, output if goes_on else None, strategy.num_replicas_in_sync)
    prepared = check_data(prepared, strategy, output if goes_on else None, accept_changed_data)
    checkpoints = output / run_folder.RESUME
    with strategy.scope():
        model, epoch = restore(checkpoints) or (make_model(prepared), 0)
    print(f"{prepared.task.summary()}; {model.count_params():,} parameters")
    if goes_on:
        tasks.lengthen(model.optimizer, prepared.steps_per_epoch * config.fit.epochs)
        print(f"going on after {epoch} of {config.fit.epochs} epochs")
    if not devices.is_chief():
        with tempfile.TemporaryDirectory() as folder:
            fit(model, epoch, prepared, strategy, worker_callbacks(output, Path(folder), prepared, model))
        return model
    if not goes_on:
        run_folder.make(output, config, prepared.task, prepared.settled)
    elif continues:
        run_folder.reopen(output, config)
    try:
        fit(model, epoch, prepared, strategy, make_callbacks(output, config, prepared.task.quality(model)))
        model = checkpointing.final_model(model, config.checkpoints, output)
        run_folder.save_model(model, output)
    except BaseException as error:
        has_checkpoint = any((output / "checkpoints").glob("*.keras")) or num_epochs(checkpoints) is not None
        is_lost = not goes_on and not has_checkpoint
        if is_lost:
            shutil.rmtree(output)  # nothing was learnt that would be lost
        if isinstance(error, NotFinite):
            raise ValueError(not_finite(error, output, is_kept=not is_lost)) from error
        raise
    finish(checkpoints, config.fit.epochs)
    print(f"run folder: {output}")
    return model


def not_finite(error, output, is_kept) -> str:
    """What can be done about a loss that is not finite, in the configuration's words."""
    fields = "optimizer.peak, optimizer.scale, optimizer.warmup_steps, optimizer.clip_norm"
    again = f" --initial.run {output} --initial.checkpoint last begins another run with what was good."
    return f"{error} See {fields}.{again if is_kept else ''}"


def check_data(prepared, strategy, unfinished, is_accepted) -> Prepared:
    """With the data's digests in the plan; those of an unfinished run must be the same, unless told.

    Args:
        prepared: see `prepare`.
        strategy: see `devices.make_strategy`.
        unfinished: see `prepare`.
        is_accepted: whether other data will do.
    """
    digests = {split: batches.digest() for split, batches in prepared.batches.items()}
    devices.check_same(strategy, "data", json.dumps(digests).encode())
    if unfinished and not is_accepted:
        prepared.settled.check_data(digests, unfinished)
    settled = replace(prepared.settled, data=digests)
    if unfinished and settled != prepared.settled and devices.is_chief():
        settled.write(unfinished)
    return replace(prepared, settled=settled)


def make_model(prepared: Prepared) -> keras.Model:
    """The compiled model before its first step."""
    task, config = prepared.task, prepared.task.config
    model = task.make_model(task.sizes)
    if config.initial.run is not None:
        initial.take_weights(model, task)
    model.freeze(config.fit.freeze)
    total_steps = prepared.steps_per_epoch * config.fit.epochs
    settled = prepared.settled
    tasks.compile_model(model, task, total_steps, settled.jit_compile, settled.num_micro_batches)
    return model


def fit(model, epoch, prepared: Prepared, strategy, callbacks) -> None:
    """Keras's `fit`, from the end of an epoch on."""
    batches, steps_per_epoch = prepared.batches, prepared.steps_per_epoch
    validation = {}
    if "validation" in batches:
        validation["validation_data"] = devices.share_out(batches["validation"], strategy, endless=False)
        validation["validation_steps"] = len(batches["validation"])
    model.fit(
        devices.share_out(batches["train"], strategy, epoch * steps_per_epoch),
        steps_per_epoch=steps_per_epoch,
        initial_epoch=epoch,
        epochs=prepared.task.config.fit.epochs,
        **validation,
        callbacks=callbacks,
        shuffle=False,  # it is shuffled already
        verbose=1 if sys.stdout.isatty() else 2,
    )
    # Of all that can go wrong between machines this is what would spoil the result in silence.
    devices.check_same(strategy, "weights", b"".join(weight.tobytes() for weight in model.get_weights()))


def dry_run(config: RunConfig) -> str:
    """What a training would do and cost, as a page of text; see `plan.describe`. Trains nothing."""
    prepared = prepare(config)
    return plan.describe(prepared.task, prepared.batches["train"], prepared.settled)


def prepare(config: RunConfig, unfinished: Path | None = None, num_replicas: int = 1) -> Prepared:
    """Data, tokenizers, batches, and what the configuration leaves open.

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
    return Prepared(task, batches, steps_per_epoch, settled)


def make_callbacks(output: Path, config: RunConfig, quality=None) -> list[keras.callbacks.Callback]:
    """Quality, metrics file, TensorBoard, what `train` goes on from, and what is done with checkpoints.

    The order counts: what is not finite ends the training before it is saved; validation, translation and the
    checkpoint are of the averaged weights, if there are any; what comes after the translation finds BLEU in
    its logs.
    """
    averages = make_averages(config)
    callbacks = [
        Throughput(),
        FiniteLoss(),
        ResumeEnd(output / run_folder.RESUME),
        averages,
        quality,
        Resume(output / run_folder.RESUME),
        MetricsFile(output / "metrics.jsonl"),
        keras.callbacks.TensorBoard(output / "logs", write_graph=False),
        *checkpointing.make_callbacks(config.checkpoints, output, averages),
    ]
    return [callback for callback in callbacks if callback is not None]


def make_averages(config: RunConfig) -> keras.callbacks.SwapEMAWeights | None:
    """What puts the averaged weights in place at the end of an epoch, if there are any."""
    if config.optimizer.ema_momentum is None:
        return None
    return keras.callbacks.SwapEMAWeights(swap_on_epoch=True)


def worker_callbacks(output: Path, folder: Path, prepared: Prepared, model) -> list[keras.callbacks.Callback]:
    """Those of workers that are not the chief: they take part in everything, and write nothing that stays.

    Args:
        output: the run folder, which the chief writes.
        folder: for this worker's own files.
        prepared: see `prepare`.
        model: in training.
    """
    config = prepared.task.config
    metrics = folder / "metrics.jsonl"
    if (output / metrics.name).exists():
        shutil.copy(output / metrics.name, metrics)
    averages = make_averages(config)
    callbacks = [Throughput(), FiniteLoss(), averages, prepared.task.quality(model), MetricsFile(metrics)]
    callbacks.append(checkpointing.early_stopping(config.checkpoints, metrics, averages))
    return [callback for callback in callbacks if callback is not None]

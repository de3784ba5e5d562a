"""Fourth stage: Keras's `fit`, and what is done after each epoch."""

import shutil
import sys
import tempfile
from pathlib import Path

import keras

from keras_transformer.callbacks import FiniteLoss, MetricsFile, Resume, ResumeEnd, Throughput
from training import checkpointing, devices, run_folder
from training.run_config import RunConfig
from training.stages.data import Data
from training.stages.settle import Start


def fit(start: Start, data: Data, model: keras.Model, epoch: int) -> None:
    """Trains the model from the end of an epoch on."""
    quality = data.task.quality(model)
    if start.is_chief:
        _fit(start, data, model, epoch, make_callbacks(start.output, start.config, quality))
        return
    with tempfile.TemporaryDirectory() as folder:
        _fit(start, data, model, epoch, worker_callbacks(start.output, Path(folder), start.config, quality))


def _fit(start, data, model, epoch, callbacks):
    batches, steps_per_epoch, strategy = data.batches, data.steps_per_epoch, start.strategy
    validation = {}
    if "validation" in batches:
        validation["validation_data"] = devices.share_out(batches["validation"], strategy, endless=False)
        validation["validation_steps"] = len(batches["validation"])
    model.fit(
        devices.share_out(batches["train"], strategy, epoch * steps_per_epoch),
        steps_per_epoch=steps_per_epoch,
        initial_epoch=epoch,
        epochs=start.config.fit.epochs,
        **validation,
        callbacks=callbacks,
        shuffle=False,  # it is shuffled already
        verbose=1 if sys.stdout.isatty() else 2,
    )
    # Of all that can go wrong between machines this is what would spoil the result in silence.
    devices.check_same(strategy, "weights", b"".join(weight.tobytes() for weight in model.get_weights()))


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


def worker_callbacks(
    output: Path, folder: Path, config: RunConfig, quality=None
) -> list[keras.callbacks.Callback]:
    """Those of workers that are not the chief: they take part in everything, and write nothing that stays.

    Args:
        output: the run folder, which the chief writes.
        folder: for this worker's own files.
        config: the run's.
        quality: see `Task.quality`.
    """
    metrics = folder / "metrics.jsonl"
    if (output / metrics.name).exists():
        shutil.copy(output / metrics.name, metrics)
    averages = make_averages(config)
    callbacks = [Throughput(), FiniteLoss(), averages, quality, MetricsFile(metrics)]
    callbacks.append(checkpointing.early_stopping(config.checkpoints, metrics, averages))
    return [callback for callback in callbacks if callback is not None]

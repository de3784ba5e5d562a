"""The devices that share a training: one, several of a machine, or those of several machines.

Of each batch every replica takes an equal part of the rows; the update is that of one device with the whole
batch, see `keras_transformer.models.trainer`.
"""

import contextlib
import hashlib
import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from training import rendezvous
from training.pipeline import Batches

CLUSTER = "TF_CONFIG"
# Of a CPU: to try out what several GPUs do. Each has a thread and a copy of the model.
MAX_VIRTUAL_DEVICES = 16
# What TensorFlow raises in a worker when another is not there any more.
LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
)


def make_strategy(num_devices: int, config: dict | None = None) -> tf.distribute.Strategy:
    """The strategy of a training; must come before anything that uses TensorFlow's devices.

    With the environment variable TF_CONFIG this process is one of several workers, else it is alone. Where
    there are no GPUs, several devices are virtual ones on the CPU: no faster than one, but the same code.

    Args:
        num_devices: of each worker, >= 1: GPUs if there are any.
        config: what must be the same on all workers, plain values by name.

    Raises:
        ValueError: there are fewer GPUs, TF_CONFIG is not what it must be, or see `rendezvous.meet`.
    """
    if num_devices < 1:
        raise ValueError(f"`fit.num_devices` must be at least 1. Received: {num_devices}.")
    gpus = tf.config.list_physical_devices("GPU")
    if gpus and len(gpus) < num_devices:
        raise ValueError(f"`fit.num_devices` must not be above {len(gpus)}. Received: {num_devices}.")
    if num_devices > MAX_VIRTUAL_DEVICES and not gpus:
        raise ValueError(
            f"`fit.num_devices` must not be above {MAX_VIRTUAL_DEVICES} where there is no GPU. "
            f"Received: {num_devices}."
        )
    if gpus:
        tf.config.set_visible_devices(gpus[:num_devices], "GPU")
    elif num_devices > 1:
        (cpu,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * num_devices
        )
    if num_workers() > 1:
        rendezvous.meet(*_cluster(), config or {})
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
        # TensorFlow catches it, and goes on.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        return strategy
    if num_devices > 1:
        kind = "GPU" if gpus else "CPU"
        return tf.distribute.MirroredStrategy([f"{kind}:{index}" for index in range(num_devices)])
    return tf.distribute.get_strategy()


@contextlib.contextmanager
def explain_lost_workers() -> Iterator[None]:
    """Raises ValueError in place of TensorFlow's errors when another worker has gone inside the block."""
    try:
        yield
    except LOST as error:
        if num_workers() == 1:
            raise
        raise ValueError(
            "All workers must stay until the end. Received: another one has gone, which may have said why. "
            "Started again, all go on from the last whole checkpoint."
        ) from error


def num_workers() -> int:
    """How many processes train together, this one among them.

    Raises:
        ValueError: TF_CONFIG is not what it must be.
    """
    return len(_cluster()[0])


def is_chief() -> bool:
    """Whether this is the worker that writes: the first one."""
    return _cluster()[1] == 0


def _cluster():
    """The workers' addresses and the place of this one."""
    text = os.environ.get(CLUSTER)
    if not text:
        return ["here"], 0
    example = '{"cluster": {"worker": ["HOST:PORT", ...]}, "task": {"type": "worker", "index": N}}'
    rule = f"{CLUSTER} must be {example}, with N the place of this worker in the list, from 0"
    try:
        config = json.loads(text)
        workers, task = config["cluster"]["worker"], config["task"]
        index = int(str(task["index"]))  # 1.5 is no index
        addresses = [worker.rpartition(":") for worker in workers]
        is_good = (
            task["type"] == "worker" and list(config["cluster"]) == ["worker"] and 0 <= index < len(workers)
        )
        is_good = is_good and all(host and 0 < int(port) < 2**16 for host, _, port in addresses)
    except (ValueError, TypeError, KeyError, AttributeError):
        is_good = False
    if not is_good:
        raise ValueError(f"{rule}. Received: {text}.")
    return workers, index


def from_chief(strategy, ask) -> int:
    """A number that the chief finds out, for all workers: what they find by themselves may come too late.

    Args:
        strategy: see `make_strategy`.
        ask: function without arguments, called by the chief alone; what it raises ends this worker, and the
            others when they miss it.
    """
    number = int(ask()) if is_chief() else 0
    return number if num_workers() == 1 else int(_gathered(strategy, number)[0])


def check_same(strategy, what: str, data: bytes) -> None:
    """Raises ValueError, on all workers, unless all have the same data; `what` names it."""
    if num_workers() == 1:
        return
    numbers = _gathered(strategy, int.from_bytes(hashlib.sha256(data).digest()[:7], "big"))
    if len(set(numbers)) > 1:
        raise ValueError(
            f"All workers must have the same {what}. Received: {len(set(numbers))} different ones."
        )


def _gathered(strategy, number):
    """The numbers of all workers, in their order."""
    replicas = strategy.extended.worker_devices
    value = strategy.experimental_distribute_values_from_function(lambda _: tf.constant([number], tf.int64))
    return strategy.gather(value, axis=0).numpy()[:: len(replicas)].tolist()


def share_out(batches: Batches, strategy, start: int = 0, endless: bool = True) -> Any:
    """The batches as `fit` takes them: each replica gets its part of the rows.

    Args:
        batches: whose rows are a multiple of the number of replicas.
        strategy: see `make_strategy`.
        start: batch number to begin with, of an endless stream.
        endless: pass after pass, as `Batches.stream`; else the first pass alone, again and again.
    """
    replicas = strategy.num_replicas_in_sync
    if replicas == 1:
        return batches.stream(start) if endless else batches.dataset()

    def of_worker(context):
        local = replicas // context.num_input_pipelines
        first = local * context.input_pipeline_id
        return batches.parts(replicas, range(first, first + local), start, endless)

    return strategy.distribute_datasets_from_function(of_worker)

"""Memory and sizes that do not fit: told in one line, if possible before data is read."""

import contextlib
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import keras
import psutil
import tensorflow as tf

from training import compiling, tasks
from training.run_config import RunConfig

# A weight, its gradient, and Adam's two means, all float32.
BYTES_PER_PARAMETER = 16


@contextlib.contextmanager
def explain_lack() -> Iterator[None]:
    """Raises ValueError in place of what TensorFlow and NumPy raise when memory runs out inside the block."""
    try:
        yield
    except (MemoryError, tf.errors.ResourceExhaustedError) as error:
        raise ValueError(
            "A training must fit into memory. Received: out of memory. Less is needed by "
            "fit.num_micro_batches auto, smaller batches, or a smaller model; --dry_run measures it."
        ) from error


def check_model(config: RunConfig) -> None:
    """Raises ValueError if there is no such model, or this machine's memory could not hold its training.

    Told before data is read, in a fraction of a second: no variable of this model gets a value. On a machine
    with GPUs memory is not looked at: the host's says nothing of theirs.
    """
    state = random.getstate()  # of which Keras takes seeds for the layers
    try:
        # Keras keeps variables without a value in a list of the thread, and would give them values later.
        with ThreadPoolExecutor(max_workers=1) as thread:
            count = thread.submit(num_parameters, config).result()
    except (MemoryError, OverflowError) as error:
        raise ValueError(f"A model must fit into memory. Received: {config.model}.") from error
    finally:
        random.setstate(state)
    needed, there = BYTES_PER_PARAMETER * count, psutil.virtual_memory().total
    if needed > there and not tf.config.list_physical_devices("GPU"):
        raise ValueError(
            f"A model with its gradients and its optimizer must fit into this machine's memory, "
            f"{there / 2**30:,.0f} GiB. Received: {count:,} parameters, which take {needed / 2**30:,.0f} GiB."
        )


def num_parameters(config: RunConfig) -> int:
    """How many weights a configuration's model has, with vocabularies as large as may be asked for.

    To be called in a thread of its own.
    """
    keras.config.set_dtype_policy(config.fit.precision)
    task = tasks.make(config)
    with keras.StatelessScope(initialize_variables=False):
        model = task.make_model(task.likely_sizes())
        model.freeze(config.fit.freeze)
        compiling.make_schedule(config.optimizer, getattr(config.model, "hidden_dim", None), 10**9)
    return model.count_params()

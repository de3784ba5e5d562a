"""A few training steps in a process of their own: how long they take, how much memory, whether they fit.

A step that runs out of memory ends that process and nothing else.
"""

import json
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass

import psutil

from keras_transformer_programs import child
from training.config import from_mapping
from training.run_config import RunConfig

# Of the memory that is free, on machines without a GPU: what a trial may take.
SHARE = 0.8
MEASURED_STEPS = 3
OUT_OF_MEMORY = 3  # exit status


@dataclass(frozen=True)
class Step:
    """What is tried.

    Args:
        sizes: `Task.sizes`.
        shape: of a batch, rows first.
        num_micro_batches: parts that the batch is split into.
        jit_compile: whether XLA compiles the step.
    """

    sizes: dict
    shape: tuple[int, ...]
    num_micro_batches: int = 1
    jit_compile: bool = False


@dataclass(frozen=True)
class Cost:
    """What it costs.

    Args:
        seconds: of a step.
        first_seconds: of the first one, tracing and compiling included.
        memory: peak in bytes, of the GPU if there is one, else of the process.
        num_parameters: of the model.
    """

    seconds: float
    first_seconds: float
    memory: int
    num_parameters: int


def run(config: RunConfig, step: Step, memory_limit: int | None = None) -> Cost | None:
    """Runs a few steps on random ids.

    Args:
        config: the model, the optimizer and the precision.
        step: see `Step`.
        memory_limit: bytes that the process may take, on a machine without a GPU; by default 80 % of what
            is free.

    Returns:
        What a step costs; None if there was not enough memory.

    Raises:
        ValueError: it failed otherwise; ends with the last line that it printed.
    """
    task = {"config": asdict(config), "step": asdict(step), "memory_limit": memory_limit}
    done = subprocess.run(
        child.command("training.trial"),
        input=json.dumps(task),
        env=child.environment(TF_CPP_MIN_LOG_LEVEL="3"),
        capture_output=True,
        text=True,
    )
    # Killed by the system, or aborted where an allocation failed inside a library.
    if done.returncode == OUT_OF_MEMORY or done.returncode < 0:
        return None
    if done.returncode:
        reason = (done.stderr.strip() or "no message").splitlines()[-1]
        raise ValueError(f"A trial of a training step must run. Received: {reason}")
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Reads what to try from standard input and prints what it costs."""
    task = json.load(sys.stdin)
    step = Step(**task["step"])
    config = from_mapping(task["config"])
    import keras
    import tensorflow as tf

    has_gpu = bool(tf.config.list_physical_devices("GPU"))
    if not has_gpu:
        limit = task["memory_limit"] or int(SHARE * psutil.virtual_memory().available)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    keras.config.set_dtype_policy(config.fit.precision)
    try:
        seconds, parameters = _measure(config, step)
    except (MemoryError, tf.errors.ResourceExhaustedError):
        sys.exit(OUT_OF_MEMORY)
    if has_gpu:
        memory = tf.config.experimental.get_memory_info("GPU:0")["peak"]
    else:
        memory = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps(asdict(Cost(min(seconds[1:]), seconds[0], memory, parameters))))


def _measure(config, step):
    """Seconds of each step, the first with tracing; number of parameters."""
    import numpy as np
    import tensorflow as tf

    from training import compiling, tasks

    task = tasks.make(config)
    model = task.make_model(step.sizes)
    compiling.compile_model(model, task, 1_000_000, step.jit_compile, step.num_micro_batches)
    batch = task.random_batch(step.sizes, step.shape, np.random.default_rng(0))
    model.make_train_function()
    batches = iter(tf.data.Dataset.from_tensors(batch).repeat())
    seconds = []
    for _ in range(1 + MEASURED_STEPS):
        start = time.perf_counter()
        float(model.train_function(batches)["loss"])
        seconds.append(time.perf_counter() - start)
    return seconds, model.count_params()


if __name__ == "__main__":
    main()

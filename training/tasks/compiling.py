"""Optimizer, schedule, loss and metrics of a training."""

import keras

from keras_transformer import schedules
from training.config import OptimizerConfig


def compile_model(model, task, total_steps: int, jit_compile: bool, num_micro_batches: int = 1) -> None:
    """Gives the model its optimizer, loss and metrics.

    Args:
        model: a built model.
        task: the run's `Task`.
        total_steps: optimizer steps of the whole training, for the cosine.
        jit_compile: whether XLA compiles the training step.
        num_micro_batches: parts that a batch is split into.
    """
    config = task.config.optimizer
    optimizer = keras.optimizers.Adam(
        make_schedule(config, getattr(task.config.model, "hidden_dim", None), total_steps),
        beta_1=config.beta_1,
        beta_2=config.beta_2,
        epsilon=config.epsilon,
        global_clipnorm=config.clip_norm,
        use_ema=config.ema_momentum is not None,
        ema_momentum=config.ema_momentum or 0.99,
    )
    model.compile(
        optimizer=optimizer,
        loss=task.loss(),
        metrics=task.metrics(),
        jit_compile=jit_compile,
        num_micro_batches=num_micro_batches,
    )
    # Built here, outside the first step's graph: tracing takes half the time.
    model.optimizer.build(model.trainable_variables)


def make_schedule(config: OptimizerConfig, hidden_dim: int, total_steps: int):
    """The learning-rate schedule that the configuration names.

    Args:
        config: see `OptimizerConfig`.
        hidden_dim: the model's width; None if it has more than one.
        total_steps: optimizer steps of the whole training.
    """
    if config.schedule == "transformer":
        if hidden_dim is None:
            raise ValueError(
                "`optimizer.schedule` transformer needs a model with one width, hidden_dim. "
                "Received: a model without."
            )
        return schedules.TransformerSchedule(hidden_dim, config.warmup_steps, config.scale)
    if config.schedule == "inverse_square_root":
        return schedules.InverseSquareRootSchedule(config.peak, config.warmup_steps)
    return schedules.CosineSchedule(config.peak, config.warmup_steps, total_steps)

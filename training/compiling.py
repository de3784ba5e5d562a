"""Optimizer, schedule, loss and metrics of a training."""

from dataclasses import replace

import keras

from keras_transformer import schedules
from training.run_config import OptimizerConfig


def compile_model(model, task, total_steps: int, jit_compile: bool, num_micro_batches: int = 1) -> None:
    """Gives the model its optimizer, loss and metrics.

    Args:
        model: a built model.
        task: the run's `Task`.
        total_steps: optimizer steps of the whole training, for the cosine and for a warm-up that fits.
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
        ema_momentum=0.99 if config.ema_momentum is None else config.ema_momentum,
    )
    model.compile(
        optimizer=optimizer,
        loss=task.loss(),
        metrics=task.metrics(),
        jit_compile=jit_compile,
        num_micro_batches=num_micro_batches,
        r_drop=config.r_drop,
    )
    # Built here, outside the first step's graph: tracing takes half the time.
    model.optimizer.build(model.trainable_variables)


def make_schedule(
    config: OptimizerConfig, hidden_dim: int, total_steps: int
) -> keras.optimizers.schedules.LearningRateSchedule:
    """The learning-rate schedule that the configuration names.

    Args:
        config: see `OptimizerConfig`.
        hidden_dim: the model's width; None if it has more than one.
        total_steps: optimizer steps of the whole training. A warm-up that does not end before is shortened to
            a tenth of them; the largest learning rate stays.

    Raises:
        ValueError: the schedule needs a width and there is none.
    """
    if config.warmup_steps >= total_steps:
        config = _with_shorter_warmup(config, max(1, total_steps // 10))
    if config.schedule == "transformer":
        if hidden_dim is None:
            raise ValueError(
                "`optimizer.schedule` transformer needs a model with one width, hidden_dim. "
                "Received: a model without."
            )
        return schedules.TransformerSchedule(hidden_dim, config.warmup_steps, config.scale)
    if config.schedule == "inverse_square_root":
        return schedules.InverseSquareRootSchedule(config.peak, config.warmup_steps)
    return schedules.CosineSchedule(config.peak, config.warmup_steps, max(total_steps, 2))


def lengthen(optimizer, total_steps: int) -> None:
    """Gives a training more steps. A cosine takes the values that it would have had with them from the start.

    The other schedules do not know how long a training is; neither changes its warm-up.
    """
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    before = optimizer.get_config()["learning_rate"]
    is_cosine = isinstance(before, dict) and before["class_name"] == schedules.CosineSchedule.__name__
    if is_cosine and before["config"]["total_steps"] < total_steps:
        optimizer.learning_rate = schedules.CosineSchedule(**before["config"] | {"total_steps": total_steps})


def _with_shorter_warmup(config, steps):
    print(
        f"optimizer.warmup_steps: {steps:,}, a tenth of the training, which would end within "
        f"{config.warmup_steps:,}"
    )
    # The paper's schedule has its peak at warmup_steps ** -0.5.
    scale = config.scale * (steps / config.warmup_steps) ** 0.5
    return replace(config, warmup_steps=steps, scale=scale)

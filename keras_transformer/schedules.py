"""Learning-rate schedules with a linear warm-up.

Keras counts the optimizer's steps from 0, the formulas from 1: the first update uses step 1, so that
it is not lost to a rate of zero.
"""

import math
from typing import Any

import keras
from keras import ops

from keras_transformer import arguments
from keras_transformer.types import Tensor


class WarmupSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """Base: checks and keeps `warmup_steps`, and counts from 1."""

    def __init__(self, warmup_steps: int):
        arguments.check_sizes(warmup_steps=warmup_steps)
        self.warmup_steps = warmup_steps

    def __call__(self, step: int | Tensor) -> Tensor:
        return self.rate(ops.cast(step, "float32") + 1.0)

    def rate(self, step: Tensor) -> Tensor:
        """The learning rate of update number `step` (float, from 1 on)."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return {"warmup_steps": self.warmup_steps}


@keras.saving.register_keras_serializable(package="keras_transformer")
class TransformerSchedule(WarmupSchedule):
    """scale * d_model ** -0.5 * min(step ** -0.5, step * warmup_steps ** -1.5).

    Vaswani et al. 2017, section 5.3, equation 3.

    Args:
        hidden_dim: d_model.
        warmup_steps: optimizer steps of linear growth; 4,000 in the paper.
        scale: factor on the whole; 1 in the paper.
    """

    def __init__(self, hidden_dim: int, warmup_steps: int = 4000, scale: float = 1.0):
        super().__init__(warmup_steps)
        arguments.check_sizes(hidden_dim=hidden_dim)
        arguments.check_positive(scale=scale)
        self.hidden_dim = hidden_dim
        self.scale = scale

    def rate(self, step: Tensor) -> Tensor:
        growth = step * self.warmup_steps**-1.5
        return self.scale * self.hidden_dim**-0.5 * ops.minimum(ops.rsqrt(step), growth)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "hidden_dim": self.hidden_dim, "scale": self.scale}


@keras.saving.register_keras_serializable(package="keras_transformer")
class InverseSquareRootSchedule(WarmupSchedule):
    """peak * min(step / warmup_steps, sqrt(warmup_steps / step)).

    The shape of equation 3 with its peak given, as in fairseq and OpenNMT.

    Args:
        peak: the learning rate at step `warmup_steps`, its largest.
        warmup_steps: optimizer steps of linear growth.
    """

    def __init__(self, peak: float, warmup_steps: int = 4000):
        super().__init__(warmup_steps)
        arguments.check_positive(peak=peak)
        self.peak = peak

    def rate(self, step: Tensor) -> Tensor:
        ratio = step / self.warmup_steps
        return self.peak * ops.minimum(ratio, ops.rsqrt(ratio))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "peak": self.peak}


@keras.saving.register_keras_serializable(package="keras_transformer")
class CosineSchedule(WarmupSchedule):
    """Linear growth to `peak`, then half a cosine down to `floor` (Loshchilov & Hutter 2017, eq. 5).

    Args:
        peak: the learning rate at step `warmup_steps`, its largest.
        warmup_steps: optimizer steps of linear growth.
        total_steps: the step at which `floor` is reached; > warmup_steps. It stays there.
        floor: the last learning rate, 0 <= floor <= peak.
    """

    def __init__(self, peak: float, warmup_steps: int, total_steps: int, floor: float = 0.0):
        super().__init__(warmup_steps)
        arguments.check_positive(peak=peak)
        arguments.check_sizes(total_steps=total_steps)
        if total_steps <= warmup_steps:
            raise ValueError(
                "`total_steps` must be larger than `warmup_steps`. "
                f"Received: total_steps={total_steps}, warmup_steps={warmup_steps}."
            )
        if not arguments.is_number(floor) or not 0 <= floor <= peak:
            raise ValueError(
                f"`floor` must lie between 0 and `peak`. Received: floor={floor!r}, peak={peak}."
            )
        self.peak = peak
        self.total_steps = total_steps
        self.floor = floor

    def rate(self, step: Tensor) -> Tensor:
        progress = (step - self.warmup_steps) / (self.total_steps - self.warmup_steps)
        half_cosine = 0.5 * (1.0 + ops.cos(math.pi * ops.clip(progress, 0.0, 1.0)))
        decayed = self.floor + (self.peak - self.floor) * half_cosine
        return ops.where(step < self.warmup_steps, self.peak * step / self.warmup_steps, decayed)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "peak": self.peak,
            "total_steps": self.total_steps,
            "floor": self.floor,
        }

"""Learning rates: linear warm-up, then exponential, cosine or constant.

Sources: Tan and Le 2021, https://arxiv.org/abs/2104.00298, Section 5, and the released
code (google/automl, efficientnetv2), which counts every decay from step 0, the warm-up
included.
"""

from typing import Any

import keras
from keras.optimizers.schedules import (
    CosineDecay,
    ExponentialDecay,
    LearningRateSchedule,
)

from keras_effnetv2.errors import InputError

SCHEDULES = ("exponential", "cosine", "constant")


@keras.saving.register_keras_serializable("keras_effnetv2")
class WarmUp(LearningRateSchedule):
    """Grows linearly from 0 to `schedule`'s first value, then follows `schedule`.

    Keras's `CosineDecay` starts the decay only after its warm-up, and the other stock
    schedules have no warm-up; here `schedule` counts its steps from the start.

    Args:
        schedule: the schedule that follows.
        num_steps: steps of the warm-up; step `num_steps` is the first of `schedule`.
    """

    def __init__(self, schedule: LearningRateSchedule, num_steps: int) -> None:
        super().__init__()
        if num_steps < 1:
            raise InputError(
                f"A WarmUp needs at least one step. Received: num_steps={num_steps}. "
                "Without warm-up, use the schedule itself."
            )
        self.schedule = schedule
        self.num_steps = num_steps

    def __call__(self, step: Any) -> Any:
        """The learning rate at `step`, an integer or an integer tensor."""
        step = keras.ops.cast(step, "float32")
        growing = self.schedule(0) * step / self.num_steps
        return keras.ops.where(step < self.num_steps, growing, self.schedule(step))

    def get_config(self) -> dict[str, Any]:
        """The arguments of `from_config`."""
        schedule = keras.saving.serialize_keras_object(self.schedule)
        return {"schedule": schedule, "num_steps": self.num_steps}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "WarmUp":
        """The schedule that `get_config` describes."""
        schedule = keras.saving.deserialize_keras_object(config["schedule"])
        return cls(schedule, config["num_steps"])


@keras.saving.register_keras_serializable("keras_effnetv2")
class PerStage(LearningRateSchedule):
    """A schedule for stages of different batch sizes, and so of steps per epoch.

    `schedule` counts the steps of one batch size. Each stage runs through its own part
    of it, faster or slower, with rates scaled linearly with the batch size.

    Args:
        schedule: schedule of the whole training, with one batch size.
        ends: steps from the start to the end of each stage.
        reference_ends: the same in steps of `schedule`.
        factors: factor of the learning rate in each stage.
    """

    def __init__(
        self,
        schedule: LearningRateSchedule,
        ends: list[int],
        reference_ends: list[int],
        factors: list[float],
    ) -> None:
        super().__init__()
        self.schedule = schedule
        self.ends = ends
        self.reference_ends = reference_ends
        self.factors = factors

    def __call__(self, step: Any) -> Any:
        """The learning rate at `step`, an integer or an integer tensor."""
        ops = keras.ops
        step = ops.cast(step, "float32")
        ends = ops.convert_to_tensor(self.ends[:-1], "float32")
        stage = ops.sum(ops.cast(step >= ends, "int32"))

        def of_stage(values):
            return ops.take(ops.convert_to_tensor(values, "float32"), stage)

        start, end = of_stage([0, *self.ends]), of_stage(self.ends)
        reference_end = of_stage(self.reference_ends)
        reference_start = of_stage([0, *self.reference_ends])
        share = (step - start) / (end - start)
        reference = reference_start + share * (reference_end - reference_start)
        return self.schedule(reference) * of_stage(self.factors)

    def get_config(self) -> dict[str, Any]:
        """The arguments of `from_config`."""
        return {
            "schedule": keras.saving.serialize_keras_object(self.schedule),
            "ends": self.ends,
            "reference_ends": self.reference_ends,
            "factors": self.factors,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "PerStage":
        """The schedule that `get_config` describes."""
        schedule = keras.saving.deserialize_keras_object(config["schedule"])
        return cls(**{**config, "schedule": schedule})


def scale_learning_rate(
    learning_rate: float, batch_size: int, reference_batch_size: int = 256
) -> float:
    """`learning_rate`, meant for one batch size, scaled linearly to another.

    Args:
        learning_rate: e.g. the released code's 0.016.
        batch_size: images per step, over all devices.
        reference_batch_size: the batch size of `learning_rate`; 256 in the released
            code.
    """
    return learning_rate * batch_size / reference_batch_size


def build_schedule(
    name: str,
    learning_rate: float,
    *,
    steps_per_epoch: float,
    epochs: float,
    warmup_epochs: float = 0.0,
    decay_epochs: float = 2.4,
    decay_rate: float = 0.97,
) -> LearningRateSchedule:
    """The learning rate of a whole training run, across all of its stages.

    Args:
        name: `"exponential"`, `"cosine"` (to 0 at the end) or `"constant"`.
        learning_rate: the largest, for the batch size in use.
        steps_per_epoch: need not be an integer: the released code has 306.68 on
            ImageNet.
        epochs: epochs of the whole training; only the cosine depends on them.
        warmup_epochs: epochs of linear growth from 0.
        decay_epochs: for `"exponential"`: epochs between the steps of the rate.
        decay_rate: for `"exponential"`: the factor of each step.

    Raises:
        ValueError: unknown name, no steps, or a warm-up longer than the training.
    """
    if name not in SCHEDULES:
        raise InputError(f"A schedule must be one of {SCHEDULES}. Received: {name!r}.")
    if steps_per_epoch <= 0 or not 0 <= warmup_epochs <= epochs or epochs <= 0:
        raise InputError(
            "A schedule needs steps, epochs, and no more epochs of warm-up than "
            f"epochs. Received: steps_per_epoch={steps_per_epoch}, epochs={epochs}, "
            f"warmup_epochs={warmup_epochs}."
        )
    if name == "cosine":
        schedule = CosineDecay(learning_rate, steps_per_epoch * epochs)
    else:
        rate = decay_rate if name == "exponential" else 1.0
        decay_steps = steps_per_epoch * decay_epochs
        schedule = ExponentialDecay(learning_rate, decay_steps, rate, staircase=True)
    warmup_steps = int(warmup_epochs * steps_per_epoch)
    return WarmUp(schedule, warmup_steps) if warmup_steps else schedule

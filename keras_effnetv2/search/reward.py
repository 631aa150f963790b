"""The value of a network: a reward, or membership in the Pareto front.

Source: Tan and Le 2021, https://arxiv.org/abs/2104.00298, Section 3.3.
"""

import dataclasses
import math
from collections.abc import Sequence

from keras_effnetv2.errors import InputError


@dataclasses.dataclass(frozen=True)
class Measurement:
    """The measurements of a network.

    Attributes:
        accuracy: from 0 to 1.
        step_seconds: time of a training step.
        parameters: number of parameters.
        step_spread: seconds from quartile to quartile of the rounds whose median is
            `step_seconds`; None: unknown.
    """

    accuracy: float
    step_seconds: float
    parameters: int
    step_spread: float | None = None

    def __post_init__(self) -> None:
        valid = {
            "accuracy": 0 <= self.accuracy <= 1,
            "step_seconds": 0 < self.step_seconds < math.inf,
            "parameters": 0 < self.parameters < math.inf,
        }
        for field, is_valid in valid.items():
            if not is_valid:
                raise InputError(
                    "A Measurement needs an accuracy from 0 to 1, and step_seconds and "
                    "parameters above 0. "
                    f"Received: {field}={getattr(self, field)!r}."
                )


def reward(
    measurement: Measurement,
    backbone: Measurement,
    step_exponent: float = -0.07,
    parameter_exponent: float = -0.05,
) -> float:
    """`A * (S / S0)**w * (P / P0)**v`: accuracy, step time and parameters as one.

    The paper calls S "normalized" and does not say how; here S and P are relative to
    the backbone, whose reward is therefore its accuracy. Another scale would multiply
    all rewards by the same factor, and not change their order.

    Args:
        measurement: A, S and P of the network.
        backbone: S0 and P0, on the same device, with the same image size, batch and
            precision.
        step_exponent: w. Paper: -0.07, that is 4.7% less for twice the time.
        parameter_exponent: v. Paper: -0.05, 3.4% less for twice the parameters.

    Raises:
        ValueError: an exponent above 0, which would prefer slow or large networks.
    """
    for name, exponent in (
        ("step_exponent", step_exponent),
        ("parameter_exponent", parameter_exponent),
    ):
        if not -math.inf < exponent <= 0:
            raise InputError(f"{name} must be 0 or less. Received: {exponent!r}.")
    time = measurement.step_seconds / backbone.step_seconds
    size = measurement.parameters / backbone.parameters
    return measurement.accuracy * time**step_exponent * size**parameter_exponent


def pareto_front(measurements: Sequence[Measurement]) -> list[int]:
    """Indices, ascending, of the measurements that no other one beats.

    One beats another if it is at least as good in accuracy, step time and parameters,
    and better in one of them. Equal ones do not beat each other: all or none are in the
    front.
    """
    costs = [(-x.accuracy, x.step_seconds, x.parameters) for x in measurements]
    return [
        index
        for index, mine in enumerate(costs)
        if not any(_beats(other, mine) for other in costs)
    ]


def _beats(other: tuple[float, ...], mine: tuple[float, ...]) -> bool:
    pairs = zip(other, mine, strict=True)
    return other != mine and all(theirs <= own for theirs, own in pairs)

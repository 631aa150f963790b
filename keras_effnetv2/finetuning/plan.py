"""How many epochs, at which sizes, fit into a time. Plain arithmetic."""

import dataclasses
import itertools
import math
from collections.abc import Iterator

from keras_effnetv2.training.experiments.configuration import Precision

# Fewer epochs at full size are worth less than more at a smaller size.
_ENOUGH_EPOCHS = 8
# Useful maximum of epochs, by number of images.
_MOST_EPOCHS = ((1000, 40), (10_000, 25), (100_000, 15), (math.inf, 8))
# Sizes of the first and last stage, as fractions of the full size, best first.
_SHARES = ((0.72, 1.0), (0.72, 0.72), (0.57, 0.57))
_SIZE_STEP, _SMALLEST = 32, 96
_HEAD_STEPS = 40  # Enough for a new classifier to learn to use the features.
# Steps between evaluations and checkpoints take longer than the measured ones.
_MARGIN = 0.75


@dataclasses.dataclass(frozen=True)
class Pace:
    """Seconds that steps take, including making their images.

    Attributes:
        step: seconds of a step of the whole network.
        head_step: seconds of a step of the classifier alone.
        tracing: seconds to trace both, before their first step.
        precision: precision of the network.
    """

    step: float
    head_step: float
    tracing: float
    precision: Precision = "float32"

    @property
    def is_measured(self) -> bool:
        """Whether it was measured; options may leave nothing to decide by it."""
        return self.step > 0


@dataclasses.dataclass(frozen=True)
class Amounts:
    """Amounts that determine the time of an epoch.

    Attributes:
        num_train: training images.
        num_validation: images evaluated after each epoch.
        batch_size: images per step.
        full_size: side of the images that the speed was measured with, pixels.
        num_reported: images that the report evaluates after training.
    """

    num_train: int
    num_validation: int
    batch_size: int
    full_size: int
    num_reported: int = 0

    @property
    def steps(self) -> int:
        """Steps per epoch."""
        return self.num_train // self.batch_size


@dataclasses.dataclass(frozen=True)
class Plan:
    """The epochs of a training run.

    Attributes:
        epochs: total number.
        head_epochs: those of the classifier alone.
        sizes: image size in each stage, pixels.
        seconds: expected time, if nothing else slows the machine down.
        fits: whether that fits into the time given.
    """

    epochs: int
    head_epochs: int
    sizes: tuple[int, ...]
    seconds: float
    fits: bool = True


def plan_epochs(
    amounts: Amounts,
    pace: Pace,
    seconds: float,
    *,
    epochs: int | None = None,
    is_size_fixed: bool = False,
    has_head_first: bool = True,
) -> Plan:
    """The best plan for a time.

    Args:
        amounts: numbers of images.
        pace: measured speeds.
        seconds: time for training, evaluations and the images of the report.
        epochs: number of epochs. None: as many as there is time for.
        is_size_fixed: whether the last stage has the full size.
        has_head_first: whether the classifier is first trained alone.
    """
    most = next(most for limit, most in _MOST_EPOCHS if amounts.num_train <= limit)
    numbers = [epochs] if epochs else range(most, 0, -1)
    found, sizes = None, (amounts.full_size,)
    for sizes in _sizes(amounts.full_size, is_size_fixed):
        plans = (_plan(x, sizes, amounts, pace, has_head_first) for x in numbers)
        found = next((x for x in plans if x.seconds <= _MARGIN * seconds), None)
        if found and (epochs or found.epochs >= _ENOUGH_EPOCHS):
            return found
    # The plan that fits at the smallest sizes, or else the shortest one.
    least = _plan(numbers[-1], sizes, amounts, pace, has_head_first)
    return found or dataclasses.replace(least, fits=False)


def _plan(
    epochs: int,
    sizes: tuple[int, ...],
    amounts: Amounts,
    pace: Pace,
    has_head_first: bool,
) -> Plan:
    head = min(math.ceil(_HEAD_STEPS / amounts.steps), max(1, epochs // 3))
    head = head if has_head_first else 0
    sizes = sizes if epochs >= _ENOUGH_EPOCHS else sizes[-1:]
    num_evaluated = epochs * amounts.num_validation + amounts.num_reported
    batches = math.ceil(num_evaluated / amounts.batch_size)
    seconds = batches * pace.head_step * _area(sizes[-1], amounts)
    for epoch in range(epochs):
        size = sizes[epoch * len(sizes) // epochs]
        step = pace.head_step if epoch < head else pace.step
        seconds += amounts.steps * step * _area(size, amounts)
    return Plan(epochs, head, sizes, seconds)


def _area(size: int, amounts: Amounts) -> float:
    return (size / amounts.full_size) ** 2


def _sizes(full_size: int, is_fixed: bool) -> Iterator[tuple[int, ...]]:
    """Sizes of the stages, best first."""
    shares = _SHARES[:1] if is_fixed else _SHARES
    for both in shares:
        sizes = (full_size if x == 1 else _rounded(x * full_size) for x in both)
        # Small images have no smaller size.
        yield tuple(
            size for size, _ in itertools.groupby(min(x, full_size) for x in sizes)
        )


def _rounded(size: float) -> int:
    return max(_SMALLEST, round(size / _SIZE_STEP) * _SIZE_STEP)

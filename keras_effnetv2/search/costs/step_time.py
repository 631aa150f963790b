"""Time of training steps, of several networks alternately.

Networks take turns, a few steps each (A B C A B C ...), so that other work on the
machine slows all of them alike; the ratio to the backbone within a round is what
counts.
"""

import contextlib
import dataclasses
import gc
import logging
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from keras_effnetv2 import private_apis
from keras_effnetv2.errors import InputError
from keras_effnetv2.networks.architecture import Variant
from keras_effnetv2.search.costs.workload import Workload, device_name, network_step
from keras_effnetv2.training.experiments.configuration import Optimizer, Precision

REPEATS = 10  # Rounds; quartiles of fewer mean little.

_NUM_WARM_UPS = 3  # The first step traces, the second fills caches, the third is timed.
_TURN_SECONDS = 0.03  # Minimum of a turn: clocks and Python add about 0.1 ms.
_MAX_STEPS = 20  # Of a turn.
_GROUP_SIZE = 4  # Networks in memory at once, besides the backbone.


@dataclasses.dataclass(frozen=True)
class StepTime:
    """Time of a network's training step.

    Attributes:
        name: name of the variant.
        seconds: time of a step in every round; networks measured together share rounds.
        device: the device, in words.
    """

    name: str
    seconds: tuple[float, ...]
    device: str

    @property
    def repeats(self) -> int:
        """Number of rounds."""
        return len(self.seconds)

    @property
    def median(self) -> float:
        """Seconds."""
        return statistics.median(self.seconds)


class StepTimer:
    """Times training steps of networks alternately with a first one, built once.

    A step is forward, backward and update as in training, with its loss, optimizer and
    moving average, on a batch in memory. The first network stays in memory: its
    weights, their averages and the optimizer's slots.

    Args:
        first: the network that the others are compared with.
        image_size: side in pixels; None: the training size of each variant.
        batch_size: images a step.
        precision: `"float32"`, `"mixed_bfloat16"` or `"mixed_float16"`.
        repeats: rounds.
        classes: width of the classifier.
        optimizer: optimizer settings; None: the paper's RMSProp.

    Raises:
        ValueError: a number below 1, images that the strides of the network reduce to
            nothing, or a backend other than TensorFlow.
    """

    def __init__(
        self,
        first: Variant,
        *,
        image_size: int | None,
        batch_size: int,
        precision: Precision = "float32",
        repeats: int = REPEATS,
        classes: int = 10,
        optimizer: Optimizer | None = None,
    ) -> None:
        self._first = first
        self._repeats = repeats
        self._workload = lambda variant: Workload(
            variant.train_size if image_size is None else image_size,
            batch_size,
            precision,
            classes,
            optimizer or Optimizer(),
        )
        self._step = network_step(first, self._workload(first))

    def measure(self, others: Sequence[Variant] = ()) -> list[StepTime]:
        """Times of the first network and of others, after warming up.

        Raises:
            ValueError: as for the first network; less than one round.
        """
        workloads = [self._workload(variant) for variant in others]
        for variant, workload in zip(others, workloads, strict=True):
            workload.check(variant)
        with measuring():
            steps = [self._step, *map(network_step, others, workloads)]
            rounds = time_in_turns(steps, self._repeats)
            del steps
        device = device_name()
        return [
            StepTime(variant.name, seconds, device)
            for variant, seconds in zip((self._first, *others), rounds, strict=True)
        ]


def measure_step_times(variants: Sequence[Variant], **workload: Any) -> list[StepTime]:
    """Times the training steps of networks alternately, after warming up.

    All networks are in memory at once: for many, see `compare_step_times`.

    Args:
        variants: the networks.
        **workload: arguments of `StepTimer`.

    Returns:
        A time for each variant, in order.

    Raises:
        ValueError: no variant, or as for `StepTimer`.
    """
    if not variants:
        raise InputError("There is no variant to measure. Pass at least one.")
    first, *others = variants
    return StepTimer(first, **workload).measure(others)


def compare_step_times(
    candidates: Sequence[Variant],
    backbone: Variant,
    *,
    group_size: int = _GROUP_SIZE,
    **workload: Any,
) -> Iterator[tuple[StepTime, StepTime]]:
    """Times many networks alternately with the backbone, group by group.

    The backbone is timed again with every group, so that changes in the machine's speed
    do not matter.

    Args:
        candidates: the networks.
        backbone: the network to compare with.
        group_size: networks in memory at once, besides the backbone.
        **workload: arguments of `StepTimer`.

    Yields:
        For each candidate in order, its time and the backbone's in the same rounds.

    Raises:
        ValueError: as for `StepTimer`; an empty group.
    """
    if group_size < 1:
        raise InputError(f"group_size must be at least 1. Received: {group_size!r}.")
    timer = StepTimer(backbone, **workload)
    for start in range(0, len(candidates), group_size):
        beside, *times = timer.measure(candidates[start : start + group_size])
        for own in times:
            yield own, beside


def relative_step_time(candidate: StepTime, backbone: StepTime) -> float:
    """S / S0: the median of the ratios of all rounds.

    Args:
        candidate: from the same `measure_step_times` as `backbone`.
        backbone: the time of the backbone.

    Raises:
        ValueError: they were not measured together.
    """
    return statistics.median(_ratios(candidate, backbone))


def relative_step_spread(candidate: StepTime, backbone: StepTime) -> float:
    """The spread of the ratios of all rounds: from quartile to quartile.

    Args:
        candidate: as for `relative_step_time`.
        backbone: the time of the backbone.

    Raises:
        ValueError: they were not measured together.
    """
    ratios = _ratios(candidate, backbone)
    if len(ratios) == 1:
        return 0.0
    low, _, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return high - low


def _ratios(candidate: StepTime, backbone: StepTime) -> tuple[float, ...]:
    """Ratios of every round."""
    if (candidate.repeats, candidate.device) != (backbone.repeats, backbone.device):
        raise InputError(
            "A ratio needs times of the same rounds: measure both networks together. "
            f"Received: {candidate.repeats} rounds on {candidate.device} and "
            f"{backbone.repeats} on {backbone.device}."
        )
    pairs = zip(candidate.seconds, backbone.seconds, strict=True)
    return tuple(own / beside for own, beside in pairs)


def time_in_turns(
    steps: Sequence[Callable[[], Any]],
    repeats: int = REPEATS,
    clock: Callable[[], float] = time.perf_counter,
) -> list[tuple[float, ...]]:
    """Seconds of a call of each of `steps`, in every one of `repeats` rounds.

    Short ones are called several times per turn, at most 20.

    Raises:
        ValueError: `repeats` is not a whole number of at least 1.
    """
    if isinstance(repeats, bool) or not isinstance(repeats, int) or repeats < 1:
        raise InputError(f"repeats must be at least 1. Received: {repeats!r}.")
    lengths = [_turn_length(step, clock) for step in steps]
    rounds: list[list[float]] = [[] for _ in steps]
    for _ in range(repeats):
        for step, length, seconds in zip(steps, lengths, rounds, strict=True):
            start = clock()
            for _ in range(length):
                step()
            seconds.append((clock() - start) / length)
    return [tuple(seconds) for seconds in rounds]


def _turn_length(step: Callable[[], Any], clock: Callable[[], float]) -> int:
    """Warms up, and returns the number of calls per turn."""
    seconds = 0.0  # Of the last call.
    for _ in range(_NUM_WARM_UPS):
        start = clock()
        step()
        seconds = clock() - start
    return min(_MAX_STEPS, max(1, math.ceil(_TURN_SECONDS / max(seconds, 1e-9))))


@contextlib.contextmanager
def measuring() -> Iterator[None]:
    """Afterwards frees the memory of networks without references.

    Models and their graphs form reference cycles, which Python would free only later.
    Also suppresses TensorFlow's warning about functions that are traced often: here
    each belongs to another network.
    """
    logger = logging.getLogger("tensorflow")
    logger.addFilter(_is_no_retracing)
    try:
        with private_apis.traced_for_a_while():
            yield
    finally:
        logger.removeFilter(_is_no_retracing)
        gc.collect()


def _is_no_retracing(record: logging.LogRecord) -> bool:
    return "triggered tf.function retracing" not in record.getMessage()

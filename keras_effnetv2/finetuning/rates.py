"""The learning rate of a fine-tuning run, found by a sweep if asked for."""

import dataclasses
import pathlib
from collections.abc import Sequence

from keras_effnetv2.finetuning.decisions import Choice
from keras_effnetv2.finetuning.plan import Pace
from keras_effnetv2.training.devices.strategies import Devices
from keras_effnetv2.training.experiments.configuration import Experiment
from keras_effnetv2.training.progressive.feeding import Feed
from keras_effnetv2.training.reporting.rate_sweep import draw_rates
from keras_effnetv2.training.runs.rate_sweeping import find_rates
from keras_effnetv2.training.runs.workdir import Workdir

_SHARE = 0.15  # Of the time left.
_LEAST_STEPS, _MOST_STEPS = 24, 60
# Images of the first stage are mostly smaller than the measured ones.
_AREA = 0.6
# Steps in a run take longer than the measured ones.
_MARGIN = 1.5


@dataclasses.dataclass(frozen=True)
class SweepPlan:
    """The limits of a sweep.

    Attributes:
        num_steps: maximum number of steps.
        seconds: expected time in total, if nothing slows the machine down.
        most_seconds: time limit of the steps after the first.
    """

    num_steps: int
    seconds: float
    most_seconds: float


def plan_sweep(pace: Pace, seconds: float) -> SweepPlan:
    """A sweep that leaves most of the time to the training.

    Args:
        pace: measured speeds, or none.
        seconds: the time left.
    """
    share = _SHARE * max(0.0, seconds)
    if not pace.is_measured:
        return SweepPlan(_MOST_STEPS, share, share)
    step = _AREA * pace.step
    num = min(_MOST_STEPS, max(_LEAST_STEPS, int(share / step)))
    steps = num * step
    return SweepPlan(num, pace.tracing + steps, _MARGIN * steps)


def choose_rate(
    experiment: Experiment,
    choices: Sequence[Choice],
    plan: SweepPlan,
    feed: Feed,
    devices: Devices,
    workdir: pathlib.Path,
) -> tuple[Experiment, list[Choice]]:
    """Sweeps, writes the sweep and its picture, and takes the suggested rate.

    Args:
        experiment: the experiment, with the usual rate.
        choices: a line for each choice.
        plan: limits of the sweep.
        feed: the training images.
        devices: devices to train on.
        workdir: where to write.

    Returns:
        The experiment and the lines, with the rate and its reason.
    """
    sweep = find_rates(experiment, feed, devices, plan.num_steps, plan.most_seconds)
    files = Workdir(workdir)
    sweep.write(files.rates)
    if sweep.rates:
        draw_rates(sweep, workdir / "learning_rates.png", workdir.name)
    rate, why = sweep.suggest()
    if rate is None:
        why = f"usual: {why}"
    else:
        optimizer = dataclasses.replace(
            experiment.optimizer,
            learning_rate=rate,
            learning_rate_batch_size=None,  # It was found with the batch size in use.
        )
        experiment = dataclasses.replace(experiment, optimizer=optimizer)
    text = f"{experiment.optimizer.learning_rate:.2g}"
    return experiment, [
        dataclasses.replace(x, value=text, reason=why)
        if x.setting == "optimizer.learning_rate"
        else x
        for x in choices
    ]

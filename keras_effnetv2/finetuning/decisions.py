"""The choices of a fine-tuning run, with a reason for each."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from keras_effnetv2.finetuning.deadline import Timetable, plan_timetable
from keras_effnetv2.finetuning.draft import (
    FEW_IMAGES,
    LEAST_STEPS,
    Situation,
    apply_plan,
    draft_experiment,
)
from keras_effnetv2.finetuning.options import MINUTES, Options
from keras_effnetv2.finetuning.plan import Amounts, Pace, Plan, plan_epochs
from keras_effnetv2.progress import format_duration
from keras_effnetv2.tables import align
from keras_effnetv2.training.experiments.configuration import Experiment
from keras_effnetv2.training.experiments.settings import override, to_json


@dataclasses.dataclass(frozen=True)
class Choice:
    """One line of the table.

    Attributes:
        name: name of the choice.
        value: the choice, as text.
        reason: why, a clause.
        setting: the setting of the experiment, for `--set`.
    """

    name: str
    value: str
    reason: str
    setting: str = ""


def decide(
    situation: Situation, options: Options, paces: Sequence[Pace], seconds: float
) -> tuple[Experiment, list[Choice], Timetable | None]:
    """The whole experiment, a line for each choice, and the timetable to keep.

    Args:
        situation: facts that were found.
        options: the user's options.
        paces: measured speeds in different precisions.
        seconds: time for training, evaluations and the images of the report.
    """
    pace = min(paces, key=lambda pace: pace.step)
    experiment = draft_experiment(situation, options, pace.precision)
    amounts = Amounts(
        situation.num_train,
        situation.num_validation,
        experiment.batch_size,
        experiment.eval_size,
        # All images once, to find wrong labels; the validation part also for its
        # figures.
        situation.num_train + 3 * situation.num_validation,
    )
    plan = plan_epochs(
        amounts,
        pace,
        seconds,
        epochs=options.epochs,
        is_size_fixed=options.image_size is not None,
        has_head_first=situation.backbone.weights is not None,
    )
    experiment = override(apply_plan(experiment, plan), options.settings)
    rows = [
        *_network_rows(situation, options, experiment, paces),
        *_time_rows(options, experiment, plan, amounts, pace, seconds),
        *_learning_rows(situation, experiment),
    ]
    rows = [
        dataclasses.replace(row, reason="requested")
        if options.asks_for(row.setting)
        else row
        for row in rows
    ]
    if options.epochs and not options.minutes:
        return (
            experiment,
            rows,
            None,
        )  # The user's choice, whatever the time.
    minutes = options.minutes or MINUTES
    return experiment, rows, plan_timetable(experiment, amounts, pace, minutes)


def table(choices: Sequence[Choice]) -> list[str]:
    """Lines of a table of choices, for people."""
    rows = [("choice", "value", "reason")]
    rows += [(x.name, x.value, x.reason) for x in choices]
    return align(rows, num_left=3)


def to_values(
    experiment: Experiment, choices: Sequence[Choice], timetable: Timetable | None
) -> dict[str, Any]:
    """The lines of the table and the results, in JSON's types."""
    return {
        "choices": [dataclasses.asdict(choice) for choice in choices],
        "experiment": json.loads(to_json(experiment)),
        "timetable": timetable and dataclasses.asdict(timetable),
    }


def _network_rows(
    situation: Situation,
    options: Options,
    experiment: Experiment,
    paces: Sequence[Pace],
) -> list[Choice]:
    backbone = situation.backbone
    batch_reason = f"at least {LEAST_STEPS} steps per epoch, fits a {situation.kind}"
    if not paces[0].is_measured:
        why = "the default; there is no deadline"
    elif len(paces) > 1:
        times = [f"{x.step * 1e3:,.0f} ms per step in {x.precision}" for x in paces]
        why = f"measured: {' and '.join(times)}"
    elif situation.has_bfloat16:
        why = "there is no time to measure bfloat16"
    else:
        why = f"the {situation.kind} has no instructions for bfloat16"
    return [
        Choice("network", backbone.variant, backbone.variant_reason, "model.variant"),
        Choice(
            "weights", str(backbone.weights), backbone.weights_reason, "model.weights"
        ),
        Choice(
            "batch size",
            str(experiment.batch_size),
            "requested" if options.batch_size else batch_reason,
            "batch_size",
        ),
        Choice("precision", experiment.model.precision, why, "model.precision"),
    ]


def _time_rows(
    options: Options,
    experiment: Experiment,
    plan: Plan,
    amounts: Amounts,
    pace: Pace,
    seconds: float,
) -> list[Choice]:
    patience = experiment.loop.patience
    early = "without improvement" if patience else "few epochs"
    return [
        *_pace_rows(amounts, pace),
        Choice(
            "epochs",
            str(experiment.epochs),
            _why_epochs(options, plan, pace, seconds),
            "epochs",
        ),
        Choice(
            "image size",
            " to ".join(map(str, plan.sizes)),
            _why_sizes(options, plan, amounts),
            "progressive.image_size",
        ),
        Choice(
            "classifier alone",
            f"{experiment.optimizer.head_epochs} epochs",
            "first, so that a new classifier does not spoil the rest"
            if experiment.optimizer.head_epochs
            else "nothing is there yet that it could spoil",
            "optimizer.head_epochs",
        ),
        Choice(
            "ends early",
            f"after {patience} evaluations" if patience else "no",
            f"{early}; the best weights are kept",
            "loop.patience",
        ),
    ]


def _pace_rows(amounts: Amounts, pace: Pace) -> list[Choice]:
    if not pace.is_measured:
        return []
    head = f"{pace.head_step:.2f} s for the classifier alone"
    reason = f"measured, at {amounts.full_size} pixels; {head}"
    steps = f"{amounts.num_train:,} images"
    return [
        Choice("step time", f"{pace.step:.2f} s", reason),
        Choice("steps an epoch", f"{amounts.steps:,}", steps),
    ]


def _why_epochs(options: Options, plan: Plan, pace: Pace, seconds: float) -> str:
    if not pace.is_measured:
        return "requested"
    there = f"{format_duration(max(0, seconds))} are left for it"
    takes = f"about {format_duration(plan.seconds)}; {there}"
    if options.epochs:
        return f"requested; {takes}"
    return takes if plan.fits else f"the shortest plan takes {takes}"


def _why_sizes(options: Options, plan: Plan, amounts: Amounts) -> str:
    if options.image_size:
        return "requested"
    if plan.sizes[-1] < amounts.full_size:
        return "larger ones would leave time for few epochs"
    if len(plan.sizes) > 1:
        return "small first is faster; the last is the network's evaluation size"
    return "the network's evaluation size"


def _why_decay(situation: Situation) -> str:
    if not situation.backbone.weights:
        return "from scratch all blocks have to learn"
    if situation.num_train <= FEW_IMAGES:
        return "few images: lower blocks keep more of what they know"
    return "enough images for all blocks to learn"


def _learning_rows(situation: Situation, experiment: Experiment) -> list[Choice]:
    optimizer, backbone = experiment.optimizer, situation.backbone
    balance = experiment.regularization.class_weights
    is_known = situation.class_counts is not None
    uneven = f"the largest class is {situation.imbalance:.1f} times the smallest"
    return [
        Choice(
            "learning rate",
            f"{optimizer.learning_rate:.2g}",
            "Adam from pretrained weights, by the root of the batch size, falling to 0"
            if backbone.weights
            else "Adam from scratch, by the root of the batch size, falling to 0",
            "optimizer.learning_rate",
        ),
        Choice(
            "layer decay",
            f"{optimizer.layer_decay:g}",
            _why_decay(situation),
            "optimizer.layer_decay",
        ),
        Choice(
            "class weights",
            balance,
            uneven if is_known else "the classes are not counted",
            "regularization.class_weights",
        ),
    ]

"""What a fine-tuning does, and why: settings that follow from what was found."""

import dataclasses
import json
import math
from collections.abc import Sequence
from typing import Any

from keras_effnetv2.finetuning.plan import Amounts, Pace, Plan, plan_epochs
from keras_effnetv2.finetuning.starts import Start
from keras_effnetv2.finetuning.wishes import Wishes
from keras_effnetv2.networks.variants import get_variant
from keras_effnetv2.progress import format_duration
from keras_effnetv2.tables import align
from keras_effnetv2.training.experiments.configuration import (
    Augmentation,
    Data,
    Experiment,
    Loop,
    Model,
    Optimizer,
    Precision,
    Progressive,
    Regularization,
    Schedule,
)
from keras_effnetv2.training.experiments.settings import override, to_json
from keras_effnetv2.training.progressive.stages import Ramp

NAME = "finetune"
# From so many times the images of the smallest class in the largest, it matters.
UNEVEN = 1.5
_LARGEST_BATCH = {"CPU": 32, "GPU": 64, "TPU": 256}
_LEAST_STEPS = 8  # Of an epoch, so that its last steps know something of the first.
_LEARNING_RATE, _SCRATCH_RATE = 5e-4, 3e-3  # Of a batch of 32, for Adam.
_LAYER_DECAY = 0.85
_CHECKPOINT_STEPS = 200


@dataclasses.dataclass(frozen=True)
class Situation:
    """What choices follow from.

    Attributes:
        data: where the images are.
        num_train: images to train on.
        num_validation: images to evaluate on, after each epoch.
        class_counts: training images of each class; None where nobody knows.
        kind: of the device, "CPU", "GPU" or "TPU".
        has_bfloat16: whether the device has instructions for it.
        start: network and weights.
    """

    data: Data
    num_train: int
    num_validation: int
    class_counts: tuple[int, ...] | None
    kind: str
    has_bfloat16: bool
    start: Start

    @property
    def imbalance(self) -> float:
        """Images of the largest class over those of the smallest."""
        counts = [count for count in self.class_counts or (1,) if count]
        return max(counts) / min(counts)


@dataclasses.dataclass(frozen=True)
class Choice:
    """One line of the table.

    Attributes:
        name: of what is chosen.
        value: as text.
        reason: a clause.
        setting: of the experiment, that `--set` may change.
    """

    name: str
    value: str
    reason: str
    setting: str = ""


def sketch(situation: Situation, wishes: Wishes, precision: Precision) -> Experiment:
    """The experiment as far as it does not depend on time; its pace can be measured.

    Args:
        situation: what was found.
        wishes: of the user.
        precision: of the network.
    """
    start, kind = situation.start, situation.kind
    batch_size = wishes.batch_size or _batch_size(situation)
    rate = _LEARNING_RATE if start.weights else _SCRATCH_RATE
    is_uneven = situation.class_counts is not None and situation.imbalance > UNEVEN
    size = wishes.image_size or get_variant(start.variant).eval_size
    experiment = Experiment(
        NAME,
        situation.data,
        Model(start.variant, start.weights, eval_size=size, precision=precision),
        Augmentation("none", min_crop_area=0.35),
        Progressive(),
        Optimizer(
            "adam",
            learning_rate=rate * (batch_size / 32) ** 0.5,
            learning_rate_batch_size=None,
            beta_2=0.99,
            epsilon=1e-7,
            ema_momentum=0,
            layer_decay=_LAYER_DECAY if start.weights else 1.0,
        ),
        Schedule("cosine", warmup_epochs=0),
        Regularization(
            label_smoothing=0 if situation.data.multi_label else 0.1,
            class_weights="balanced" if is_uneven else "none",
        ),
        Loop(checkpoint_steps=_CHECKPOINT_STEPS, keep=2, deterministic=kind == "CPU"),
        batch_size=batch_size,
        epochs=1,
        loss="sigmoid" if situation.data.multi_label else "softmax",
    )
    return override(experiment, wishes.settings)


def decide(
    situation: Situation, wishes: Wishes, paces: Sequence[Pace], seconds: float
) -> tuple[Experiment, list[Choice]]:
    """The whole experiment, and a line on each choice.

    Args:
        situation: what was found.
        wishes: of the user.
        paces: measured, of different precisions.
        seconds: for the training and its evaluations.
    """
    pace = min(paces, key=lambda pace: pace.step)
    experiment = sketch(situation, wishes, pace.precision)
    amounts = Amounts(
        situation.num_train,
        situation.num_validation,
        experiment.batch_size,
        experiment.eval_size,
    )
    plan = plan_epochs(
        amounts,
        pace,
        seconds,
        epochs=wishes.epochs,
        is_size_fixed=wishes.image_size is not None,
        has_head_first=situation.start.weights is not None,
    )
    experiment = override(_planned(experiment, plan), wishes.settings)
    rows = [
        *_network_rows(situation, wishes, experiment, paces),
        *_time_rows(wishes, experiment, plan, amounts, pace, seconds),
        *_learning_rows(situation, experiment),
    ]
    asked = {x.partition("=")[0].strip() for x in wishes.settings}
    return experiment, [
        dataclasses.replace(row, reason="asked for") if row.setting in asked else row
        for row in rows
    ]


def table(choices: Sequence[Choice]) -> list[str]:
    """Lines of a table of choices, for people."""
    rows = [("choice", "value", "reason")]
    rows += [(x.name, x.value, x.reason) for x in choices]
    return align(rows, num_left=3)


def to_values(experiment: Experiment, choices: Sequence[Choice]) -> dict[str, Any]:
    """Of JSON's types: the lines of the table, and what came of them."""
    return {
        "choices": [dataclasses.asdict(choice) for choice in choices],
        "experiment": json.loads(to_json(experiment)),
    }


def _planned(experiment: Experiment, plan: Plan) -> Experiment:
    # No earlier: the best comes at the end, when the learning rate has fallen.
    patience = math.ceil(plan.epochs / 2) if plan.epochs >= 12 else 0
    return dataclasses.replace(
        experiment,
        epochs=plan.epochs,
        model=dataclasses.replace(experiment.model, eval_size=plan.sizes[-1]),
        progressive=dataclasses.replace(
            experiment.progressive,
            num_stages=len(plan.sizes),
            image_size=Ramp(plan.sizes[0], plan.sizes[-1]),
        ),
        optimizer=dataclasses.replace(
            experiment.optimizer, head_epochs=plan.head_epochs
        ),
        loop=dataclasses.replace(experiment.loop, patience=patience),
    )


def _batch_size(situation: Situation) -> int:
    size = _LARGEST_BATCH[situation.kind]
    while size > 4 and situation.num_train < _LEAST_STEPS * size:
        size //= 2
    return size


def _network_rows(
    situation: Situation,
    wishes: Wishes,
    experiment: Experiment,
    paces: Sequence[Pace],
) -> list[Choice]:
    start = situation.start
    batch_reason = f"at least {_LEAST_STEPS} steps an epoch, fits a {situation.kind}"
    if not paces[0].is_measured:
        why = "usual; no time is to be kept"
    elif len(paces) > 1:
        times = [f"{x.step * 1e3:,.0f} ms a step in {x.precision}" for x in paces]
        why = f"measured: {' and '.join(times)}"
    elif situation.has_bfloat16:
        why = "to measure bfloat16 takes more time than there is"
    else:
        why = f"the {situation.kind} has no instructions for bfloat16"
    return [
        Choice("network", start.variant, start.variant_reason, "model.variant"),
        Choice("weights", str(start.weights), start.weights_reason, "model.weights"),
        Choice(
            "batch size",
            str(experiment.batch_size),
            "asked for" if wishes.batch_size else batch_reason,
            "batch_size",
        ),
        Choice("precision", experiment.model.precision, why, "model.precision"),
    ]


def _time_rows(
    wishes: Wishes,
    experiment: Experiment,
    plan: Plan,
    amounts: Amounts,
    pace: Pace,
    seconds: float,
) -> list[Choice]:
    patience = experiment.loop.patience
    early = "that bring nothing better" if patience else "few epochs"
    return [
        *_pace_rows(amounts, pace),
        Choice(
            "epochs",
            str(experiment.epochs),
            _why_epochs(wishes, plan, pace, seconds),
            "epochs",
        ),
        Choice(
            "image size",
            " to ".join(map(str, plan.sizes)),
            _why_sizes(wishes, plan, amounts),
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
    head = f"{pace.head_step:.2f} s of the classifier alone"
    reason = f"measured, at {amounts.full_size} pixels; {head}"
    steps = f"{amounts.num_train:,} images"
    return [
        Choice("step time", f"{pace.step:.2f} s", reason),
        Choice("steps an epoch", f"{amounts.steps:,}", steps),
    ]


def _why_epochs(wishes: Wishes, plan: Plan, pace: Pace, seconds: float) -> str:
    if not pace.is_measured:
        return "asked for"
    there = f"{format_duration(max(0, seconds))} are left for it"
    takes = f"about {format_duration(plan.seconds)}; {there}"
    if wishes.epochs:
        return f"asked for; {takes}"
    return takes if plan.fits else f"the least there is takes {takes}"


def _why_sizes(wishes: Wishes, plan: Plan, amounts: Amounts) -> str:
    if wishes.image_size:
        return "asked for"
    if plan.sizes[-1] < amounts.full_size:
        return "larger ones would leave time for few epochs"
    if len(plan.sizes) > 1:
        return "small first is faster; the last is that of the network's evaluation"
    return "that of the network's evaluation"


def _learning_rows(situation: Situation, experiment: Experiment) -> list[Choice]:
    optimizer, start = experiment.optimizer, situation.start
    balance = experiment.regularization.class_weights
    is_known = situation.class_counts is not None
    uneven = f"the largest class is {situation.imbalance:.1f} times the smallest"
    return [
        Choice(
            "learning rate",
            f"{optimizer.learning_rate:.2g}",
            "Adam from pretrained weights, by the root of the batch, falling to 0"
            if start.weights
            else "Adam from scratch, by the root of the batch, falling to 0",
            "optimizer.learning_rate",
        ),
        Choice(
            "layer decay",
            f"{optimizer.layer_decay:g}",
            "lower blocks know what all photographs have in common"
            if start.weights
            else "from scratch all have to learn",
            "optimizer.layer_decay",
        ),
        Choice(
            "class weights",
            balance,
            uneven if is_known else "the classes are not counted",
            "regularization.class_weights",
        ),
    ]

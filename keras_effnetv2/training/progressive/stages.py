"""Progressive learning: image size and regularization, stage by stage.

Pure Python: a plan is data that a training loop walks through.

Reference: Tan and Le 2021, https://arxiv.org/abs/2104.00298, Algorithm 1 and Table 6.
"""

import dataclasses
import math
from collections.abc import Sequence

from keras_effnetv2.errors import InputError
from keras_effnetv2.tables import align

FORMULAS = ("paper", "released")


@dataclasses.dataclass(frozen=True)
class Ramp:
    """A value that grows evenly over the stages, from `first` to `last`."""

    first: float
    last: float

    def __post_init__(self) -> None:
        for value in (self.first, self.last):
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not math.isfinite(value):
                raise InputError(
                    "A Ramp needs two finite numbers. "
                    f"Received: first={self.first!r}, last={self.last!r}."
                )

    def at(self, index: int, num_stages: int) -> float:
        """The value in stage `index`, from 0; `last` if there is only one stage."""
        if index == num_stages - 1:
            return self.last
        return self.first + (self.last - self.first) * index / (num_stages - 1)


@dataclasses.dataclass(frozen=True)
class Stage:
    """A span of epochs with one image size and one strength of regularization.

    Attributes:
        index: number of the stage, from 0.
        first_epoch: epochs trained before it.
        num_epochs: epochs of this stage.
        image_size: side of the training images, pixels.
        randaugment_magnitude: Google's scale, 10 is nominal. It matters only if the
            augmentation is RandAugment.
        mixup_alpha: alpha of MixUp's Beta(alpha, alpha); 0: no MixUp.
        cutmix_alpha: alpha of CutMix's Beta(alpha, alpha); 0: no CutMix.
        dropout_rate: rate of the dropout before the classifier. None: the model's.
        drop_path_rate: rate of stochastic depth at the last block. None: the model's.
        batch_size: images per step, over all devices.
    """

    index: int
    first_epoch: int
    num_epochs: int
    image_size: int
    randaugment_magnitude: float
    mixup_alpha: float
    cutmix_alpha: float
    dropout_rate: float | None
    drop_path_rate: float | None
    batch_size: int

    def __post_init__(self) -> None:
        valid = {
            "index": self.index >= 0,
            "first_epoch": self.first_epoch >= 0,
            "num_epochs": self.num_epochs >= 1,
            "image_size": self.image_size >= 1,
            "randaugment_magnitude": self.randaugment_magnitude >= 0,
            "mixup_alpha": self.mixup_alpha >= 0,
            "cutmix_alpha": self.cutmix_alpha >= 0,
            "dropout_rate": self.dropout_rate is None or 0 <= self.dropout_rate < 1,
            "drop_path_rate": self.drop_path_rate is None
            or 0 <= self.drop_path_rate < 1,
            "batch_size": self.batch_size >= 1,
        }
        for field, fits in valid.items():
            if not fits:
                raise InputError(
                    "A Stage needs at least one epoch, one pixel and one image per "
                    "batch, no negative numbers, and rates below 1. Received: "
                    f"{field}={getattr(self, field)!r}."
                )

    @property
    def end_epoch(self) -> int:
        """Epochs trained after it."""
        return self.first_epoch + self.num_epochs

    def num_steps(self, num_images: int) -> int:
        """Steps of the stage; an epoch leaves out images that do not fill a batch."""
        return self.num_epochs * steps_per_epoch(num_images, self.batch_size)


def steps_per_epoch(num_images: int, batch_size: int) -> int:
    """Full batches in `num_images`.

    Raises:
        ValueError: not even one.
    """
    if num_images < batch_size:
        raise InputError(
            f"A batch has {batch_size} images, but the training data only "
            f"{num_images}. Make batch_size smaller."
        )
    return num_images // batch_size


def plan_stages(
    *,
    epochs: int,
    num_stages: int,
    image_size: Ramp | int,
    batch_size: int | Sequence[int],
    randaugment_magnitude: Ramp | float = 0.0,
    mixup_alpha: Ramp | float = 0.0,
    cutmix_alpha: Ramp | float = 0.0,
    dropout_rate: Ramp | float | None = None,
    drop_path_rate: Ramp | float | None = None,
    formula: str = "paper",
) -> tuple[Stage, ...]:
    """Algorithm 1: the stages of a training run, each a little harder than the last.

    A number instead of a `Ramp` is the same in all stages. Every epoch belongs to one
    stage; stages differ by one epoch if `epochs` does not divide evenly.

    Args:
        epochs: epochs of the whole training.
        num_stages: number of stages; 4 in the paper.
        image_size: side of the training images, pixels.
        batch_size: images per step, over all devices; one number, or one for each
            stage.
        randaugment_magnitude: Google's scale, 10 is nominal.
        mixup_alpha: alpha of MixUp; 0: no MixUp.
        cutmix_alpha: alpha of CutMix; 0: no CutMix.
        dropout_rate: rate of the dropout before the classifier. None: the model's.
        drop_path_rate: rate of stochastic depth. None: the model's. The paper does not
            ramp it.
        formula: formula of the image sizes. `"paper"`: evenly from first to last, to
            the nearest pixel. `"released"`: as in the released code, whose first stage
            is one step above the first size, `int(first + (last - first) * (i + 1) /
            num_stages)`. Regularization is the same in both.

    Raises:
        ValueError: fewer epochs than stages, or a value out of range.
    """
    if formula not in FORMULAS:
        raise InputError(f"formula must be one of {FORMULAS}. Received: {formula!r}.")
    if not 1 <= num_stages <= epochs:
        raise InputError(
            "A plan needs at least one stage, and an epoch for each. "
            f"Received: num_stages={num_stages}, epochs={epochs}."
        )
    sizes = _image_sizes(_ramp(image_size), num_stages, formula)
    batch_sizes = _batch_sizes(batch_size, num_stages)
    ends = [i * epochs // num_stages for i in range(num_stages + 1)]
    return tuple(
        Stage(
            index=i,
            first_epoch=ends[i],
            num_epochs=ends[i + 1] - ends[i],
            image_size=sizes[i],
            batch_size=batch_sizes[i],
            randaugment_magnitude=_ramp(randaugment_magnitude).at(i, num_stages),
            mixup_alpha=_ramp(mixup_alpha).at(i, num_stages),
            cutmix_alpha=_ramp(cutmix_alpha).at(i, num_stages),
            dropout_rate=_rate(dropout_rate, i, num_stages),
            drop_path_rate=_rate(drop_path_rate, i, num_stages),
        )
        for i in range(num_stages)
    )


def cost(stages: Sequence[Stage], epochs_done: float = 0.0) -> float:
    """Compute of the plan after its first `epochs_done` epochs.

    In pixels of one image per epoch: all epochs see the same images.
    """
    return sum(
        max(0, stage.end_epoch - max(epochs_done, stage.first_epoch))
        * stage.image_size**2
        for stage in stages
    )


def relative_cost(stages: Sequence[Stage]) -> float:
    """Compute of the plan, relative to its last image size throughout."""
    num_epochs = sum(stage.num_epochs for stage in stages)
    return cost(stages) / (num_epochs * stages[-1].image_size ** 2)


def format_plan(stages: Sequence[Stage], num_images: int) -> str:
    """The plan as a text table, with its steps for `num_images` training images.

    The share of the time is an estimate, in proportion to image area times images.
    """
    rows: list[tuple[str, ...]] = [
        (
            "stage", "epochs", "size", "RandAugment", "MixUp", "CutMix", "dropout",
            "drop path", "batch", "steps", "time",
        )
    ]  # fmt: skip
    total = cost(stages)
    for stage in stages:
        rates = (
            stage.randaugment_magnitude,
            stage.mixup_alpha,
            stage.cutmix_alpha,
            stage.dropout_rate,
            stage.drop_path_rate,
        )
        rows.append(
            (
                str(stage.index + 1),
                f"{stage.first_epoch + 1}-{stage.end_epoch}",
                str(stage.image_size),
                *("model's" if rate is None else f"{rate:.4g}" for rate in rates),
                f"{stage.batch_size:,}",
                f"{stage.num_steps(num_images):,}",
                f"{cost([stage]) / total:.0%}",
            )
        )
    last = stages[-1].image_size
    note = (
        "time: expected share, in proportion to image area times images. All stages "
        f"take {relative_cost(stages):.0%} of the time of {last} pixels throughout."
    )
    return "\n".join([*align(rows, num_left=1), "", note])


def _ramp(value: Ramp | float) -> Ramp:
    return value if isinstance(value, Ramp) else Ramp(value, value)


def _rate(value: Ramp | float | None, index: int, num_stages: int) -> float | None:
    return None if value is None else _ramp(value).at(index, num_stages)


def _image_sizes(ramp: Ramp, num_stages: int, formula: str) -> list[int]:
    if formula == "paper":
        return [round(ramp.at(i, num_stages)) for i in range(num_stages)]
    growth = ramp.last - ramp.first
    return [int(ramp.first + growth * i / num_stages) for i in range(1, num_stages + 1)]


def _batch_sizes(batch_size: int | Sequence[int], num_stages: int) -> list[int]:
    sizes = [batch_size] * num_stages if isinstance(batch_size, int) else [*batch_size]
    if len(sizes) != num_stages:
        raise InputError(
            f"batch_size needs one number, or one for each of the {num_stages} stages. "
            f"Received: {batch_size!r}."
        )
    return sizes

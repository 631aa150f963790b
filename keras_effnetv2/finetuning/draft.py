"""Drafts the experiment of a fine-tuning run: settings that follow from the survey."""

import dataclasses
import math

from keras_effnetv2.finetuning.backbone import Backbone
from keras_effnetv2.finetuning.options import Options
from keras_effnetv2.finetuning.plan import Plan
from keras_effnetv2.networks.variants import get_variant
from keras_effnetv2.training.experiments.configuration import (
    Experiment,
    Loop,
    Model,
    Optimizer,
    Precision,
    Progressive,
    Regularization,
    Schedule,
)
from keras_effnetv2.training.experiments.image_settings import Augmentation, Data
from keras_effnetv2.training.experiments.settings import override
from keras_effnetv2.training.progressive.stages import Ramp

NAME = "finetune"
# Class sizes matter from this ratio of the largest to the smallest on.
UNEVEN = 1.5
_LARGEST_BATCH = {"CPU": 32, "GPU": 64, "TPU": 256}
LEAST_STEPS = 8  # Per epoch, so that steps of an epoch build on each other.
_LEARNING_RATE, _SCRATCH_RATE = 5e-4, 3e-3  # For Adam and a batch of 32.
# Up to so many images, lower blocks learn more slowly. With 4,649 of Fashion-MNIST and
# four epochs at 96 pixels, a decay of 1 reaches 85.2% on test images, and 0.85 82.0%.
FEW_IMAGES = 1000
_LAYER_DECAY = 0.85
_CHECKPOINT_STEPS = 200


@dataclasses.dataclass(frozen=True)
class Situation:
    """What the choices depend on.

    Attributes:
        data: settings of the data.
        num_train: number of training images.
        num_validation: number of images evaluated after each epoch.
        class_counts: training images of each class; None if unknown.
        kind: kind of device, "CPU", "GPU" or "TPU".
        has_bfloat16: whether the device has bfloat16 instructions.
        backbone: network and weights.
    """

    data: Data
    num_train: int
    num_validation: int
    class_counts: tuple[int, ...] | None
    kind: str
    has_bfloat16: bool
    backbone: Backbone

    @property
    def imbalance(self) -> float:
        """Images of the largest class over those of the smallest."""
        counts = [count for count in self.class_counts or (1,) if count]
        return max(counts) / min(counts)


def draft_experiment(
    situation: Situation, options: Options, precision: Precision
) -> Experiment:
    """The experiment as far as it does not depend on time, to measure its speed.

    Args:
        situation: facts that were found.
        options: the user's options.
        precision: precision of the network.
    """
    backbone, kind = situation.backbone, situation.kind
    batch_size = options.batch_size or _batch_size(situation)
    rate = _LEARNING_RATE if backbone.weights else _SCRATCH_RATE
    is_uneven = situation.class_counts is not None and situation.imbalance > UNEVEN
    is_few = situation.num_train <= FEW_IMAGES
    size = options.image_size or get_variant(backbone.variant).eval_size
    experiment = Experiment(
        NAME,
        situation.data,
        Model(backbone.variant, backbone.weights, eval_size=size, precision=precision),
        Augmentation("none", min_crop_area=0.35),
        Progressive(),
        Optimizer(
            "adam",
            learning_rate=rate * (batch_size / 32) ** 0.5,
            learning_rate_batch_size=None,
            beta_2=0.99,
            epsilon=1e-7,
            ema_momentum=0,
            layer_decay=_LAYER_DECAY if backbone.weights and is_few else 1.0,
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
    return override(experiment, options.settings)


def apply_plan(experiment: Experiment, plan: Plan) -> Experiment:
    """The experiment with the epochs and image sizes that there is time for."""
    # No earlier: the best weights come at the end, when the learning rate has fallen.
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
    while size > 4 and situation.num_train < LEAST_STEPS * size:
        size //= 2
    return size

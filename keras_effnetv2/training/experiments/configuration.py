"""The settings of a training run: images, network, stages, optimizer; no code.

Settings are at most two levels deep (`batch_size`, `optimizer.learning_rate`), frozen
and checked. In the sources below, "paper" is Tan and Le 2021,
https://arxiv.org/abs/2104.00298, and "released code" google/automl, efficientnetv2.
"""

import dataclasses
import math
import os
from typing import Literal

from keras_effnetv2.networks.architecture import Variant
from keras_effnetv2.networks.variant_files import check_variant
from keras_effnetv2.networks.variants import get_variant
from keras_effnetv2.training.experiments.checked import (
    Amount,
    Checked,
    Count,
    Share,
    Whole,
)
from keras_effnetv2.training.experiments.image_settings import Augmentation, Data
from keras_effnetv2.training.progressive.stages import (
    Ramp,
    Stage,
    plan_stages,
    steps_per_epoch,
)

Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]


@dataclasses.dataclass(frozen=True)
class Model(Checked):
    """The network, and its initial weights.

    Attributes:
        variant: e.g. `"efficientnetv2-s"`; a `.json` file of a variant, of which the
            run's work folder keeps a copy; or a `Variant`.
        weights: initial weights: `"imagenet"`, `"imagenet21k"`, `"imagenet21k-ft1k"` or
            a file. None: random.
        preprocessing: normalisation and evaluation crop of the released weights of this
            name. None: those of `weights`, or else of `"imagenet"`.
        eval_size: side of the evaluation images, pixels. None: the variant's.
        width_coefficient: multiplies channels. None: the variant's.
        depth_coefficient: multiplies blocks. None: the variant's.
        bn_momentum: momentum of the moving statistics. Released code 0.9, paper 0.99.
        bn_group_size: replicas that share batch statistics; 0: all of them, 1: none.
            Released code: 8.
        precision: precision of the network; its classifier is float32. Released code:
            bfloat16 on TPUs.
        frozen: patterns of layer names that keep their weights, batch statistics
            included: `block[123]*`, or `*bn` for all batch norms.
        remat: keep only the outputs of the blocks' convolutions for the gradient and
            compute what lies between them again: less memory, longer steps.
    """

    variant: str | Variant
    weights: str | None = None
    preprocessing: Literal["imagenet", "imagenet21k", "imagenet21k-ft1k"] | None = None
    eval_size: Count | None = None
    width_coefficient: Amount | None = None
    depth_coefficient: Amount | None = None
    bn_momentum: Share = 0.9
    bn_group_size: Whole = 8
    precision: Precision = "mixed_bfloat16"
    frozen: tuple[str, ...] = ()
    remat: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.variant, os.PathLike):
            object.__setattr__(self, "variant", os.fspath(self.variant))
        super().__post_init__()
        if isinstance(self.variant, Variant):
            check_variant(self.variant)  # It is saved with the experiment.
        else:
            get_variant(self.variant)


@dataclasses.dataclass(frozen=True)
class Progressive(Checked):
    """The stages: see `plan_stages`. Ramps go from the first stage to the last.

    Attributes:
        num_stages: number of stages. Paper: 4. 1: fixed size, with the last value of
            every ramp.
        formula: formula of the image sizes, `"paper"` or `"released"`.
        image_size: side of the training images, pixels. None: the evaluation size.
        randaugment_magnitude: Google's scale, 10 is nominal.
        mixup_alpha: 0: no MixUp.
        cutmix_alpha: 0: no CutMix. Paper: none; released code: as `mixup_alpha`.
        dropout_rate: rate of the dropout before the classifier. None: the variant's.
        drop_path_rate: rate of stochastic depth. None: the variant's.
        batch_sizes: batch size of each stage, over all devices. None: `batch_size` in
            all.
    """

    num_stages: Count = 1
    formula: Literal["paper", "released"] = "paper"
    image_size: Ramp | None = None
    randaugment_magnitude: Ramp = Ramp(0, 0)
    mixup_alpha: Ramp = Ramp(0, 0)
    cutmix_alpha: Ramp = Ramp(0, 0)
    dropout_rate: Ramp | None = None
    drop_path_rate: Ramp | None = None
    batch_sizes: tuple[int, ...] | None = None


@dataclasses.dataclass(frozen=True)
class Optimizer(Checked):
    """The optimizer.

    Attributes:
        name: a Keras optimizer.
        learning_rate: the largest, for a batch of `learning_rate_batch_size`. Released
            code: 0.016.
        learning_rate_batch_size: the learning rate grows linearly with the batch from
            here. None: it does not. Released code: 256.
        momentum: momentum of RMSProp and SGD. Paper: 0.9.
        rho: decay of RMSProp's mean square. Paper: 0.9.
        beta_2: decay of Adam's mean square. Kingma and Ba 2015: 0.999; runs of few
            steps need a smaller one.
        epsilon: epsilon of RMSProp and Adam. Released code: 1e-3.
        ema_momentum: momentum of the moving average of weights and batch-norm
            statistics, per step; 0: none. Paper: 0.9999.
        global_clipnorm: largest norm of all gradients together. None: no limit.
        accumulation_steps: number of pieces in which the batch of a device is computed,
            one after the other, so that each fits into memory.
        layer_decay: learning rate of a block relative to that of the next.
        head_epochs: number of first epochs in which only the classifier is trained,
            from zeros, with the network in evaluation mode; their steps take a fraction
            of the time of others.
    """

    name: Literal["rmsprop", "adam", "adamw", "sgd"] = "rmsprop"
    learning_rate: Amount = 0.016
    learning_rate_batch_size: Count | None = 256
    momentum: Share = 0.9
    rho: Share = 0.9
    beta_2: Share = 0.999
    epsilon: Amount = 1e-3
    ema_momentum: Share = 0.9999
    global_clipnorm: Amount | None = None
    accumulation_steps: Count = 1
    layer_decay: Share = 1.0
    head_epochs: Whole = 0


@dataclasses.dataclass(frozen=True)
class Schedule(Checked):
    """The learning rate over the run: see `build_schedule`.

    Attributes:
        name: `"exponential"`, `"cosine"` or `"constant"`, after the warm-up.
        warmup_epochs: epochs of linear growth from 0. Released code: 5 on ImageNet,
            else 1.
        decay_epochs: epochs between the steps of `"exponential"`. Paper: 2.4.
        decay_rate: factor of each step. Paper: 0.97.
    """

    name: Literal["exponential", "cosine", "constant"] = "exponential"
    warmup_epochs: Amount = 5.0
    decay_epochs: Amount = 2.4
    decay_rate: Share = 0.97


@dataclasses.dataclass(frozen=True)
class Regularization(Checked):
    """Regularization that does not change from stage to stage.

    Attributes:
        weight_decay: L2 of kernels, in the loss: this times half the sum of squares.
            With AdamW kernels shrink by this times the learning rate. Paper: 1e-5.
        label_smoothing: probability that is moved from the label evenly to all classes.
            Released code: 0.1.
        class_weights: `"balanced"`: in training, the loss of an image is weighted in
            inverse proportion to the size of its class, 1 for the mean size; with
            several labels, by their mean.
    """

    weight_decay: Amount = 1e-5
    label_smoothing: Share = 0.1
    class_weights: Literal["none", "balanced"] = "none"


@dataclasses.dataclass(frozen=True)
class Loop(Checked):
    """How a run saves, stops and resumes; this does not change what steps compute.

    Attributes:
        checkpoint_steps: steps between checkpoints.
        keep: number of newest checkpoints to keep, besides the best weights.
        evaluate_steps: an epoch is followed by an evaluation if at least so many steps
            have passed since the last one. 0: every epoch.
        steps_per_execution: steps that run without Python in between, which checks,
            saves and stops only after them: this number or the next lower one that
            divides an epoch's steps. More saves time on TPUs. Not with the strategies
            mirrored and multiworker.
        patience: the run ends after so many evaluations without improvement, which is a
            higher accuracy, or an equal one with a lower loss. 0: it trains all of its
            epochs.
        deterministic: whether every run has the same bits, even after a restart; slower
            on GPUs, where it also disables XLA.
    """

    checkpoint_steps: Count = 1000
    keep: Count = 3
    evaluate_steps: Whole = 0
    steps_per_execution: Count = 1
    patience: Whole = 0
    deterministic: bool = True


@dataclasses.dataclass(frozen=True)
class Experiment(Checked):
    """Everything that determines what a run computes.

    Attributes:
        name: name of the recipe it started as.
        batch_size: images per step, over all devices.
        epochs: epochs of the whole run.
        min_steps: minimum number of steps, in whole epochs. Released code: 10,000 in
            fine-tuning.
        loss: cross-entropy after `"softmax"`, with a total label mass of 1, or after
            `"sigmoid"`, a yes or no for each class.
        seed: seed of initial weights, order of images, augmentation and dropout.
    """

    name: str
    data: Data
    model: Model
    augmentation: Augmentation = Augmentation()
    progressive: Progressive = Progressive()
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    regularization: Regularization = Regularization()
    loop: Loop = Loop()
    batch_size: Count = 4096
    epochs: Count = 350
    min_steps: Whole = 0
    loss: Literal["softmax", "sigmoid"] = "softmax"
    seed: Whole = 0

    @property
    def eval_size(self) -> int:
        """Side of the evaluation images, pixels."""
        return self.model.eval_size or get_variant(self.model.variant).eval_size

    def num_epochs(self, num_train_images: int) -> int:
        """`epochs`, or as many as `min_steps` take, if more."""
        largest = max(self.progressive.batch_sizes or (self.batch_size,))
        steps = steps_per_epoch(num_train_images, largest)
        return max(self.epochs, math.ceil(self.min_steps / steps))

    def stages(self, num_train_images: int) -> tuple[Stage, ...]:
        """The plan of training on so many images."""
        plan = {
            field.name: getattr(self.progressive, field.name)
            for field in dataclasses.fields(self.progressive)
        }
        return plan_stages(
            epochs=self.num_epochs(num_train_images),
            batch_size=plan.pop("batch_sizes") or self.batch_size,
            image_size=plan.pop("image_size") or self.eval_size,
            **plan,
        )

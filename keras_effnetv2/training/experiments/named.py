"""Named recipes: what each trains, with which command, on what, and to what result.

experiment = get_experiment("imagenet-s")
experiment = override(experiment, ["batch_size=1024", "epochs=100"])
print(RECIPES["imagenet-s"].command)
"""

import dataclasses

from keras_effnetv2.errors import InputError, expected
from keras_effnetv2.training.experiments.configuration import (
    Experiment,
    Loop,
    Model,
    Optimizer,
    Progressive,
    Schedule,
)
from keras_effnetv2.training.experiments.image_settings import Augmentation, Data
from keras_effnetv2.training.experiments.recipes import (
    Recipe,
    finetune,
    imagenet,
    imagenet21k,
    paper,
    transfer,
)
from keras_effnetv2.training.experiments.settings import from_json, override, to_json
from keras_effnetv2.training.progressive.stages import Ramp

__all__ = [
    "RECIPES",
    "from_json",
    "get_experiment",
    "list_experiments",
    "override",
    "to_json",
]

_B0_SMALL = Model(
    "efficientnetv2-b0",
    preprocessing="imagenet21k-ft1k",  # For its evaluation: the whole image.
    eval_size=32,
    precision="float32",
)
# A network that trains in seconds: a quarter of the channels, half the blocks.
_TINY = dataclasses.replace(_B0_SMALL, width_coefficient=0.25, depth_coefficient=0.5)
_DIGITS = Data("digits", 10, eval_split="test", num_train_images=1437, cache=True)
_FASHION = Data("idx", 10, eval_split="test", num_train_images=60_000, cache=True)
# Mirrored digits are not digits, and shoes always point to the left.
_SMALL_AUGMENTATION = Augmentation(num_ops=1, min_crop_area=0.8, flip=False)
_SMALL_STAGES = Progressive(
    num_stages=3,
    image_size=Ramp(16, 32),
    randaugment_magnitude=Ramp(1, 5),
    dropout_rate=Ramp(0.1, 0.2),
    drop_path_rate=Ramp(0, 0),
)
_SMALL_OPTIMIZER = Optimizer(
    "adam",
    learning_rate=3e-3,
    learning_rate_batch_size=None,
    epsilon=1e-7,
    ema_momentum=0.98,
)
# The sizes of the stages are close: with last feature maps of 1 or 2 pixels, what B0
# learns at one size is of little use at another.
_DIGITS_STAGES = dataclasses.replace(
    _SMALL_STAGES,
    image_size=Ramp(48, 56),
    randaugment_magnitude=Ramp(1, 3),
    dropout_rate=Ramp(0.1, 0.1),
)
# Images of 28 pixels, enlarged so that B0, with strides of 32, can use them.
_FASHION_STAGES = dataclasses.replace(
    _SMALL_STAGES, num_stages=2, image_size=Ramp(64, 96)
)


def _small(name: str, data: Data, expected: str, **settings) -> Recipe:
    """A recipe of this package for small grey images."""
    experiment = Experiment(
        name,
        data,
        **{
            "augmentation": _SMALL_AUGMENTATION,
            "progressive": _SMALL_STAGES,
            "optimizer": _SMALL_OPTIMIZER,
        }
        | settings,
    )
    return Recipe(experiment, "2 CPU cores", "keras_effnetv2", expected)


# fmt: off
_ROWS = (
    # Released code. Top-1 of the released checkpoints, google/automl README.
    #         magnitude  alpha
    imagenet("b0",  0, 0.0, "78.7% at 224 pixels"),
    imagenet("b1",  0, 0.0, "79.8% at 240 pixels"),
    imagenet("b2",  0, 0.0, "80.5% at 260 pixels"),
    imagenet("b3",  0, 0.0, "82.1% at 300 pixels"),
    imagenet("s",  10, 0.0, "83.9% at 384 pixels"),
    imagenet("m",  15, 0.2, "85.2% at 480 pixels"),
    imagenet("l",  20, 0.5, "85.7% at 480 pixels"),
    # Paper, Tables 6 and 7.
    #      size  magnitude  alpha  dropout
    paper("s", 300, 15, 0.0, 0.3, "83.9% at 384 pixels, in 7.1 hours"),
    paper("m", 380, 20, 0.2, 0.4, "85.1% at 480 pixels, in 13 hours"),
    paper("l", 380, 25, 0.4, 0.5, "85.7% at 480 pixels, in 24 hours"),
    # Paper, Table 7: of pretraining and fine-tuning together.
    imagenet21k("s",  "84.9% on ImageNet after finetune-imagenet, in 9 hours"),
    imagenet21k("m",  "86.2% on ImageNet after finetune-imagenet, in 15 hours"),
    imagenet21k("l",  "86.8% on ImageNet after finetune-imagenet, in 26 hours"),
    imagenet21k("xl", "87.3% on ImageNet after finetune-imagenet, in 45 hours"),
    finetune("84.9% with S at 384 pixels; M 86.2%, L 86.9%, XL 87.2%"),
    # Paper, Tables 8 and 9: means of 5 runs.
    transfer("cifar10", "cifar10", 10, 50_000,
             "98.7% with S, 99.0% with M, 99.1% with L"),
    transfer("cifar100", "cifar100", 100, 50_000,
             "91.5% with S, 92.2% with M, 92.3% with L"),
    transfer("flowers", "oxford_flowers102", 102, 2040,
             "97.9% with S, 98.5% with M, 98.8% with L", "train+validation"),
    transfer("cars", "cars196", 196, 8144,
             "93.8% with S, 94.6% with M, 95.1% with L"),
    # This package, measured.
    _small("digits", _DIGITS, "98.6% in 5 minutes",
           model=dataclasses.replace(_B0_SMALL, eval_size=56),
           progressive=_DIGITS_STAGES,
           augmentation=dataclasses.replace(_SMALL_AUGMENTATION, min_crop_area=0.9),
           schedule=Schedule("cosine", warmup_epochs=2),
           optimizer=dataclasses.replace(_SMALL_OPTIMIZER, beta_2=0.98),
           loop=Loop(evaluate_steps=132), batch_size=32, epochs=18),  # 3 epochs.
    _small("digits-smoke", _DIGITS, "the end in 41 seconds", model=_TINY,
           schedule=Schedule("cosine", warmup_epochs=0.5), batch_size=64, epochs=3),
    _small("fashion-mnist", _FASHION, "84.6% with the first 7,500 images",
           model=dataclasses.replace(_TINY, depth_coefficient=0.34, eval_size=96),
           progressive=_FASHION_STAGES,
           optimizer=dataclasses.replace(_SMALL_OPTIMIZER, learning_rate=5e-3),
           schedule=Schedule("cosine", warmup_epochs=1), batch_size=64, epochs=12),
)
# fmt: on

RECIPES = {recipe.experiment.name: recipe for recipe in _ROWS}


def list_experiments() -> list[str]:
    """Names that `get_experiment` accepts."""
    return list(RECIPES)


def get_experiment(name: str) -> Experiment:
    """The settings of the recipe of that name.

    Raises:
        ValueError: no recipe has that name.
    """
    if name not in RECIPES:
        raise InputError(f"Unknown experiment {name!r}. {expected(name, RECIPES)}")
    return RECIPES[name].experiment

"""How the paper, the released code and this package train: one function per family.

The paper and the released code disagree: sizes of the stages, RandAugment, MixUp,
dropout, batch norm. Each has its own function. What the paper does not state (epochs of
warm-up, label smoothing, operations of RandAugment) is the released code's in both.

Sources: Tan and Le 2021, https://arxiv.org/abs/2104.00298; google/automl,
efficientnetv2: `datasets.py`, `effnetv2_configs.py`, `hparams.py`, `README.md`.
"""

import dataclasses

from keras_effnetv2.networks.variants import get_variant
from keras_effnetv2.training.experiments.configuration import (
    Experiment,
    Loop,
    Model,
    Optimizer,
    Progressive,
    Regularization,
    Schedule,
)
from keras_effnetv2.training.experiments.image_settings import Augmentation, Data
from keras_effnetv2.training.progressive.stages import Ramp


@dataclasses.dataclass(frozen=True)
class Recipe:
    """An experiment and what is known about it.

    Attributes:
        experiment: the settings.
        hardware: hardware of the result, reached or intended.
        source: where the settings come from.
        expected: expected accuracy and time, and whose figures they are.
        options: flags of the command besides the experiment and the work folder.
    """

    experiment: Experiment
    hardware: str
    source: str
    expected: str
    options: str = ""

    @property
    def command(self) -> str:
        """The shell command that trains it."""
        name = self.experiment.name
        command = f"python -m keras_effnetv2 train --experiment {name}"
        return f"{command} --workdir runs/{name} {self.options}".rstrip()


_OFF = Ramp(0, 0)
_TPU = "--strategy tpu --set data.directory=DIRECTORY"
_POD = "32 TPU v3 cores"
# On TPUs and GPUs, determinism would cost speed.
_FAST = Loop(deterministic=False)

# Both splits are the released code's: the first 20 of 1,024 files are held out, like
# the paper's 25,000 images for tuning.
_IMAGENET = Data(
    "imagenet_tfrecord",
    num_classes=1000,
    name="imagenet2012",
    num_train_images=1_256_144,
)
# Released code: the first 16 of its files are for evaluation, 4 more for tuning.
_IMAGENET21K = Data(
    "imagenet21k_tfrecord",
    num_classes=21_843,
    num_train_images=12_720_275,
    multi_label=True,
)


def imagenet(size: str, magnitude: float, alpha: float, expected: str) -> Recipe:
    """The released code's recipe for ImageNet."""
    variant = get_variant(f"efficientnetv2-{size}")
    legacy = size.startswith("b")  # They use the preprocessing of EfficientNet V1.
    experiment = Experiment(
        name=f"imagenet-{size}",
        data=_IMAGENET,
        model=Model(variant.name),
        augmentation=Augmentation("autoaugment", 2, 0.08, interpolation="bicubic")
        if legacy
        else Augmentation(),
        progressive=Progressive(
            num_stages=4,
            formula="released",
            image_size=Ramp(128, variant.train_size),
            randaugment_magnitude=_OFF if legacy else Ramp(5, magnitude),
            mixup_alpha=Ramp(0, alpha),
            cutmix_alpha=Ramp(0, alpha),
        ),
        loop=_FAST,
    )
    return Recipe(experiment, _POD, "google/automl, efficientnetv2", expected, _TPU)


def paper(
    size: str,
    last_size: int,
    magnitude: float,
    alpha: float,
    dropout_rate: float,
    expected: str,
) -> Recipe:
    """The paper's recipe for ImageNet, Table 6."""
    experiment = Experiment(
        name=f"imagenet-{size}-paper",
        data=_IMAGENET,
        model=Model(f"efficientnetv2-{size}", bn_momentum=0.99),
        progressive=Progressive(
            num_stages=4,
            formula="paper",
            image_size=Ramp(128, last_size),
            randaugment_magnitude=Ramp(5, magnitude),
            mixup_alpha=Ramp(0, alpha),
            dropout_rate=Ramp(0.1, dropout_rate),
        ),
        loop=_FAST,
    )
    source = "Tan and Le 2021, Section 5.1 and Table 6"
    return Recipe(experiment, _POD, source, expected, _TPU)


def imagenet21k(size: str, expected: str) -> Recipe:
    """The released code's recipe for ImageNet-21k; the paper's stages are unstated."""
    experiment = Experiment(
        name=f"imagenet21k-{size}",
        data=_IMAGENET21K,
        model=Model(
            f"efficientnetv2-{size}", preprocessing="imagenet21k", eval_size=224
        ),
        augmentation=Augmentation("none"),
        # Its dropout rate is 1e-6, which is 0 except that the layer exists.
        progressive=Progressive(dropout_rate=_OFF, drop_path_rate=_OFF),
        optimizer=Optimizer(learning_rate=0.008),
        schedule=Schedule("cosine", warmup_epochs=1),
        regularization=Regularization(label_smoothing=0),
        loop=_FAST,
        epochs=60,
    )
    source = "google/automl, efficientnetv2: ImageNet21k"
    return Recipe(experiment, _POD, source, expected, _TPU)


# Less regularization, since there are few steps.
_FINETUNING = Experiment(
    name="finetune-imagenet",
    data=_IMAGENET,
    model=Model(
        "efficientnetv2-s", weights="imagenet21k", preprocessing="imagenet21k-ft1k"
    ),
    augmentation=Augmentation("cutout", min_crop_area=None),
    progressive=Progressive(dropout_rate=_OFF),
    optimizer=Optimizer(learning_rate=0.0005, ema_momentum=0.9996),
    schedule=Schedule("constant", warmup_epochs=1),
    # An epoch of flowers has 3 steps, and an evaluation takes longer than many epochs.
    loop=dataclasses.replace(_FAST, evaluate_steps=500),
    batch_size=512,
    epochs=15,
    min_steps=10_000,
)


def finetune(expected: str) -> Recipe:
    """The released code's recipe from ImageNet-21k to 1k; the paper's uses a cosine."""
    source = "google/automl, efficientnetv2: ImagenetFt"
    return Recipe(_FINETUNING, _POD, source, expected, _TPU)


def transfer(
    name: str,
    tfds_name: str,
    num_classes: int,
    num_train_images: int,
    expected: str,
    train_split: str = "train",
) -> Recipe:
    """The paper's transfer learning, Section 5.3; the rest is as in `ImagenetFt`."""
    experiment = dataclasses.replace(
        _FINETUNING,
        name=f"finetune-{name}",
        data=Data(
            "tfds",
            num_classes,
            tfds_name,
            train_split=train_split,
            eval_split="test",
            num_train_images=num_train_images,
            cache=True,
        ),
        model=dataclasses.replace(_FINETUNING.model, weights="imagenet"),
        schedule=Schedule("cosine", warmup_epochs=1),
        regularization=Regularization(weight_decay=0),
        epochs=1,  # min_steps determines them.
    )
    source = "Tan and Le 2021, Section 5.3; google/automl, efficientnetv2: ImagenetFt"
    return Recipe(experiment, "unstated", source, expected)

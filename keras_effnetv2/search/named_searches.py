"""Named searches: space, data, and the training of candidates."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from keras_effnetv2.errors import InputError
from keras_effnetv2.networks.architecture import Variant
from keras_effnetv2.networks.variants import get_variant
from keras_effnetv2.search.sampling.space import Space
from keras_effnetv2.training.experiments.configuration import (
    Experiment,
    Model,
    Optimizer,
    Progressive,
    Regularization,
    Schedule,
)
from keras_effnetv2.training.experiments.image_settings import Augmentation, Data
from keras_effnetv2.training.progressive.stages import Ramp


@dataclasses.dataclass(frozen=True)
class SearchExperiment:
    """The settings of a search.

    Attributes:
        name: name on the command line.
        backbone: network around which the space is built, and that rewards are relative
            to.
        choices: arguments of `Space.of` besides the backbone.
        training: training of each candidate; `data.eval_split` is the minival,
            `model.variant` is not used.
        num_trials: default number of trials.
        source: source of the settings.
        step_exponent: exponent of the step time in the reward.
        parameter_exponent: exponent of the number of parameters in the reward.
        screen: candidates predicted to take more than so many times the backbone's step
            are recorded but not trained; None: all are trained.
    """

    name: str
    backbone: Variant
    choices: Mapping[str, Any]
    training: Experiment
    num_trials: int
    source: str
    step_exponent: float = -0.07
    parameter_exponent: float = -0.05
    screen: float | None = None

    def __post_init__(self) -> None:
        if self.screen is not None and not 0 < self.screen < math.inf:
            raise InputError(
                "screen must be above 0, relative to the backbone's step. Received: "
                f"{self.screen}."
            )

    @property
    def space(self) -> Space:
        """The space of candidates."""
        return Space.of(self.backbone, **self.choices)


# A quarter of B0's channels and half of its blocks: a candidate trains in seconds.
_SMALL = dataclasses.replace(
    get_variant("efficientnetv2-b0"),
    name="efficientnetv2-b0-small",
    width_coefficient=0.25,
    depth_coefficient=0.5,
)


def _small(name: str, data: Data, image_size: int, epochs: int) -> SearchExperiment:
    """A search on small grey images, on two CPU cores."""
    training = Experiment(
        name,
        data,
        Model(
            "efficientnetv2-b0",
            preprocessing="imagenet21k-ft1k",  # For its evaluation: the whole image.
            eval_size=image_size,
            precision="float32",
        ),
        Augmentation("none", min_crop_area=0.9, flip=False),
        Progressive(dropout_rate=Ramp(0.1, 0.1), drop_path_rate=Ramp(0, 0)),
        Optimizer(
            "adam",
            learning_rate=5e-3,
            learning_rate_batch_size=None,
            epsilon=1e-7,
            ema_momentum=0.95,
        ),
        Schedule("cosine", warmup_epochs=1),
        Regularization(),
        batch_size=64,
        epochs=epochs,
    )
    return SearchExperiment(
        name, _SMALL, {"layers": (1, 2, 3)}, training, 40, "keras_effnetv2"
    )


def _imagenet() -> SearchExperiment:
    """The paper's, Section 3.3, as far as stated: 10 epochs, B4, small images."""
    training = Experiment(
        "imagenet-search",
        Data(
            "tfds", 1000, "imagenet2012",
            train_split="train[1%:]", eval_split="train[:1%]",
        ),
        Model("efficientnet-b4", eval_size=224),
        progressive=Progressive(randaugment_magnitude=Ramp(10, 10)),
        schedule=Schedule("cosine", warmup_epochs=1),
        batch_size=1024,
        epochs=10,
    )  # fmt: skip
    return SearchExperiment(
        "imagenet-search",
        get_variant("efficientnet-b4"),
        {},
        training,
        1000,
        "paper, Section 3.3; size, batch and minival are not stated",
    )


_DIGITS = Data(
    "digits", 10, train_split="train[:1137]", eval_split="train[1137:]", cache=True
)
_FASHION = Data(
    "idx", 10, train_split="train[:6000]", eval_split="train[6000:8000]", cache=True
)

SEARCHES = {
    search.name: search
    for search in (
        _small("digits-search", _DIGITS, image_size=32, epochs=8),
        _small("fashion-mnist-search", _FASHION, image_size=32, epochs=4),
        _imagenet(),
    )
}


def get_search(name: str) -> SearchExperiment:
    """The search with a name.

    Raises:
        ValueError: there is no such search.
    """
    if name not in SEARCHES:
        raise InputError(
            f"Unknown search {name!r}. Expected one of: {', '.join(SEARCHES)}."
        )
    return SEARCHES[name]

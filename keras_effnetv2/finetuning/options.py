"""Options of a fine-tuning run, none of which is required."""

import dataclasses
import math
from typing import Any

from keras_effnetv2.errors import InputError
from keras_effnetv2.networks.variants import get_variant

MINUTES = 5.0  # Default for a whole call.
FROM_SCRATCH = "none"


@dataclasses.dataclass(frozen=True)
class Options:
    """The user's choices; None leaves a choice to `finetune`.

    Attributes:
        variant: the network, as for `create_model`.
        weights: initial weights, as for `create_model`; `"none"`: random.
        image_size: side of the images at the end of the training, pixels.
        batch_size: images per step.
        epochs: epochs of training.
        minutes: roughly how long everything may take.
        settings: settings of the experiment, as for `training.override`.
        find_lr: whether to find the learning rate by a sweep.
    """

    variant: str | None = None
    weights: str | None = None
    image_size: int | None = None
    batch_size: int | None = None
    epochs: int | None = None
    minutes: float | None = None
    settings: tuple[str, ...] = ()
    find_lr: bool = False

    def __post_init__(self) -> None:
        for name in ("image_size", "batch_size", "epochs"):
            value = getattr(self, name)
            is_whole = isinstance(value, int) and not isinstance(value, bool)
            least = 32 if name == "image_size" else 1
            if value is not None and not (is_whole and value >= least):
                raise InputError(
                    f"{name} must be a whole number, at least {least}. Received: "
                    f"{value!r}."
                )
        if self.minutes is not None and not _is_time(self.minutes):
            raise InputError(
                "minutes must be a number above 0, such as 5 or 0.5. Received: "
                f"{self.minutes!r}."
            )
        if self.find_lr and self.asks_for("optimizer.learning_rate"):
            raise InputError(
                "find_lr finds the learning rate. Received: a setting "
                "optimizer.learning_rate too. Leave out one of them."
            )
        if self.variant is not None:
            get_variant(self.variant)

    def asks_for(self, name: str) -> bool:
        """Whether the user has set a setting of the experiment."""
        return any(x.partition("=")[0].strip() == name for x in self.settings)

    def to_values(self) -> dict[str, Any]:
        """The options in JSON's types."""
        return {**dataclasses.asdict(self), "settings": list(self.settings)}


def _is_time(minutes: Any) -> bool:
    is_number = isinstance(minutes, int | float) and not isinstance(minutes, bool)
    return is_number and math.isfinite(minutes) and minutes > 0

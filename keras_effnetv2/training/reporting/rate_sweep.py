"""A sweep of learning rates: its losses, the suggested rate, and a picture."""

import dataclasses
import json
from typing import Any

import numpy as np

from keras_effnetv2.errors import InputError, require_modules
from keras_effnetv2.files import replace_file, replacing
from keras_effnetv2.paths import AnyPath, AnyPathLike

_FEWEST_STEPS = 12  # Fewer losses tell nothing.
_SMOOTHING = 0.06  # Standard deviation of the weights, as a fraction of all steps.
# A fall of the smoothed loss counts if it is at least so many standard deviations of a
# step's loss around it, and such a fraction of the loss.
_CLEAR_FALL, _LEAST_FALL = 2.0, 0.02
_STEPS, _SMOOTHED, _CHOSEN = "#e08e2b", "#1f5fa8", "#444444"


@dataclasses.dataclass(frozen=True)
class RateSweep:
    """The measurements of a sweep.

    Attributes:
        rates: learning rate of each step, a constant times the one before.
        losses: loss on the images of each step, before the step.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]

    def smoothed(self) -> np.ndarray:
        """Centred weighted means of the losses, `(steps,)`: they do not lag."""
        places = np.arange(len(self.losses))
        width = max(1.0, _SMOOTHING * len(self.losses))
        distances = (places[:, None] - places) / width
        weights = np.exp(-0.5 * distances**2)
        return weights @ np.array(self.losses) / weights.sum(axis=1)

    def suggest(self) -> tuple[float | None, str]:
        """The rate at which the loss falls fastest, to two digits, and a reason.

        None if it does not fall clearly.
        """
        if len(self.rates) < _FEWEST_STEPS:
            return None, f"{len(self.rates)} steps are too few to tell"
        smoothed = self.smoothed()
        lowest = int(smoothed.argmin())
        noise = float(np.std(np.array(self.losses) - smoothed))
        highest = smoothed[: lowest + 1].max()
        least = max(_CLEAR_FALL * noise, _LEAST_FALL * highest)
        if highest - smoothed[lowest] <= least:
            return None, "the loss falls clearly at no rate"
        slopes = np.gradient(smoothed[: lowest + 1])
        rate = float(f"{self.rates[int(slopes.argmin())]:.2g}")
        return rate, (
            f"the loss falls fastest there; it is lowest at {self.rates[lowest]:.2g}, "
            f"in a sweep of {len(self.rates)} steps"
        )

    def write(self, path: AnyPath) -> None:
        """Writes it as JSON for `read_sweep`."""
        replace_file(path, (json.dumps(dataclasses.asdict(self)) + "\n").encode())


def read_sweep(path: AnyPath) -> RateSweep | None:
    """The sweep of a work folder; None if there was none.

    Raises:
        ValueError: the file is damaged.
    """
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_bytes())
        return RateSweep(*(tuple(map(float, values[x])) for x in ("rates", "losses")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is damaged ({error}). Remove it.") from error


def draw_rates(sweep: RateSweep, path: AnyPathLike, title: str) -> None:
    """Writes a PNG of `rates_figure`.

    Args:
        sweep: a sweep of at least one step.
        path: the PNG; an older one is replaced atomically.
        title: title of the picture.

    Raises:
        ImportError: matplotlib is missing.
    """
    figure = rates_figure(sweep)
    figure.suptitle(f"{title} · learning rates", fontsize=13)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def rates_figure(sweep: RateSweep) -> Any:
    """The loss over the learning rate, per step and smoothed, and the suggested rate.

    Args:
        sweep: a sweep of at least one step.

    Returns:
        A figure of matplotlib.

    Raises:
        ImportError: matplotlib is missing.
    """
    require_modules("Curves need", "train", "matplotlib")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), dpi=110, layout="constrained")
    axes = figure.subplots()
    axes.plot(sweep.rates, sweep.losses, ".", color=_STEPS, label="a step")
    axes.plot(sweep.rates, sweep.smoothed(), color=_SMOOTHED, label="smoothed")
    rate, _ = sweep.suggest()
    if rate is not None:
        axes.axvline(rate, color=_CHOSEN, linestyle="--", label=f"taken: {rate:.2g}")
    axes.set_xscale("log")
    axes.set_xlabel("learning rate")
    axes.set_ylabel("loss")
    axes.legend(loc="best")
    return figure

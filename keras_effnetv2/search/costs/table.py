"""What each block adds to a training step, measured once: predicted step times.

table = CostTable.of(space, image_size=64, batch_size=64)
seconds = table.predict(space.variant(point))

Every block that the space can have is measured by itself: the step of a few layers with
it, less the step without it. A network then takes a constant, for stem, top and the
start of a step, and its blocks' sum times a factor, as blocks run partly beside each
other: both are fitted to a few whole networks. All costs are shares of the backbone's
step, measured in the same rounds.

Weights of their own for MBConv and Fused-MBConv, or for the numbers of blocks or
parameters, predicted no better where this was tried, on a CPU; counted FLOPs in place
of measured blocks predicted far worse.
"""

import dataclasses
import os
import statistics
import sys
from collections.abc import Mapping
from typing import TextIO

import numpy as np

from keras_effnetv2.errors import InputError
from keras_effnetv2.networks.architecture import Variant
from keras_effnetv2.search.costs.block_shapes import block_shapes
from keras_effnetv2.search.costs.cost_cache import CostCache, Costs
from keras_effnetv2.search.costs.cost_measurement import CostMeasurement
from keras_effnetv2.search.costs.step_time import REPEATS
from keras_effnetv2.search.costs.workload import Workload, device_name
from keras_effnetv2.search.sampling.space import Space
from keras_effnetv2.training.experiments.configuration import Optimizer, Precision

NUM_NETWORKS = 8  # Whole networks, for two weights.


@dataclasses.dataclass(frozen=True)
class CostTable:
    """Predicts step times; `CostTable.of` makes one.

    Attributes:
        backbone: that costs are shares of.
        workload: of the steps.
        device: that computed, in words.
        backbone_seconds: of the backbone's step, the median.
        costs: name of a `BlockShape` -> share of the backbone's step.
        weights: of the features of a network, see `features`.
        fitted: the networks that the weights were fitted to.
    """

    backbone: Variant
    workload: Workload
    device: str
    backbone_seconds: float
    costs: Mapping[str, float]
    weights: tuple[float, ...]
    fitted: tuple[Variant, ...] = ()

    @classmethod
    def of(
        cls,
        space: Space,
        *,
        image_size: int,
        batch_size: int,
        precision: Precision = "float32",
        classes: int = 10,
        optimizer: Optimizer | None = None,
        repeats: int = REPEATS,
        num_networks: int = NUM_NETWORKS,
        folder: str | os.PathLike | None = None,
        stream: TextIO | None = None,
    ) -> "CostTable":
        """The table of a space on this device: from its file, or measured now.

        What is measured is in the file at once; a stopped measurement goes on.

        Args:
            space: whose blocks are measured.
            image_size: pixels a side.
            batch_size: images a step.
            precision: see `measure_step_times`.
            classes: width of the classifier.
            optimizer: settings of the training; None: the paper's RMSProp.
            repeats: rounds of each measurement.
            num_networks: whole networks to fit to.
            folder: of the files; None: `step_times` in Keras' folder.
            stream: where progress is written; None: `sys.stderr`.

        Raises:
            ValueError: as `measure_step_times`.
        """
        workload = Workload(
            image_size, batch_size, precision, classes, optimizer or Optimizer()
        )
        workload.check(space.backbone)
        cache = CostCache(space.backbone, workload, folder)
        with cache.locked():
            measured = CostMeasurement(
                space, workload, repeats, cache, stream or sys.stderr
            )
            measured.fill(num_networks)
        return cls.from_costs(space.backbone, workload, measured.costs)

    @classmethod
    def from_costs(
        cls, backbone: Variant, workload: Workload, costs: Costs
    ) -> "CostTable":
        """The table of measured costs.

        Args:
            backbone: of the space.
            workload: of the steps.
            costs: of all blocks of `costs.networks`, and of one network at least.
        """
        networks = [(backbone, 1.0), *costs.networks]
        rows = [features(x, workload.image_size, costs.blocks) for x, _ in networks]
        weights = fit(np.array(rows), np.array([share for _, share in networks]))
        return cls(
            backbone,
            workload,
            device_name(),
            statistics.median(costs.seconds),
            dict(costs.blocks),
            tuple(weights.tolist()),
            tuple(variant for variant, _ in networks),
        )

    def predict(self, variant: Variant) -> float:
        """Seconds of a step, at the speed that the device had when it was measured.

        Raises:
            ValueError: a block that was not measured.
        """
        return self.backbone_seconds * self.relative(variant)

    def relative(self, variant: Variant) -> float:
        """Predicted step time as a share of the backbone's.

        Raises:
            ValueError: a block that was not measured.
        """
        row = features(variant, self.workload.image_size, self.costs)
        return float(row @ np.array(self.weights))


def features(
    variant: Variant, image_size: int, costs: Mapping[str, float]
) -> np.ndarray:
    """What a step time is a sum of, `(2,)`: the costs of all blocks, and a constant.

    Raises:
        ValueError: a block that `costs` lacks.
    """
    total = 0.0
    for shape, count in block_shapes(variant, image_size).items():
        if shape.name not in costs:
            raise InputError(
                f"The step of {variant.name} cannot be predicted: {shape.name!r} was "
                "not measured. Make the table of a space that has the network."
            )
        total += count * costs[shape.name]
    return np.array([total, 1.0])


def fit(rows: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Weights of 0 or more that predict shares with the least relative errors.

    Args:
        rows: `(networks, features)`.
        shares: `(networks,)`, above 0.

    Returns:
        `(features,)`.
    """
    from scipy import optimize

    weights, _ = optimize.nnls(rows / shares[:, None], np.ones(len(shares)))
    return weights

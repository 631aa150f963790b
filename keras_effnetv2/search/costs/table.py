"""Predicts step times from what each block adds to a training step, measured once.

table = CostTable.of(space, image_size=64, batch_size=64)
seconds = table.predict(space.variant(point))

Every block of the space is measured by itself: the step of a few layers with it, minus
the step without it. The prediction for a network is a constant, for stem, top and the
start of a step, plus the sum of its blocks times a factor, as blocks run partly in
parallel; both are fitted to a few whole networks. All costs are relative to the
backbone's step, measured in the same rounds.

Separate weights for MBConv and Fused-MBConv, or for the numbers of blocks or
parameters, predicted no better when this was tried on a CPU; counted FLOPs instead of
measured blocks predicted far worse.
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

NUM_NETWORKS = 8  # Whole networks to fit two weights to.


@dataclasses.dataclass(frozen=True)
class CostTable:
    """Predicts step times; `CostTable.of` makes one.

    Attributes:
        backbone: the network that costs are relative to.
        workload: workload of the steps.
        device: the device, in words.
        backbone_seconds: median time of the backbone's step.
        costs: name of a `BlockShape` -> time relative to the backbone's step.
        weights: weights of the features of a network; see `features`.
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

        Measurements are stored at once; a stopped one resumes.

        Args:
            space: the space whose blocks are measured.
            image_size: side in pixels.
            batch_size: images per step.
            precision: see `measure_step_times`.
            classes: width of the classifier.
            optimizer: optimizer settings; None: the paper's RMSProp.
            repeats: rounds of each measurement.
            num_networks: whole networks to fit to.
            folder: folder of the files; None: `step_times` in Keras's folder.
            stream: where to write progress; None: `sys.stderr`.

        Raises:
            ValueError: as for `measure_step_times`.
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
            backbone: backbone of the space.
            workload: workload of the steps.
            costs: costs of all blocks of `costs.networks`, and of at least one network.
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
        """Seconds of a step, at the speed of the device when it was measured.

        Raises:
            ValueError: a block that was not measured.
        """
        return self.backbone_seconds * self.relative(variant)

    def relative(self, variant: Variant) -> float:
        """Predicted step time relative to the backbone's.

        Raises:
            ValueError: a block that was not measured.
        """
        row = features(variant, self.workload.image_size, self.costs)
        return float(row @ np.array(self.weights))


def features(
    variant: Variant, image_size: int, costs: Mapping[str, float]
) -> np.ndarray:
    """The summands of a step time, `(2,)`: the costs of all blocks, and a constant.

    Raises:
        ValueError: a block that `costs` lacks.
    """
    total = 0.0
    for shape, count in block_shapes(variant, image_size).items():
        if shape.name not in costs:
            raise InputError(
                f"The step of {variant.name} cannot be predicted: {shape.name!r} was "
                "not measured. Make the table for a space that contains the network."
            )
        total += count * costs[shape.name]
    return np.array([total, 1.0])


def fit(rows: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Non-negative weights that predict relative times with the least relative errors.

    Args:
        rows: `(networks, features)`.
        shares: `(networks,)`, above 0.

    Returns:
        `(features,)`.
    """
    from scipy import optimize

    weights, _ = optimize.nnls(rows / shares[:, None], np.ones(len(shares)))
    return weights

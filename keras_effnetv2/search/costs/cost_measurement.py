"""Measures the costs of blocks and networks of a space, relative to the backbone."""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TextIO

import keras
import numpy as np

from keras_effnetv2.layers import FusedMBConv, MBConv
from keras_effnetv2.progress import Progress
from keras_effnetv2.search.costs.block_shapes import BlockShape, space_shapes
from keras_effnetv2.search.costs.cost_cache import CostCache
from keras_effnetv2.search.costs.step_time import (
    compare_step_times,
    measuring,
    relative_step_time,
    time_in_turns,
)
from keras_effnetv2.search.costs.workload import Workload, layer_step, network_step
from keras_effnetv2.search.sampling.space import Space

_MAX_GROUP = 12  # Blocks in memory at once.
_DROP_PATH_RATE = 0.1  # Any rate above 0 takes the same time.


class CostMeasurement:
    """Fills the costs of a space, and stores them after each group.

    Args:
        space: the space whose blocks and networks are measured.
        workload: workload of the steps.
        repeats: rounds of each measurement.
        cache: cache of earlier measurements.
        stream: where progress is written.
    """

    def __init__(
        self,
        space: Space,
        workload: Workload,
        repeats: int,
        cache: CostCache,
        stream: TextIO,
    ) -> None:
        self._space = space
        self._workload = workload
        self._repeats = repeats
        self._cache = cache
        self._stream = stream
        self.costs = cache.read()

    def fill(self, num_networks: int) -> None:
        """Measures what is missing."""
        groups = list(self._groups())
        todo = sum(map(len, groups))
        if todo:
            progress = Progress("step times of blocks", todo, stream=self._stream)
            with measuring():
                backbone = network_step(self._space.backbone, self._workload)
                for group in groups:
                    self._measure_blocks(backbone, group)
                    progress.advance(len(group))
                del backbone
            progress.finish()
        self._measure_networks(num_networks - len(self.costs.networks))

    def _groups(self) -> Iterator[list[BlockShape]]:
        """Missing blocks, grouped by input shape."""
        shapes = space_shapes(self._space, self._workload.image_size)
        missing = [shape for shape in shapes if shape.name not in self.costs.blocks]
        for _, group in itertools.groupby(
            missing, key=lambda shape: (shape.side, shape.input_filters)
        ):
            group = list(group)
            for start in range(0, len(group), _MAX_GROUP):
                yield group[start : start + _MAX_GROUP]

    def _measure_blocks(
        self, backbone: Callable[[], float], shapes: Sequence[BlockShape]
    ) -> None:
        with measuring():
            shape = shapes[0]
            sides = (shape.side, shape.side, shape.input_filters)
            empty = layer_step(list, sides, self._workload)
            steps = [
                layer_step(
                    functools.partial(_block, x, self._workload), sides, self._workload
                )
                for x in shapes
            ]
            rounds = time_in_turns([backbone, empty, *steps], self._repeats)
            del empty, steps
        beside, without, *own = map(np.array, rounds)
        for shape, seconds in zip(shapes, own, strict=True):
            share = float(np.median((seconds - without) / beside))
            self.costs.blocks[shape.name] = max(0.0, share)
        self._keep(rounds[0])

    def _measure_networks(self, num: int) -> None:
        """Random networks of the space, different from earlier ones."""
        if num <= 0:
            return
        rng = np.random.default_rng(len(self.costs.networks))
        networks = [self._space.variant(self._space.random(rng)) for _ in range(num)]
        progress = Progress("step times of networks", num, stream=self._stream)
        options = {
            field.name: getattr(self._workload, field.name)
            for field in dataclasses.fields(self._workload)
        }
        times = compare_step_times(
            networks, self._space.backbone, repeats=self._repeats, **options
        )
        for network, (own, beside) in zip(networks, times, strict=True):
            self.costs.networks.append((network, relative_step_time(own, beside)))
            self._keep(beside.seconds)
            progress.advance(1)
        progress.finish()

    def _keep(self, backbone_seconds: Sequence[float]) -> None:
        self.costs.seconds.append(float(np.median(backbone_seconds)))
        self._cache.write(self.costs)


def _block(shape: BlockShape, workload: Workload) -> list[keras.layers.Layer]:
    """A new instance of the block."""
    kind = MBConv if shape.is_mbconv else FusedMBConv
    block = kind(
        shape.filters,
        shape.kernel_size,
        shape.strides,
        shape.expand_ratio,
        shape.se_ratio,
        drop_path_rate=_DROP_PATH_RATE if shape.is_dropped else 0.0,
        dtype=workload.precision,
    )
    return [block]

"""Costs of a network: parameters, multiply-adds, activation memory, latency.

Parameters and multiply-adds are counted from a variant's rows in plain Python; only
`profile(..., measure=True)` builds the network, to measure the other two.
"""

import collections
import dataclasses
import itertools
import os
from collections.abc import Mapping, Sequence

from keras_effnetv2.errors import InputError
from keras_effnetv2.networks.architecture import MBCONV, Variant
from keras_effnetv2.networks.block_list import Block, layout
from keras_effnetv2.networks.variants import get_variant
from keras_effnetv2.profiling import counts, measurement

NUM_CLASSES = 1000


@dataclasses.dataclass(frozen=True)
class StageProfile:
    """Cost of one stage, for one batch.

    Attributes:
        name: `"stem"`, `"stage1"`, ..., `"top"`.
        operator: its operators, in the notation of the paper's Table 4.
        output_size: height and width of its output map, pixels; of the pooled map for
            the top's last convolution.
        filters: channels of its output; for the top, those that are pooled.
        num_blocks: number of blocks.
        num_params: parameters, including batch norm's moving statistics.
        num_trainable_params: parameters updated by gradients.
        multiply_adds: multiply-adds of the convolutions and the dense layer, for one
            image; the papers' FLOPs.
        activation_bytes: bytes that the forward pass keeps for the gradients; None if
            not measured.
    """

    name: str
    operator: str
    output_size: tuple[int, int]
    filters: int
    num_blocks: int
    num_params: int
    num_trainable_params: int
    multiply_adds: int
    activation_bytes: int | None = None


@dataclasses.dataclass(frozen=True)
class Profile:
    """Cost of a network at one image size and batch size, one row per stage.

    Attributes:
        variant: name of the variant.
        image_size: height and width, pixels.
        batch_size: images per call, for `activation_bytes` and `latency`.
        stages: the rows, in the order of the network.
        latency: latency of one forward call; None if not measured.
    """

    variant: str
    image_size: tuple[int, int]
    batch_size: int
    stages: tuple[StageProfile, ...]
    latency: measurement.Latency | None = None

    @property
    def num_params(self) -> int:
        """Parameters, including batch norm's moving statistics."""
        return sum(stage.num_params for stage in self.stages)

    @property
    def num_trainable_params(self) -> int:
        """Parameters updated by gradients."""
        return sum(stage.num_trainable_params for stage in self.stages)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of the convolutions and the dense layer, for one image."""
        return sum(stage.multiply_adds for stage in self.stages)

    @property
    def activation_bytes(self) -> int | None:
        """Kept by the forward pass of a training step; None: not measured."""
        sizes = [stage.activation_bytes for stage in self.stages]
        known = [size for size in sizes if size is not None]
        return sum(known) if len(known) == len(sizes) else None


def profile(
    name_or_variant: str | os.PathLike | Variant,
    image_size: int | tuple[int, int] | None = None,
    batch_size: int = 1,
    measure: bool = True,
) -> Profile:
    """Counts, and optionally measures, the costs of a network with a 1,000-class top.

    Args:
        name_or_variant: e.g. `"efficientnetv2-s"`, a `Variant` of your own, or a
            `.json` file of one.
        image_size: side, or `(height, width)`, pixels; None: the variant's evaluation
            size.
        batch_size: images in a training step (memory) and in a call (latency).
        measure: whether to build the network with random weights to measure activation
            memory and latency.

    Raises:
        ValueError: unknown variant, or a size below 1.
    """
    variant = get_variant(name_or_variant)
    if image_size is None:
        image_size = variant.eval_size
    image_size = _height_and_width(image_size)
    if batch_size < 1:
        raise InputError(f"batch_size must be at least 1. Received: {batch_size!r}.")
    counted = Profile(
        variant.name, image_size, batch_size, _count_stages(variant, image_size)
    )
    return _measured(counted, variant) if measure else counted


def _measured(counted: Profile, variant: Variant) -> Profile:
    """`counted` with activation memory and latency."""
    from keras_effnetv2 import models

    model = models.create_model(variant, weights=None, input_shape=(None, None, 3))
    sizes = measurement.activation_bytes(model, counted.image_size, counted.batch_size)
    stages = counted.stages
    if sizes is not None:
        stages = _with_activations(stages, sizes, variant)
    latency = measurement.latency(model, counted.image_size, counted.batch_size)
    return dataclasses.replace(counted, stages=stages, latency=latency)


def _with_activations(
    stages: tuple[StageProfile, ...],
    sizes: Mapping[str, int],
    variant: Variant,
) -> tuple[StageProfile, ...]:
    """`stages` with the bytes of their layers; `sizes` is by layer name."""
    stage_of = {block.name: f"stage{block.stage}" for block in layout(variant)}
    totals = collections.Counter()
    for name, size in sizes.items():
        is_top = name.startswith(("top_", "avg_pool", "predictions"))
        totals[stage_of.get(name, "top" if is_top else "stem")] += size
    return tuple(
        dataclasses.replace(stage, activation_bytes=totals[stage.name])
        for stage in stages
    )


def _height_and_width(image_size: int | tuple[int, int]) -> tuple[int, int]:
    """Both sides, checked."""
    sides = image_size if isinstance(image_size, tuple) else (image_size, image_size)
    if len(sides) != 2 or not all(isinstance(x, int) and x >= 1 for x in sides):
        raise InputError(
            "image_size must be a side of at least 1 pixel, or (height, width). "
            f"Received: {image_size!r}."
        )
    return sides


def _count_stages(
    variant: Variant, image_size: tuple[int, int]
) -> tuple[StageProfile, ...]:
    """The rows of `variant` with a top of 1,000 classes, without measurements."""
    blocks = layout(variant)
    stem = counts.stem_layers(blocks[0].input_filters)
    rows = [_count("stem", "Conv3x3", 1, stem, image_size)]
    for stage, group in itertools.groupby(blocks, key=lambda block: block.stage):
        group = list(group)
        layers = [layer for block in group for layer in counts.block_layers(block)]
        operator = _describe(group[0])
        size = rows[-1].output_size
        rows.append(_count(f"stage{stage}", operator, len(group), layers, size))
    filters = variant.scaled_top_filters
    top = counts.top_layers(blocks[-1].filters, filters, NUM_CLASSES)
    row = _count("top", "Conv1x1, pooling, dense", 1, top, rows[-1].output_size)
    return (*rows, dataclasses.replace(row, filters=filters))


def _describe(block: Block) -> str:
    """E.g. `MBConv4, k3x3, SE0.25`."""
    name = "MBConv" if block.operator == MBCONV else "Fused-MBConv"
    kernel = f"k{block.kernel_size}x{block.kernel_size}"
    gates = "GC" if block.attention == "global_context" else "SE"
    gates = f", {gates}{block.se_ratio:g}" if block.se_ratio else ""
    return f"{name}{block.expand_ratio:g}, {kernel}{gates}"


def _count(
    name: str,
    operator: str,
    num_blocks: int,
    layers: Sequence[counts.LayerCount],
    size: tuple[int, int],
) -> StageProfile:
    """The row of `layers`, whose input map has `size`."""
    height, width = size
    multiply_adds = 0
    for layer in layers:  # With either kind of padding.
        height, width = (-(-side // layer.strides) for side in (height, width))
        multiply_adds += layer.kernel * (1 if layer.pooled else height * width)
    return StageProfile(
        name,
        operator,
        output_size=(height, width),
        filters=layers[-1].filters,
        num_blocks=num_blocks,
        num_params=sum(layer.num_params for layer in layers),
        num_trainable_params=sum(layer.num_trainable_params for layer in layers),
        multiply_adds=multiply_adds,
    )

"""The different blocks of networks: the rows of a table of costs."""

import collections
import dataclasses
import itertools

from keras_effnetv2.networks.architecture import MBCONV, Variant
from keras_effnetv2.networks.block_list import layout
from keras_effnetv2.search.sampling.space import Space


@dataclasses.dataclass(frozen=True)
class BlockShape:
    """Everything that the cost of a block depends on.

    Attributes:
        operator: `"mbconv"` or `"fused_mbconv"`.
        kernel_size: side of the kernel.
        strides: 1 or 2.
        expand_ratio: hidden channels per input channel.
        se_ratio: squeeze-excite channels per input channel.
        input_filters: channels of the input map; if equal to `filters`, with strides of
            1, there is a shortcut.
        filters: channels of the output map.
        side: side of the input map.
        is_dropped: whether stochastic depth may drop its branch.
    """

    operator: str
    kernel_size: int
    strides: int
    expand_ratio: float
    se_ratio: float
    input_filters: int
    filters: int
    side: int
    is_dropped: bool

    @property
    def name(self) -> str:
        """Its key in files, such as `mbconv k3 s1 e4 se0.25 16-16 at 8`."""
        return (
            f"{self.operator} k{self.kernel_size} s{self.strides} "
            f"e{self.expand_ratio:g} se{self.se_ratio:g} "
            f"{self.input_filters}-{self.filters} at {self.side}"
            f"{' dropped' if self.is_dropped else ''}"
        )

    @property
    def is_mbconv(self) -> bool:
        """False: Fused-MBConv."""
        return self.operator == MBCONV


def block_shapes(variant: Variant, image_size: int) -> collections.Counter[BlockShape]:
    """The blocks of a network at an image size, and how many of each."""
    shapes: collections.Counter[BlockShape] = collections.Counter()
    side = -(-image_size // 2)  # After the stem.
    for block in layout(variant):
        has_shortcut = block.strides == 1 and block.input_filters == block.filters
        shape = BlockShape(
            block.operator,
            block.kernel_size,
            block.strides,
            block.expand_ratio,
            block.se_ratio,
            block.input_filters,
            block.filters,
            side,
            has_shortcut and block.drop_path_rate > 0,
        )
        shapes[shape] += 1
        side = -(-side // block.strides)
    return shapes


def space_shapes(space: Space, image_size: int) -> list[BlockShape]:
    """Every block that a network of the space, or its backbone, may have.

    Those with the same input map are consecutive.
    """
    shapes = set(block_shapes(space.backbone, image_size))
    # Strides, sides and channels are the backbone's: a block depends only on its own
    # stage's choices, so that all stages can make the same choices at once.
    for operator, kernel_size, expand_ratio in itertools.product(
        space.operators, space.kernels, space.expansions
    ):
        chosen = {
            "operator": operator,
            "kernel_size": kernel_size,
            "expand_ratio": expand_ratio,
        }
        point = {
            name: chosen.get(name.partition("/")[2]) or max(choices)
            for name, choices in space.decisions.items()
        }
        shapes.update(block_shapes(space.variant(point), image_size))
    return sorted(shapes, key=lambda x: (-x.side, x.input_filters, x.name))

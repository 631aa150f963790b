"""The scaled blocks of a network in order, and the shapes of their kernels.

Models, the profiler and the weight readers all walk `layout`.
"""

import dataclasses

from keras_effnetv2.networks.architecture import MBCONV, Variant


@dataclasses.dataclass(frozen=True)
class Block:
    """One block of a network, scaled and numbered.

    Attributes:
        name: `block{stage}{letters}`: `block1a` ... `block6z`, `block6aa`, ...
        stage: number of its row, from 1.
        index: number of the block over all rows, from 0.
        position: number of the block in its row, from 0.
        drop_path_rate: probability that the block's branch is dropped for an example.
        attention: layer that `se_ratio` applies to, one of `ATTENTIONS`.
    """

    name: str
    stage: int
    index: int
    position: int
    operator: str
    kernel_size: int
    strides: int
    expand_ratio: float
    input_filters: int
    filters: int
    se_ratio: float
    drop_path_rate: float
    always_expand: bool
    attention: str

    @property
    def has_expansion(self) -> bool:
        """Whether a convolution expands the input."""
        return self.expand_ratio > 1 or self.always_expand


def layout(variant: Variant) -> tuple[Block, ...]:
    """The scaled blocks of `variant`, in order."""
    repeats = variant.scaled_repeats
    blocks: list[Block] = []
    input_filters = variant.scaled_stem_filters
    for stage, (spec, num_repeats) in enumerate(
        zip(variant.blocks, repeats, strict=True), start=1
    ):
        filters = variant.round_filters(spec.filters)
        for position in range(num_repeats):
            blocks.append(
                Block(
                    name=f"block{stage}{_letters(position)}",
                    stage=stage,
                    index=len(blocks),
                    position=position,
                    operator=spec.operator,
                    kernel_size=spec.kernel_size,
                    strides=spec.strides if position == 0 else 1,
                    expand_ratio=spec.expand_ratio,
                    input_filters=input_filters,
                    filters=filters,
                    se_ratio=spec.se_ratio,
                    drop_path_rate=variant.drop_path_rate * len(blocks) / sum(repeats),
                    always_expand=spec.always_expand,
                    attention=variant.attention,
                )
            )
            input_filters = filters
    return tuple(blocks)


def kernel_shapes(block: Block) -> dict[str, tuple[int, int, int, int]]:
    """Shapes of a block's kernels by layer name, in order.

    `(side, side, inputs, outputs)`, for `"dwconv2"` `(side, side, channels, 1)`. The
    only spatial kernel is `spatial_layer(block)`'s; layers with a `/` have biases.
    """
    inputs, side = block.input_filters, block.kernel_size
    hidden = int(inputs * block.expand_ratio)
    squeezed = max(1, int(inputs * block.se_ratio))
    gates = "gc" if block.attention == "global_context" else "se"
    shapes = {
        "expand_conv": (1, 1, inputs, hidden),
        "dwconv2": (1, 1, hidden, 1),
        "gc/attend": (1, 1, hidden, 1),
        f"{gates}/reduce": (1, 1, hidden, squeezed),
        f"{gates}/expand": (1, 1, squeezed, hidden),
        "project_conv": (1, 1, hidden, block.filters),
    }
    if not block.has_expansion:
        del shapes["expand_conv"]
    if block.operator != MBCONV:
        del shapes["dwconv2"]
    if gates == "se" or not block.se_ratio:
        del shapes["gc/attend"]
    if not block.se_ratio:
        del shapes[f"{gates}/reduce"], shapes[f"{gates}/expand"]
    spatial = spatial_layer(block)
    return shapes | {spatial: (side, side, *shapes[spatial][2:])}


def spatial_layer(block: Block) -> str:
    """The layer that has the block's kernel size and strides."""
    if block.operator == MBCONV:
        return "dwconv2"
    return "expand_conv" if block.has_expansion else "project_conv"


def _letters(position: int) -> str:
    """Spreadsheet letters: 0 -> a, 25 -> z, 26 -> aa. XL's sixth row has 32 blocks."""
    first, last = divmod(position, 26)
    return (_letters(first - 1) if first else "") + chr(ord("a") + last)

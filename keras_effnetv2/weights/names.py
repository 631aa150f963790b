"""Every array of a network: its shape, its name here and its names elsewhere.

Pure Python. The tables of `layer_names` have each publisher's names of the layers of a
block; everything else follows from `block_list.layout`.

Sources: those of the tables; keras.applications `efficientnet_v2` and
`efficientnet` (Keras 3.15.1), sebastian-sz/efficientnet-v2-keras.
"""

import collections
import dataclasses
import functools
from collections.abc import Iterator

from keras_effnetv2.networks.architecture import MBCONV, Variant
from keras_effnetv2.networks.block_list import Block, kernel_shapes, layout
from keras_effnetv2.weights import layer_names
from keras_effnetv2.weights.layer_names import (
    CHECKPOINT,
    EFFICIENTNET_PYTORCH,
    LEONDGARSE,
    OBJECT_CHECKPOINT,
    TIMM,
    TORCHVISION,
)

APPLICATIONS = "keras.applications"
APPLICATIONS_V1 = "keras.applications V1"
SEBASTIAN_SZ = "sebastian-sz"
OWN = "keras_effnetv2"
APPLICATIONS_UNNAMED = "keras.applications without names"

PYTORCH = (TIMM, EFFICIENTNET_PYTORCH, TORCHVISION)
NAMINGS = (
    APPLICATIONS,
    APPLICATIONS_V1,
    SEBASTIAN_SZ,
    LEONDGARSE,
    CHECKPOINT,
    OBJECT_CHECKPOINT,
    *PYTORCH,
    OWN,
    APPLICATIONS_UNNAMED,
)

# Early versions of Keras 3 name layers in files by their class, numbered.
_CLASSES = {
    "conv": "conv2d",
    "depthwise": "depthwise_conv2d",
    "bn": "batch_normalization",
    "ln": "layer_normalization",
    "dense": "dense",
}
_PYTORCH_VARIABLES = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}

# Convolution of a block -> the batch norm after it.
_NORMS = {"expand_conv": "expand_bn", "dwconv2": "bn", "project_conv": "project_bn"}

# Kind of layer -> axes of a PyTorch kernel in the order of a Keras kernel.
_PYTORCH_AXES = {"conv": (2, 3, 1, 0), "depthwise": (2, 3, 0, 1), "dense": (1, 0)}


@dataclasses.dataclass(frozen=True)
class _Layer:
    """A layer with weights: shape of its kernel (channels of a batch norm), names."""

    name: str
    kind: str  # "conv", "depthwise", "bn", "ln" or "dense"
    shape: tuple[int, ...]
    has_bias: bool
    aliases: dict[str, str]

    def variables(self) -> dict[str, tuple[int, ...]]:
        """Names of the layer's variables -> shapes."""
        if self.kind == "bn":
            names = ("gamma", "beta", "moving_mean", "moving_variance")
            return dict.fromkeys(names, self.shape)
        if self.kind == "ln":
            return dict.fromkeys(("gamma", "beta"), self.shape)
        if self.has_bias:
            return {"kernel": self.shape, "bias": self.shape[-1:]}
        return {"kernel": self.shape}


def canonical_shapes(
    variant: Variant, num_classes: int | None, input_channels: int = 3
) -> dict[str, tuple[int, ...]]:
    """Shapes of all arrays of a network by name, in the order of the network.

    Args:
        variant: rows and coefficients.
        num_classes: width of the classifier; None for a network without one.
        input_channels: channels of the images.
    """
    return {
        f"{layer.name}/{variable}": shape
        for layer in _layers(variant, num_classes, input_channels)
        for variable, shape in layer.variables().items()
    }


@functools.lru_cache(maxsize=64)
def file_names(variant: Variant, naming: str) -> dict[str, str]:
    """Our names of the arrays -> their names in files of a publisher.

    The classifier's are always included. Names in HDF5 files are
    `layer/variable`, without the `:0` that some carry.

    Args:
        variant: rows and coefficients.
        naming: one of `NAMINGS`.
    """
    layers = _all_layers(variant)
    if naming == APPLICATIONS_UNNAMED:
        return _numbered_names(layers)
    return {
        f"{layer.name}/{variable}": _file_name(layer, variable, naming)
        for layer in layers
        for variable in layer.variables()
    }


@functools.lru_cache(maxsize=64)
def file_axes(variant: Variant, naming: str) -> dict[str, tuple[int, ...]]:
    """Names of the arrays whose axes must be permuted -> the permutation."""
    if naming not in PYTORCH:
        return {}
    return {
        f"{layer.name}/kernel": _PYTORCH_AXES[layer.kind]
        for layer in _all_layers(variant)
        if layer.kind in _PYTORCH_AXES
    }


def _file_name(layer: _Layer, variable: str, naming: str) -> str:
    name = layer.aliases[naming]
    if naming in PYTORCH:
        return f"{name}.{_PYTORCH_VARIABLES[variable]}"
    if layer.kind == "depthwise" and naming in (CHECKPOINT, OBJECT_CHECKPOINT):
        variable = f"depthwise_{variable}"
    return f"{name}/{variable}"


def _numbered_names(layers: tuple[_Layer, ...]) -> dict[str, str]:
    """The layers of a class are numbered in the order of the network."""
    names, counts = {}, collections.Counter()
    for layer in layers:
        number = counts[layer.kind]
        counts[layer.kind] += 1
        name = f"{_CLASSES[layer.kind]}_{number}" if number else _CLASSES[layer.kind]
        for variable in layer.variables():
            names[f"{layer.name}/{variable}"] = f"{name}/{variable}"
    return names


@functools.lru_cache(maxsize=8)  # All namings of a variant are tried in sequence.
def _all_layers(variant: Variant) -> tuple[_Layer, ...]:
    """All layers, used for their names, not their shapes."""
    return tuple(_layers(variant, 1, 1))


def _layers(
    variant: Variant, num_classes: int | None, input_channels: int
) -> Iterator[_Layer]:
    """All layers with weights, in the order of the network."""
    blocks = layout(variant)
    stem, last = blocks[0].input_filters, blocks[-1].filters
    top = variant.scaled_top_filters
    shapes = {
        "stem_conv": (3, 3, input_channels, stem),
        "stem_bn": (stem,),
        "top_conv": (1, 1, last, top),
        "top_bn": (top,),
        "predictions": (top, num_classes),
    }
    stages = len(variant.blocks)
    for row in layer_names.STEM:
        yield _end_layer(row, shapes[row["ours"]], stages)
    for block in blocks:
        yield from _block_layers(block)
    rows = layer_names.TOP if num_classes is not None else layer_names.TOP[:-1]
    for row in rows:
        yield _end_layer(row, shapes[row["ours"]], stages)


def _end_layer(row: dict[str, str], shape: tuple[int, ...], stages: int) -> _Layer:
    """A layer of the stem or the top."""
    name = row["ours"]
    aliases = {key: alias.format(top=stages + 1) for key, alias in row.items()}
    same = (APPLICATIONS, APPLICATIONS_V1, SEBASTIAN_SZ, OWN)
    aliases |= dict.fromkeys(same, name)
    kind = {1: "bn", 2: "dense", 4: "conv"}[len(shape)]
    return _Layer(name, kind, shape, kind == "dense", aliases)


def _block_layers(block: Block) -> Iterator[_Layer]:
    if block.has_expansion:
        mbconv, fused = layer_names.EXPANDED_MBCONV, layer_names.EXPANDED_FUSED_MBCONV
    else:
        mbconv, fused = layer_names.PLAIN_MBCONV, layer_names.PLAIN_FUSED_MBCONV
    shapes = _block_shapes(block)
    letters, number = block.name, f"block{block.stage}-{block.position + 1:02d}"
    for row in mbconv if block.operator == MBCONV else fused:
        name = row["ours"]
        if name not in shapes:  # Belongs to an attention that the block lacks.
            continue
        joined = name.replace("/", "_")
        aliases = {
            LEONDGARSE: (
                f"stack_{block.stage - 1}_block{block.position}_{row[LEONDGARSE]}"
            ),
            CHECKPOINT: f"blocks_{block.index}/{row[CHECKPOINT]}",
            OBJECT_CHECKPOINT: f"_blocks/{block.index}/{row[OBJECT_CHECKPOINT]}",
            TIMM: f"blocks.{block.stage - 1}.{block.position}.{row[TIMM]}",
            EFFICIENTNET_PYTORCH: f"_blocks.{block.index}.{row[EFFICIENTNET_PYTORCH]}",
            TORCHVISION: (
                f"features.{block.stage}.{block.position}.block.{row[TORCHVISION]}"
            ),
            APPLICATIONS: f"{letters}_{joined}",
            APPLICATIONS_V1: f"{letters}_{joined.replace('dwconv2', 'dwconv')}",
            SEBASTIAN_SZ: f"{number}_{joined}",
            OWN: f"{letters}/{name}",
        }
        kind = "depthwise" if name == "dwconv2" else "conv"
        kind = "bn" if name.endswith("bn") else kind
        kind = "ln" if name == "gc/norm" else kind
        has_bias = "/" in name
        yield _Layer(f"{letters}/{name}", kind, shapes[name], has_bias, aliases)


def _block_shapes(block: Block) -> dict[str, tuple[int, ...]]:
    """Shapes of kernels, and channels of batch norms, by layer name."""
    shapes: dict[str, tuple[int, ...]] = dict(kernel_shapes(block))
    for conv, norm in _NORMS.items():
        if conv in shapes:
            shapes[norm] = shapes[conv][2:3] if conv == "dwconv2" else shapes[conv][3:]
    if "gc/reduce" in shapes:
        shapes["gc/norm"] = shapes["gc/reduce"][3:]
    return shapes

"""Files, names and numbers of PyTorch's own packages.

`tools/references/make_torch_references.py` wrote them, with these packages.
"""

import hashlib
import json
import pathlib
import zlib

import keras
import numpy as np
import pytest

from keras_effnetv2 import create_model
from keras_effnetv2.networks.architecture import (
    FUSED_MBCONV,
    MBCONV,
    BlockSpec,
    Variant,
)
from keras_effnetv2.networks.variants import VARIANTS
from keras_effnetv2.weights import names
from tests.weights.weight_files import read_all

FOLDER = pathlib.Path(__file__).parents[2] / "reference/torch"
NETWORKS = json.loads((FOLDER / "networks.json").read_text())


def v1(**fields):
    rows = (
        BlockSpec(MBCONV, 3, 1, 1, 16, 1, 0.25),
        BlockSpec(MBCONV, 5, 2, 6, 8, 2, 0.25),
    )
    return Variant("small-v1", rows, 8, 32, 32, 0.2, top_filters=320, **fields)


def v2(**fields):
    rows = (
        BlockSpec(FUSED_MBCONV, 3, 1, 1, 8, 1),
        BlockSpec(FUSED_MBCONV, 3, 2, 4, 8, 2),
        BlockSpec(MBCONV, 3, 2, 4, 16, 2, 0.25),
    )
    return Variant("small-v2", rows, 8, 32, 32, 0.2, top_filters=32, **fields)


FILES = {
    "efficientnet-pytorch-v1": (v1(), names.EFFICIENTNET_PYTORCH),
    "timm-v1": (v1(), names.TIMM),
    "timm-v2": (v2(), names.TIMM),
    "torchvision-v1": (v1(padding="symmetric"), names.TORCHVISION),
    "torchvision-v2": (v2(padding="symmetric"), names.TORCHVISION),
}


def value_of(name, shape):
    """What the publishers' networks were given under a name."""
    numbers = (zlib.crc32(name.encode()) + 97 * np.arange(np.prod(shape))) % 251
    offset = 1 if name.endswith("running_var") else -125
    return ((numbers + offset) / 256).reshape(shape)


def in_torch(name, array, axes):
    """With the axes as in the file."""
    return array.transpose(np.argsort(axes[name])) if name in axes else array


@pytest.mark.parametrize("file", FILES)
def test_files_by_publishers_code(file):
    variant, naming = FILES[file]
    arrays, source = read_all(FOLDER / f"{file}.pth", variant)
    assert source.format == f"{naming}, PyTorch state dict"
    file_names = names.file_names(variant, naming)
    axes = names.file_axes(variant, naming)
    for name, array in arrays.items():
        found = in_torch(name, array, axes)
        expected = value_of(file_names[name], found.shape)
        np.testing.assert_array_equal(found, expected, err_msg=name)


@pytest.mark.parametrize("file", FILES)
def test_networks_give_what_the_publishers_give(file):
    model = create_model(
        FILES[file][0],
        weights=FOLDER / f"{file}.pth",
        include_preprocessing=False,
        classifier_activation=None,
        preprocessing="imagenet",
    )
    images = np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, 3))
    found = keras.ops.convert_to_numpy(model(images.astype("float32")))
    with np.load(FOLDER / "logits.npz") as logits:
        expected = logits[file]
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


def variant_name(network):
    """Ours of a network of theirs that has the same arrays."""
    package, _, name = network.partition(" ")
    name = name.removeprefix("tf_").replace("_", "-")
    name = name.replace("efficientnet-v2", "efficientnetv2")
    return f"{name}-torchvision" if package == names.TORCHVISION else name


@pytest.mark.parametrize("network", NETWORKS)
def test_names_and_shapes_of_every_size(network):
    variant = VARIANTS[variant_name(network)]
    naming = network.partition(" ")[0]
    file_names = names.file_names(variant, naming)
    axes = names.file_axes(variant, naming)
    lines = []
    for name, shape in names.canonical_shapes(variant, 1000).items():
        if name in axes:
            shape = tuple(shape[i] for i in np.argsort(axes[name]))
        lines.append(f"{file_names[name]} {shape}")
    found = hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()
    assert found == NETWORKS[network]

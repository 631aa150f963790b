"""The numbers of timm's and torchvision's own code with the same weights.

tools/references/write_references.py made the narrow networks, and ran them.
"""

import dataclasses
import functools
import itertools
import re

import numpy as np
import pytest

from keras_effnetv2 import create_model
from keras_effnetv2.networks.functional import named_variables
from keras_effnetv2.networks.variants import get_variant
from keras_effnetv2.weights import names
from keras_effnetv2.weights.files.readers import open_arrays
from tests.tiny_networks import without_drops

TOLERANCE = 1e-4  # Of the largest logit.

# Variant, width and depth of the network in a file.
NARROW = {
    "timm-rw-t": ("efficientnetv2-rw-t", 0.1, 0.13),
    "timm-rw-s": ("efficientnetv2-rw-s", 0.1, 0.13),
    "timm-gc-rw-t": ("gc-efficientnetv2-rw-t", 0.1, 0.13),
    "timm-lite": ("efficientnet-lite0", 0.05, 0.3),
    "torchvision-v2-s": ("efficientnetv2-s-torchvision", 0.1, 0.13),
    "torchvision-b0": ("efficientnet-b0-torchvision", 0.1, 0.3),
}
TIMM = [tag for tag in NARROW if tag.startswith("timm")]
PYTORCH = {"kernel": "weight", "gamma": "weight", "beta": "bias"}
PYTORCH |= {"moving_mean": "running_mean", "moving_variance": "running_var"}


def narrow(tag):
    base, width, depth = NARROW[tag]
    return dataclasses.replace(
        get_variant(base),
        name=tag,
        width_coefficient=width,
        depth_coefficient=depth,
        min_filter_share=0.9,
    )


@functools.cache
def images_of(folder):
    pixels = np.load(folder / "images.npz")
    return {size: pixels[size] / np.float32(127.5) - 1 for size in pixels}


def in_order(path):
    """Arrays of a state dict by module, in the order of the network."""
    with open_arrays(path) as arrays:
        modules = {}
        for name in arrays.shapes:
            module, _, variable = name.rpartition(".")
            modules.setdefault(module, {})[variable] = arrays.read(name)

    def place(module):
        numbers = [int(n) if n.isdigit() else n for n in re.split(r"[.]", module)]
        return module.startswith("classifier"), numbers

    return [modules[name] for name in sorted(modules, key=place)]


def torchvision_model(path, variant, **options):
    """Filled without their names, which say nothing but the order of the layers."""
    model = create_model(variant, classes=5, **options)
    axes = names.file_axes(variant, names.TIMM)
    by_layer = itertools.groupby(
        named_variables(model).items(), lambda item: item[0].rpartition("/")[0]
    )
    for (_, variables), arrays in zip(by_layer, in_order(path), strict=True):
        for name, variable in variables:
            kind = name.rpartition("/")[2]
            value = arrays[PYTORCH.get(kind, kind)]
            variable.assign(value.transpose(axes[name]) if name in axes else value)
    return model


def load(reference, tag, **options):
    options |= {"include_preprocessing": False, "classifier_activation": None}
    path = reference / f"publishers/{tag}.safetensors"
    if tag in TIMM:
        model = create_model(narrow(tag), weights=path, **options)
    else:
        model = torchvision_model(path, narrow(tag), **options)
    return without_drops(model)


def assert_logits(reference, tag, **options):
    expected = np.load(reference / f"publishers/{tag}.npz")
    model = load(reference, tag, **options)
    weights = model.get_weights()
    for size, images in images_of(reference / "publishers").items():
        model.set_weights(weights)  # Training moves statistics.
        for mode, training in (("inference", False), ("training", True)):
            logits = expected[f"{size}/{mode}"]
            found = model(images, training=training)
            atol = TOLERANCE * np.abs(logits).max()
            np.testing.assert_allclose(found, logits, rtol=0, atol=atol)


FAST = ("timm-rw-s", "timm-gc-rw-t", "timm-lite", "torchvision-b0")


@pytest.mark.parametrize("tag", FAST)
def test_logits_are_the_publishers(reference, tag):
    assert_logits(reference, tag)


@pytest.mark.slow
@pytest.mark.parametrize("tag", NARROW)
def test_logits_are_the_publishers_with_rematerialisation(reference, tag):
    assert_logits(reference, tag, remat=True)

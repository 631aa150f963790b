"""Classifiers to export, with released weights or spread random ones.

With spread weights, different images have different outputs.
"""

import dataclasses
from collections.abc import Callable, Iterator

import keras
import numpy as np

from export_comparison import photographs
from keras_effnetv2 import create_model, get_variant
from keras_effnetv2.data.decoding.cropping import evaluation_image
from keras_effnetv2.layers import FusedMBConv, MBConv
from keras_effnetv2.preprocessing import record

_DIGITS = tuple("0123456789")
# Rounding to float16 changes random networks more than trained ones, for which `litert`
# sets its limit. With logits this small, probabilities stay far below it; the
# comparison does not depend on their scale.
_LOGIT_DEVIATION = 0.1
# Images to calibrate released networks on.
_NUM_OTHERS = 200


@dataclasses.dataclass(frozen=True)
class Subject:
    """A classifier and the images that it is compared on.

    Attributes:
        title: for the table.
        model: the classifier.
        images: float32 `(num, size, size, 3)`, pixels 0..255, cropped for evaluation.
        others: other images, before the crop.
        labels: classes of `images`, if known and the weights are real.
    """

    title: str
    model: keras.Model
    images: np.ndarray
    others: list[np.ndarray]
    labels: np.ndarray | None = None


def subject(name: str, num_images: int) -> Subject:
    """One of `RELEASED` on 20 labelled photographs, or of `SPREAD` on `num_images`."""
    return _released(name) if name in RELEASED else _spread(name, num_images)


def _released(name: str) -> Subject:
    title, variant = RELEASED[name]
    model = create_model(variant, weights="imagenet")
    images, labels = photographs.labelled()
    crops = np.stack([evaluation_image(x, model.preprocessing) for x in images])
    return Subject(title, model, crops, photographs.pieces(_NUM_OTHERS), labels)


def _spread(name: str, num_images: int) -> Subject:
    title, build, images = SPREAD[name]
    keras.utils.set_random_seed(0)
    model = build()
    found = images(2 * num_images)
    mine, others = (
        np.stack([evaluation_image(x, model.preprocessing) for x in part])
        for part in (found[::2], found[1::2])
    )
    spread_weights(model, others)
    return Subject(title, model, mine, found[1::2])


def spread_weights(model: keras.Model, images: np.ndarray) -> None:
    """Uneven batch norms with the statistics of `images`, and a balanced last layer.

    With fresh weights all images have nearly the same outputs: errors would not show,
    or all best classes would be the same.

    Args:
        model: a classifier with fresh weights.
        images: `(num, height, width, 3)`, pixels 0..255.
    """
    random = np.random.default_rng(0)
    norms = list(_layers(model, keras.layers.BatchNormalization))
    blocks = [*_layers(model, MBConv), *_layers(model, FusedMBConv)]
    ends = {id(x.project_bn) for x in blocks if x.has_shortcut}
    for norm in norms:
        # Branches add little to their shortcuts in trained networks; random ones that
        # add as much would magnify rounding from block to block.
        share = 0.3 if id(norm) in ends else 1.0
        norm.gamma.assign(share * random.uniform(0.6, 1.2, norm.gamma.shape))
        norm.beta.assign(share * random.normal(0, 0.2, norm.beta.shape))
    momenta, rates = [norm.momentum for norm in norms], _switch_off_drops(model)
    for norm in norms:
        norm.momentum = 0.0  # The statistics become those of these images.
    model(images, training=True)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    for layer, rate in rates:
        layer.rate = rate
    head, x = model.layers[-1], features(model, images)
    kernel = np.asarray(head.kernel)
    kernel = _LOGIT_DEVIATION * kernel / np.std((x - x.mean(0)) @ kernel)
    head.set_weights([kernel, -x.mean(0) @ kernel])


def features(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """`(num, channels)`, the input of the last layer."""
    body = keras.Model(model.inputs, model.layers[-1].input)
    return body.predict(images, batch_size=8, verbose=0)


def logits(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """`(num, classes)` before the softmax, by Keras."""
    head = model.layers[-1]
    return features(model, images) @ np.asarray(head.kernel) + np.asarray(head.bias)


def _switch_off_drops(model: keras.Model) -> list[tuple[keras.layers.Layer, float]]:
    found = [x for x in _layers(model, keras.layers.Layer) if hasattr(x, "rate")]
    rates = [(layer, layer.rate) for layer in found]
    for layer in found:
        layer.rate = 0.0
    return rates


def _layers(model: keras.Model, kind: type) -> Iterator[keras.layers.Layer]:
    return (x for x in model._flatten_layers() if isinstance(x, kind))


def _random(name: str) -> keras.Model:
    return create_model(name, weights=None)


def _custom() -> keras.Model:
    """About a tenth of B0's depth and width, for digits of 64 pixels."""
    variant = dataclasses.replace(
        get_variant("efficientnetv2-b0"),
        name="digits",
        width_coefficient=0.25,
        depth_coefficient=0.5,
        eval_size=64,
    )
    contract = record(variant.name, "imagenet21k-ft1k", variant.eval_size).unlabelled()
    contract = dataclasses.replace(contract, labels=_DIGITS)
    return create_model(
        variant, weights=None, classes=len(_DIGITS), preprocessing=contract
    )


# Name -> title, variant.
RELEASED = {
    f"lite{i}": (f"Lite{i}, ImageNet weights", f"efficientnet-lite{i}")
    for i in range(3)
}
# Name -> title, model, images.
SPREAD: dict[str, tuple[str, Callable[[], keras.Model], Callable]] = {
    "b0": ("B0", lambda: _random("efficientnetv2-b0"), photographs.pieces),
    "s": ("S", lambda: _random("efficientnetv2-s"), photographs.pieces),
    "custom": ("custom, 64 pixels", _custom, photographs.digits),
}
SUBJECTS = (*RELEASED, *SPREAD)

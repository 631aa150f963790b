"""How pixels become inputs and outputs become labels, as in the weights' training.

The same variant was trained with different preprocessing on different datasets, so the
record belongs to the pair (variant, weights): releases and models carry one, and
`.keras` files keep it.

Sources: google/automl, efficientnetv2: `preprocessing.py`, `preprocessing_legacy.py`,
`datasets.py`; tensorflow/tpu, models/official/efficientnet/lite:
`efficientnet_lite_builder.py`.
"""

import dataclasses
import json
import os
import re
from typing import Any

import numpy as np

from keras_effnetv2.errors import InputError

CROPS = ("center", "center_below_320", "squash")
# With a `crop_pct`, as in timm.
PCT_CROPS = ("center", "squash", "border")
INTERPOLATIONS = ("bilinear", "bicubic")
ACTIVATIONS = ("softmax", "sigmoid")
NUM_LABELS = {"imagenet": 1000, "imagenet21k": 21843}
# Attribute of HDF5 weight files that holds the record as JSON.
HDF5_ATTRIBUTE = "keras_effnetv2.preprocessing"


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """The contract between pixels, a network and its labels.

    Attributes:
        mean: subtracted from pixels 0..255, one value per channel or one for all.
        std: divides after that.
        interpolation: how images are resized before evaluation, `"bilinear"` or
            `"bicubic"`.
        crop: evaluation crop. `"center"`: the central size / (size + 32) of the short
            side; `"squash"`: the whole image resized to a square; `"center_below_320"`:
            `"center"` below 320 pixels, `"squash"` from there on. With `crop_pct`, the
            image is first resized so that the short side (`"center"`), both sides
            (`"squash"`) or the long side (`"border"`) is size / crop_pct; the crop is
            its central square, padded with the mean where the image is smaller.
        image_size: evaluation side, pixels.
        labels: classes of the classifier: `"imagenet"` (1,000 classes), `"imagenet21k"`
            (21,843), a name for each class, or None.
        activation: function that turns logits into probabilities, `"softmax"` or
            `"sigmoid"`.
        crop_pct: share in (0, 1] of the resized image's side that the crop keeps, as in
            timm, torchvision and the Hub's configurations. Pixels are then resized as
            by Pillow: smoothed before shrinking, and rounded. None: as in Google's
            released code.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str
    crop: str
    image_size: int
    labels: str | tuple[str, ...] | None = None
    activation: str = "softmax"
    crop_pct: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", tuple(float(x) for x in self.mean))
        object.__setattr__(self, "std", tuple(float(x) for x in self.std))
        choices = {
            "interpolation": INTERPOLATIONS,
            "crop": CROPS if self.crop_pct is None else PCT_CROPS,
            "activation": ACTIVATIONS,
        }
        if self.labels is None or isinstance(self.labels, str):
            choices["labels"] = (*NUM_LABELS, None)
        else:
            object.__setattr__(self, "labels", tuple(self.labels))
        for field, allowed in choices.items():
            if getattr(self, field) not in allowed:
                raise InputError(
                    f"{field} must be one of {allowed}. "
                    f"Received: {getattr(self, field)!r}."
                )
        if len(self.mean) != len(self.std) or not self.mean or min(self.std) <= 0:
            raise InputError(
                "mean and std need the same number of channels, and std positive "
                f"values. Received: mean={self.mean}, std={self.std}."
            )
        if self.image_size < 1:
            raise InputError(
                f"image_size must be at least 1. Received: {self.image_size!r}."
            )
        if self.crop_pct is not None and not 0 < self.crop_pct <= 1:
            raise InputError(
                f"crop_pct must be in (0, 1] or None. Received: {self.crop_pct!r}."
            )

    @property
    def num_labels(self) -> int | None:
        """How many classes `labels` names; None without labels."""
        if self.labels is None:
            return None
        if isinstance(self.labels, str):
            return NUM_LABELS[self.labels]
        return len(self.labels)

    def for_channels(self, channels: int) -> "Preprocessing":
        """The record for images of `channels` channels, averaged if it has others."""
        if len(self.mean) in (1, channels):
            return self
        mean, std = (sum(values) / len(values) for values in (self.mean, self.std))
        return dataclasses.replace(self, mean=(mean,), std=(std,))

    def unlabelled(self) -> "Preprocessing":
        """The record for a network whose classifier is not the released one."""
        return dataclasses.replace(self, labels=None, activation="softmax")


_IMAGENET_MEAN = tuple(255 * x for x in (0.485, 0.456, 0.406))
_IMAGENET_STD = tuple(255 * x for x in (0.229, 0.224, 0.225))

# Name of a normalisation -> (mean, std) in pixels.
NORMALIZATIONS = {
    "torch": (
        _IMAGENET_MEAN,
        _IMAGENET_STD,
    ),  # EfficientNet V1 and V2 B0-B3 on ImageNet-1k
    "centered": (
        (128.0,),
        (128.0,),
    ),  # S, M, L on ImageNet-1k; every variant on ImageNet-21k
    "tf": ((127.5,), (127.5,)),  # every variant fine-tuned from 21k to 1k
    "lite": ((127.0,), (128.0,)),  # EfficientNet-Lite
}

# ImageNet-21k networks were trained and evaluated at this size, whatever the variant.
_IMAGENET21K_SIZE = 224

# Which weights -> (normalisation, interpolation, crop, labels, activation).
_RECORDS = {
    "legacy": ("torch", "bicubic", "center", "imagenet", "softmax"),
    "lite": ("lite", "bicubic", "center", "imagenet", "softmax"),
    "noisy-student": ("torch", "bicubic", "center", "imagenet", "softmax"),
    "advprop": ("tf", "bicubic", "center", "imagenet", "softmax"),
    "imagenet": ("centered", "bilinear", "center_below_320", "imagenet", "softmax"),
    "imagenet21k": (
        "centered",
        "bilinear",
        "center_below_320",
        "imagenet21k",
        "sigmoid",
    ),
    "imagenet21k-ft1k": ("tf", "bilinear", "squash", "imagenet", "softmax"),
}

_DATASETS = (
    *("imagenet", "imagenet21k", "imagenet21k-ft1k"),
    *("noisy-student", "advprop"),
)

# Variant names -> the record of their ImageNet weights, if not "imagenet".
_FAMILIES = (
    (r"-(b\d|l2)$", "legacy"),
    (r"-lite\d$", "lite"),
)

# Variants trained by others -> (normalisation, interpolation, crop_pct). timm
# 1.0.31, `efficientnet.py`; torchvision 0.29.1,
# `efficientnet.py`, where B1 has two sets of weights: the second.
# fmt: off
_OTHERS = {
    "efficientnetv2-rw-t":          ("torch", "bicubic",  1.0),
    "efficientnetv2-rw-s":          ("torch", "bicubic",  1.0),
    "efficientnetv2-rw-m":          ("torch", "bicubic",  1.0),
    "gc-efficientnetv2-rw-t":       ("torch", "bicubic",  1.0),
    "efficientnetv2-s-torchvision": ("torch", "bilinear", 1.0),
    "efficientnetv2-m-torchvision": ("torch", "bilinear", 1.0),
    "efficientnetv2-l-torchvision": ("tf",    "bicubic",  1.0),
    "efficientnet-b0-torchvision":  ("torch", "bicubic",  224 / 256),
    "efficientnet-b1-torchvision":  ("torch", "bilinear", 240 / 255),
    "efficientnet-b2-torchvision":  ("torch", "bicubic",  1.0),
    "efficientnet-b3-torchvision":  ("torch", "bicubic",  300 / 320),
    "efficientnet-b4-torchvision":  ("torch", "bicubic",  380 / 384),
    "efficientnet-b5-torchvision":  ("torch", "bicubic",  1.0),
    "efficientnet-b6-torchvision":  ("torch", "bicubic",  1.0),
    "efficientnet-b7-torchvision":  ("torch", "bicubic",  1.0),
}
# fmt: on


def record(variant_name: str, dataset: str, eval_size: int) -> Preprocessing:
    """The preprocessing of the official weights of a variant on a dataset.

    Args:
        variant_name: e.g. `"efficientnetv2-b0"`.
        dataset: `"imagenet"`, `"imagenet21k"`, `"imagenet21k-ft1k"`, and of V1
            `"noisy-student"` or `"advprop"`.
        eval_size: the variant's evaluation size, pixels.

    Raises:
        ValueError: unknown dataset.
    """
    if dataset not in _DATASETS:
        raise InputError(f"dataset must be one of {_DATASETS}. Received: {dataset!r}.")
    if dataset == "imagenet" and variant_name in _OTHERS:
        normalization, interpolation, share = _OTHERS[variant_name]
        mean, std = NORMALIZATIONS[normalization]
        return Preprocessing(
            mean, std, interpolation, "center", eval_size, "imagenet", crop_pct=share
        )
    families = (row for pattern, row in _FAMILIES if re.search(pattern, variant_name))
    row = next(families, dataset) if dataset == "imagenet" else dataset
    normalization, *rest = _RECORDS[row]
    mean, std = NORMALIZATIONS[normalization]
    interpolation, crop, labels, activation = rest
    size = _IMAGENET21K_SIZE if dataset == "imagenet21k" else eval_size
    return Preprocessing(mean, std, interpolation, crop, size, labels, activation)


def write_record(path: str | os.PathLike, record: Preprocessing) -> None:
    """Adds a preprocessing record to the HDF5 file `path`."""
    import h5py

    with h5py.File(path, "r+") as file:
        file.attrs[HDF5_ATTRIBUTE] = json.dumps(dataclasses.asdict(record))


def preprocess_input(
    images: Any, mode: str | Preprocessing | None = None, data_format: Any = None
) -> Any:
    """Normalises images for models built with `include_preprocessing=False`.

    Other models normalise by themselves; by default this function is the identity, as
    in `keras.applications`.

    Args:
        images: `(..., height, width, channels)`, pixels 0..255, array or tensor, with
            as many channels as `mode` is for.
        mode: None: unchanged. A model's `preprocessing`, or a name: `"torch"` (B0-B3
            and V1 on ImageNet), `"centered"` (S, M, L on ImageNet, all on
            ImageNet-21k), `"tf"` (all fine-tuned from 21k), `"lite"`. A data format is
            accepted here too, since `keras.applications` has it in this position.
        data_format: only None and `"channels_last"`; for compatibility.

    Returns:
        `images`, or normalised float images.

    Raises:
        ValueError: unknown mode or data format, or a number of channels that does not
            fit the mode.
    """
    if mode in ("channels_last", "channels_first"):
        mode, data_format = None, mode
    if data_format not in (None, "channels_last"):
        raise InputError(
            "Images are channels last, (..., height, width, channels): transpose them "
            "first, e.g. with numpy.moveaxis(images, -3, -1). "
            f"Received: data_format={data_format!r}."
        )
    if mode is None:
        return images
    if isinstance(mode, Preprocessing):
        mean, std = mode.mean, mode.std
    elif mode in NORMALIZATIONS:
        mean, std = NORMALIZATIONS[mode]
    else:
        raise InputError(
            f"mode must be None, a Preprocessing or one of {tuple(NORMALIZATIONS)}. "
            f"Received: {mode!r}."
        )
    if len(mean) not in (1, images.shape[-1]):
        raise InputError(
            f"This mode is for {len(mean)} channels. Received: images of shape "
            f"{tuple(images.shape)}. Pass a Preprocessing with one mean for all."
        )
    if isinstance(images, np.ndarray):
        dtype = images.dtype if images.dtype.kind == "f" else np.float32
        return (images.astype(dtype) - np.array(mean, dtype)) / np.array(std, dtype)
    from keras import ops  # Slow to import.

    images = ops.cast(images, "float32")
    return (images - ops.array(mean, "float32")) / ops.array(std, "float32")

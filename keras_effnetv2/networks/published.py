"""Figures published by others, to show next to the counted ones.

Sources: V2 `paper`: Tan and Le 2021, https://arxiv.org/abs/2104.00298 (v3), Table 7 (S
to XL) and Table 11 (B0, B1, B3); its FLOPs of S, M and L are those of an earlier
architecture. V2 `code`: README of google/automl, efficientnetv2. V1 `paper`: Tan and
Le 2019, https://arxiv.org/abs/1905.11946, Table 2. Lite `code`: README of
tensorflow/tpu, models/official/efficientnet/lite. timm's networks, B8 and L2 `code`:
`results/` of huggingface/pytorch-image-models. torchvision `code`: `efficientnet.py`
of torchvision 0.29.1.
"""

from typing import NamedTuple


class Size(NamedTuple):
    """Millions of parameters, and billions of multiply-adds at the evaluation size."""

    params: float
    flops: float


class Published(NamedTuple):
    """Figures of a variant from the paper, and from its publisher's code or results.

    Attributes:
        paper: sizes.
        code: sizes.
        top1: accuracy on ImageNet-1k of the released weights, percent: the publisher's
            `imagenet` (XL: `imagenet21k-ft1k`; L2: NoisyStudent); for V1 and B8, timm's
            measurement of the weights with AutoAugment and RandAugment.
    """

    paper: Size | None
    code: Size | None
    top1: float


# fmt: off
#                                    paper              code               top-1
PUBLISHED = {
    "efficientnetv2-b0": Published(Size(7.4, 0.7),    Size(7.1, 0.72),    78.7),
    "efficientnetv2-b1": Published(Size(8.1, 1.2),    Size(8.1, 1.2),     79.8),
    "efficientnetv2-b2": Published(None,              Size(10.1, 1.7),    80.5),
    "efficientnetv2-b3": Published(Size(14.0, 3.0),   Size(14.4, 3.0),    82.1),
    "efficientnetv2-s":  Published(Size(22.0, 8.8),   Size(21.5, 8.4),    83.9),
    "efficientnetv2-m":  Published(Size(54.0, 24.0),  Size(54.1, 24.7),   85.2),
    "efficientnetv2-l":  Published(Size(120.0, 53.0), Size(119.5, 56.3),  85.7),
    "efficientnetv2-xl": Published(Size(208.0, 94.0), None,               87.2),
    "efficientnet-b0":   Published(Size(5.3, 0.39),   None,               76.9),
    "efficientnet-b1":   Published(Size(7.8, 0.70),   None,               78.8),
    "efficientnet-b2":   Published(Size(9.2, 1.0),    None,               80.1),
    "efficientnet-b3":   Published(Size(12.0, 1.8),   None,               81.6),
    "efficientnet-b4":   Published(Size(19.0, 4.2),   None,               83.0),
    "efficientnet-b5":   Published(Size(30.0, 9.9),   None,               83.7),
    "efficientnet-b6":   Published(Size(43.0, 19.0),  None,               84.1),
    "efficientnet-b7":   Published(Size(66.0, 37.0),  None,               84.4),
    "efficientnet-b8":   Published(None,              Size(87.41, 63.48), 85.3),
    "efficientnet-l2":   Published(None,            Size(480.31, 479.12), 88.4),
    "efficientnet-lite0": Published(None,             Size(4.7, 0.407),   75.1),
    "efficientnet-lite1": Published(None,             Size(5.4, 0.631),   76.7),
    "efficientnet-lite2": Published(None,             Size(6.1, 0.899),   77.6),
    "efficientnet-lite3": Published(None,             Size(8.2, 1.44),    79.8),
    "efficientnet-lite4": Published(None,             Size(13.0, 2.64),   81.5),
    "efficientnetv2-rw-t":    Published(None,         Size(13.65, 3.19),  82.4),
    "efficientnetv2-rw-s":    Published(None,         Size(23.94, 8.72),  83.8),
    "efficientnetv2-rw-m":    Published(None,         Size(53.24, 21.49), 84.8),
    "gc-efficientnetv2-rw-t": Published(None,         Size(13.68, 3.20),  82.5),
    "efficientnetv2-s-torchvision": Published(None,   Size(21.46, 8.37),  84.2),
    "efficientnetv2-m-torchvision": Published(None,   Size(54.14, 24.58), 85.1),
    "efficientnetv2-l-torchvision": Published(None,  Size(118.52, 56.08), 85.8),
    "efficientnet-b0-torchvision":  Published(None,   Size(5.29, 0.386),  77.7),
    "efficientnet-b1-torchvision":  Published(None,   Size(7.79, 0.687),  79.8),
    "efficientnet-b2-torchvision":  Published(None,   Size(9.11, 1.088),  80.6),
    "efficientnet-b3-torchvision":  Published(None,   Size(12.23, 1.827), 82.0),
    "efficientnet-b4-torchvision":  Published(None,   Size(19.34, 4.394), 83.4),
    "efficientnet-b5-torchvision":  Published(None,   Size(30.39, 10.27), 83.4),
    "efficientnet-b6-torchvision":  Published(None,   Size(43.04, 19.07), 84.0),
    "efficientnet-b7-torchvision":  Published(None,   Size(66.35, 37.75), 84.1),
}
"""Published figures by name of the variant."""
# fmt: on

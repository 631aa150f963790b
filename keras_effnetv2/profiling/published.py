"""Sizes that the authors published, to show beside the counted ones.

Sources: V2 `paper`: Tan and Le 2021, https://arxiv.org/abs/2104.00298 (v3), Table 7 (S
to XL) and Table 11 (B0, B1, B3); its FLOPs of S, M and L are those of an earlier
architecture. V2 `code`: README of google/automl, efficientnetv2. V1 `paper`: Tan and
Le 2019, https://arxiv.org/abs/1905.11946, Table 2. Lite `code`: README of
tensorflow/tpu, models/official/efficientnet/lite.
"""

from typing import NamedTuple


class Size(NamedTuple):
    """Millions of parameters, and billions of multiply-adds at the evaluation size."""

    params: float
    flops: float


class Published(NamedTuple):
    """What the paper says of a variant and what the released code's README says."""

    paper: Size | None
    code: Size | None


# fmt: off
#                                    paper              code
PUBLISHED = {
    "efficientnetv2-b0": Published(Size(7.4, 0.7),    Size(7.1, 0.72)),
    "efficientnetv2-b1": Published(Size(8.1, 1.2),    Size(8.1, 1.2)),
    "efficientnetv2-b2": Published(None,              Size(10.1, 1.7)),
    "efficientnetv2-b3": Published(Size(14.0, 3.0),   Size(14.4, 3.0)),
    "efficientnetv2-s":  Published(Size(22.0, 8.8),   Size(21.5, 8.4)),
    "efficientnetv2-m":  Published(Size(54.0, 24.0),  Size(54.1, 24.7)),
    "efficientnetv2-l":  Published(Size(120.0, 53.0), Size(119.5, 56.3)),
    "efficientnetv2-xl": Published(Size(208.0, 94.0), None),
    "efficientnet-b0":   Published(Size(5.3, 0.39),   None),
    "efficientnet-b1":   Published(Size(7.8, 0.70),   None),
    "efficientnet-b2":   Published(Size(9.2, 1.0),    None),
    "efficientnet-b3":   Published(Size(12.0, 1.8),   None),
    "efficientnet-b4":   Published(Size(19.0, 4.2),   None),
    "efficientnet-b5":   Published(Size(30.0, 9.9),   None),
    "efficientnet-b6":   Published(Size(43.0, 19.0),  None),
    "efficientnet-b7":   Published(Size(66.0, 37.0),  None),
    "efficientnet-lite0": Published(None,             Size(4.7, 0.407)),
    "efficientnet-lite1": Published(None,             Size(5.4, 0.631)),
    "efficientnet-lite2": Published(None,             Size(6.1, 0.899)),
    "efficientnet-lite3": Published(None,             Size(8.2, 1.44)),
    "efficientnet-lite4": Published(None,             Size(13.0, 2.64)),
}
# fmt: on

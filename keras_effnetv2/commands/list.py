"""`list`: prints every variant with its size and the published figures."""

import argparse

from keras_effnetv2 import profiling
from keras_effnetv2.errors import InputError
from keras_effnetv2.networks import variants
from keras_effnetv2.tables import align
from keras_effnetv2.weights import releases

EXAMPLE = "python -m keras_effnetv2 list '*v2-b*' --weights imagenet21k"

_HEADER = (
    "variant", "train", "eval", "params (M)", "trainable", "paper", "code",
    "FLOPs (B)", "paper", "code", "top-1",
)  # fmt: skip
_NOTES = """
train, eval: image side, pixels. FLOPs: multiply-adds of convolutions and dense layer,
one image at the evaluation size. All with a classifier of 1,000 classes.
paper: arXiv 2104.00298v3, Tables 7 and 11 (V2; FLOPs of S, M and L are those of an
earlier architecture); arXiv 1905.11946, Table 2 (V1). code: README of google/automl,
efficientnetv2; of tensorflow/tpu (Lite); results of timm (rw, B8, L2); torchvision.
top-1: of the released weights on ImageNet-1k, percent, as published; V1's as timm
measured them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which variants."""
    parser.add_argument(
        "pattern",
        nargs="?",
        default="*",
        metavar="PATTERN",
        help="pattern of names, such as '*v2-b*' (default: all)",
    )
    parser.add_argument(
        "--weights",
        choices=releases.DATASETS,
        help="only those with such released weights",
    )


def run(args: argparse.Namespace) -> int:
    """Prints the table."""
    names = releases.list_variants(args.pattern, args.weights)
    if not names:
        raise InputError(
            f"No variant has a name like {args.pattern!r}"
            + (f" and weights {args.weights!r}." if args.weights else ".")
        )
    rows = [_HEADER, *(_row(name) for name in names)]
    print("\n".join(align(rows, num_left=1)))
    print(_NOTES)
    return 0


def _row(name: str) -> tuple[str, ...]:
    variant = variants.get_variant(name)
    counted = profiling.profile(variant, measure=False)
    published = profiling.PUBLISHED[name]
    sources = published.paper, published.code
    return (
        name,
        str(variant.train_size),
        str(variant.eval_size),
        f"{counted.num_params / 1e6:.2f}",
        f"{counted.num_trainable_params / 1e6:.2f}",
        *(f"{size.params:g}" if size else "-" for size in sources),
        f"{counted.multiply_adds / 1e9:.2f}",
        *(f"{size.flops:g}" if size else "-" for size in sources),
        f"{published.top1:g}",
    )

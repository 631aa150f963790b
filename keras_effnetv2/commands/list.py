"""`list`: every variant with its size, beside the published figures."""

import argparse

from keras_effnetv2 import profiling
from keras_effnetv2.networks import variants
from keras_effnetv2.tables import align

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
    """No flags of its own."""


def run(args: argparse.Namespace) -> int:
    """Prints the table."""
    rows = [_HEADER, *(_row(name) for name in variants.list_variants())]
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

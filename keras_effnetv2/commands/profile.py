"""`profile`: what a variant, or a series scaled from it, costs, stage by stage."""

import argparse

from keras_effnetv2 import profiling
from keras_effnetv2.errors import InputError

EXAMPLE = "python -m keras_effnetv2 profile --variant efficientnetv2-s"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the variant, the sizes, and what to measure."""
    parser.add_argument(
        "--variant", help="a name that the command list prints, or a variant file"
    )
    parser.add_argument(
        "--image_size",
        type=int,
        help="image side, pixels (default: the variant's evaluation size; for "
        "training steps of a series, each member's training size)",
    )
    parser.add_argument(
        "--batch_size",
        type=int,
        default=1,
        help="batch size for memory, latency and training steps (default: 1)",
    )
    parser.add_argument(
        "--measure",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="build the network, and measure activation memory and latency or, for a "
        "series, training steps",
    )
    parser.add_argument(
        "--series",
        action="store_true",
        help="scale the variant to a series of four, and compare their costs",
    )
    parser.add_argument(
        "--precision",
        default="float32",
        help="precision of a series' training steps: float32, mixed_bfloat16 or "
        "mixed_float16 (default: float32)",
    )


def run(args: argparse.Namespace) -> int:
    """Prints the table."""
    if args.variant is None:
        raise InputError("Say what to profile, such as --variant efficientnetv2-s.")
    if args.series:
        return _compare_series(args)
    result = profiling.profile(
        args.variant, args.image_size, args.batch_size, measure=args.measure
    )
    print(profiling.format_table(result))
    return 0


def _compare_series(args: argparse.Namespace) -> int:
    from keras_effnetv2 import search
    from keras_effnetv2.networks.variants import get_variant

    series = search.scale_series(get_variant(args.variant))
    if args.measure:
        costs = search.measure_costs(
            series,
            batch_size=args.batch_size,
            image_size=args.image_size,
            precision=args.precision,
        )
    else:
        costs = search.count_costs(series)
    print(search.format_costs(costs))
    return 0

"""`profile`: what a variant costs, stage by stage."""

import argparse

from keras_effnetv2 import profiling


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The variant, the sizes, and whether to measure."""
    parser.add_argument(
        "variant", help="a name that the command list prints, or a variant file"
    )
    parser.add_argument(
        "--image_size",
        type=int,
        help="image side, pixels (default: the variant's evaluation size)",
    )
    parser.add_argument(
        "--batch_size",
        type=int,
        default=1,
        help="images a step and a call, for memory and latency (default: 1)",
    )
    parser.add_argument(
        "--measure",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="build the network, to measure activation memory and latency",
    )


def run(args: argparse.Namespace) -> int:
    """Prints the table."""
    result = profiling.profile(
        args.variant, args.image_size, args.batch_size, measure=args.measure
    )
    print(profiling.format_table(result))
    return 0

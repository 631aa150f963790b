"""Flags that several commands have, and what they refuse."""

import argparse

from keras_effnetv2.errors import InputError
from keras_effnetv2.training.devices.strategies import STRATEGIES
from keras_effnetv2.training.runs.workdir import CHECKPOINTS


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """The images, and the network that they are for."""
    parser.add_argument(
        "images", nargs="+", metavar="IMAGE", help="image file, or folder of them"
    )
    parser.add_argument(
        "--variant",
        help="a name that the command list prints, or a variant file; may be left out "
        "for a .keras file and for hf://",
    )
    parser.add_argument(
        "--weights",
        help="imagenet, imagenet21k, imagenet21k-ft1k, a file or folder of weights, "
        "a .keras file, an https URL, or hf://USER/REPO on the Hugging Face Hub "
        "(default: imagenet)",
    )
    parser.add_argument(
        "--workdir",
        metavar="DIR",
        help="instead of --variant and --weights: work folder of a finished training",
    )
    add_checkpoint_argument(parser)
    parser.add_argument(
        "--image_size",
        type=int,
        help="image side, pixels (default: that of the weights' evaluation)",
    )


def add_checkpoint_argument(parser: argparse.ArgumentParser) -> None:
    """Which weights of a work folder."""
    parser.add_argument(
        "--checkpoint",
        choices=CHECKPOINTS,
        default=CHECKPOINTS[0],
        help="of --workdir: the last weights, or those of the best evaluation, which a "
        "run that is not finished may have too; auto: the best, where images that were "
        f"not trained on chose them (default: {CHECKPOINTS[0]})",
    )


def add_device_arguments(parser: argparse.ArgumentParser) -> None:
    """What to run on."""
    parser.add_argument(
        "--strategy",
        choices=STRATEGIES,
        default="auto",
        help="auto: what is there; multiworker reads TF_CONFIG (default: auto)",
    )
    parser.add_argument("--tpu", metavar="NAME", help="name of a TPU, or local")


def add_graph_arguments(parser: argparse.ArgumentParser) -> None:
    """What formats that hold a TensorFlow graph have in common."""
    parser.add_argument(
        "--image_size", type=int, help="side of the pixels it takes (default: any)"
    )
    parser.add_argument(
        "--input_dtype",
        choices=("float32", "uint8"),
        default="float32",
        help="of the pixels it takes (default: float32)",
    )
    parser.add_argument(
        "--fold",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="fold batch norms into convolutions (default: yes)",
    )


def check_counts(args: argparse.Namespace, *flags: str) -> None:
    """Refuses numbers below 1; None is left to its default.

    Raises:
        ValueError: there is one.
    """
    for flag in flags:
        value = getattr(args, flag)
        if value is not None and value < 1:
            raise InputError(f"--{flag} must be at least 1. Received: {value}.")


def check_checkpoint(args: argparse.Namespace) -> None:
    """Refuses a choice of weights where there is no work folder to choose from.

    Raises:
        ValueError: there is none.
    """
    if args.workdir is None and args.checkpoint != CHECKPOINTS[0]:
        raise InputError(
            f"--checkpoint {args.checkpoint} is of a work folder. Name it: --workdir."
        )

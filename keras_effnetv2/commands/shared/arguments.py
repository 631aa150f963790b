"""Flags that several commands have, and what they refuse."""

import argparse
from collections.abc import Sequence

from keras_effnetv2.classification.choices import BATCH_SIZE
from keras_effnetv2.errors import InputError
from keras_effnetv2.fleet import ENGINES
from keras_effnetv2.paths import is_remote
from keras_effnetv2.training.choices import CHECKPOINTS, STRATEGIES, TRACKERS


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """The images, and the network that they are for."""
    parser.add_argument(
        "images",
        nargs="+",
        metavar="IMAGE",
        help="image file, or folder of them and of folders",
    )
    add_classifier_arguments(parser)


def add_classifier_arguments(parser: argparse.ArgumentParser) -> None:
    """The network, and the side of its images."""
    parser.add_argument(
        "--model",
        metavar="MODEL",
        help="any that classifies: a name that the command list prints, a .keras file, "
        "a work folder, an export in any format, hf://USER/REPO",
    )
    parser.add_argument(
        "--variant",
        help="instead: a name that the command list prints, or a variant file, with "
        "--weights",
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
        help="instead: work folder of a finished training",
    )
    add_checkpoint_argument(parser)
    parser.add_argument(
        "--image_size",
        type=int,
        help="image side, pixels (default: that of the weights' evaluation)",
    )


def add_output_arguments(
    parser: argparse.ArgumentParser, formats: Sequence[str]
) -> None:
    """Where the rows go, and in which form; the first format is usual."""
    parser.add_argument(
        "--format",
        choices=formats,
        help=f"default: what the name of --output ends in, or else {formats[0]}",
    )
    parser.add_argument(
        "--output",
        metavar="FILE",
        help="write there instead of to the screen, unreadable images too, with the "
        "reason; after an interruption, the same command resumes",
    )
    add_batch_argument(parser)
    add_engine_argument(parser)


def add_batch_argument(parser: argparse.ArgumentParser) -> None:
    """How many images go through the network together."""
    parser.add_argument(
        "--batch_size",
        type=int,
        default=BATCH_SIZE,
        help=f"images at a time (default: {BATCH_SIZE})",
    )


def add_engine_argument(parser: argparse.ArgumentParser) -> None:
    """What spreads the work."""
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        default=ENGINES[0],
        help="local: this machine; ray: the machines of a Ray cluster, which all see "
        f"the files by these names (default: {ENGINES[0]})",
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
        help="auto: the devices found; multiworker reads TF_CONFIG (default: auto)",
    )
    parser.add_argument("--tpu", metavar="NAME", help="name of a TPU, or local")


def add_log_argument(parser: argparse.ArgumentParser) -> None:
    """Where metrics of a training go beside the work folder."""
    parser.add_argument(
        "--log",
        action="append",
        default=[],
        choices=TRACKERS,
        help="write metrics there too; may be repeated",
    )


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


def check_output(args: argparse.Namespace) -> None:
    """Refuses to write into a bucket.

    Raises:
        ValueError: `--output` is in one.
    """
    if args.output is not None and is_remote(args.output):
        raise InputError(
            "Results go to files and folders of this machine. Received: --output "
            f"{args.output}. Choose another, and copy it."
        )


def check_checkpoint(args: argparse.Namespace) -> None:
    """Refuses a choice of weights where there is no work folder to choose from.

    Raises:
        ValueError: there is none.
    """
    if args.workdir is None and args.checkpoint != CHECKPOINTS[0]:
        raise InputError(
            f"--checkpoint {args.checkpoint} is of a work folder. Name it: --workdir."
        )

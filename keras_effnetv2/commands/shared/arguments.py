"""Flags that several commands share, and their checks."""

import argparse
from collections.abc import Sequence

from keras_effnetv2.classification.choices import BATCH_SIZE
from keras_effnetv2.errors import InputError
from keras_effnetv2.fleet import ENGINES
from keras_effnetv2.paths import is_remote
from keras_effnetv2.training.choices import CHECKPOINTS, STRATEGIES, TRACKERS


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the images and the network."""
    parser.add_argument(
        "images",
        nargs="+",
        metavar="IMAGE",
        help="image file, or a folder of images and folders",
    )
    add_classifier_arguments(parser)


def add_classifier_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the network and the size of its images."""
    parser.add_argument(
        "--model",
        metavar="MODEL",
        help="any classifier: a name that the command list prints, a .keras file, a "
        "work folder, an export in any format, or hf://USER/REPO",
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
        help="instead: work folder of a training run",
    )
    add_checkpoint_argument(parser)
    parser.add_argument(
        "--image_size",
        type=int,
        help="image side, pixels (default: the weights' evaluation size)",
    )


def add_output_arguments(
    parser: argparse.ArgumentParser, formats: Sequence[str]
) -> None:
    """Adds the output and its format; the first format is the default."""
    parser.add_argument(
        "--format",
        choices=formats,
        help=f"default: from the suffix of --output, or else {formats[0]}",
    )
    parser.add_argument(
        "--output",
        metavar="FILE",
        help="write to a file instead of the screen, with the reason for each "
        "unreadable image; after an interruption, the same command resumes",
    )
    add_batch_argument(parser)
    add_engine_argument(parser)


def add_batch_argument(parser: argparse.ArgumentParser) -> None:
    """Adds the batch size."""
    parser.add_argument(
        "--batch_size",
        type=int,
        default=BATCH_SIZE,
        help=f"images per batch (default: {BATCH_SIZE})",
    )


def add_engine_argument(parser: argparse.ArgumentParser) -> None:
    """Adds the choice of what distributes the work."""
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        default=ENGINES[0],
        help="local: this machine; ray: the machines of a Ray cluster, which must "
        f"all see the files under these names (default: {ENGINES[0]})",
    )


def add_checkpoint_argument(parser: argparse.ArgumentParser) -> None:
    """Adds the choice of weights of a work folder."""
    parser.add_argument(
        "--checkpoint",
        choices=CHECKPOINTS,
        default=CHECKPOINTS[0],
        help="with --workdir: the last weights, or those of the best evaluation, "
        "which an unfinished run may have too; auto: the best, if held-out images "
        f"chose them (default: {CHECKPOINTS[0]})",
    )


def add_device_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the devices."""
    parser.add_argument(
        "--strategy",
        choices=STRATEGIES,
        default="auto",
        help="auto: the devices found; multiworker reads TF_CONFIG (default: auto)",
    )
    parser.add_argument(
        "--tpu", metavar="NAME", help="name of a TPU, or local for one of this machine"
    )


def add_set_argument(parser: argparse.ArgumentParser, text: str) -> None:
    """Adds changes of an experiment's settings, with a help of their own."""
    parser.add_argument(
        "--set", action="append", default=[], metavar="SETTING=VALUE", help=text
    )


def add_log_argument(parser: argparse.ArgumentParser) -> None:
    """Adds services that get the metrics too."""
    parser.add_argument(
        "--log",
        action="append",
        default=[],
        choices=TRACKERS,
        help="service that receives the metrics too; may be repeated",
    )


def add_graph_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what formats with a TensorFlow graph have in common."""
    parser.add_argument(
        "--image_size", type=int, help="side of its images, pixels (default: any)"
    )
    parser.add_argument(
        "--input_dtype",
        choices=("float32", "uint8"),
        default="float32",
        help="type of its pixels (default: float32)",
    )
    parser.add_argument(
        "--fold",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="fold batch norms into convolutions (default: yes)",
    )


def check_counts(args: argparse.Namespace, *flags: str) -> None:
    """Refuses numbers below 1; None means the default.

    Raises:
        ValueError: there is one.
    """
    for flag in flags:
        value = getattr(args, flag)
        if value is not None and value < 1:
            raise InputError(f"--{flag} must be at least 1. Received: {value}.")


def check_output(args: argparse.Namespace) -> None:
    """Refuses to write to a bucket.

    Raises:
        ValueError: `--output` is in one.
    """
    if args.output is not None and is_remote(args.output):
        raise InputError(
            "Results are written to local files and folders. Received: --output "
            f"{args.output}. Choose a local one, and copy it."
        )


def check_checkpoint(args: argparse.Namespace) -> None:
    """Refuses a choice of weights where there is no work folder to choose from.

    Raises:
        ValueError: there is no work folder.
    """
    if args.workdir is None and args.checkpoint != CHECKPOINTS[0]:
        raise InputError(
            f"--checkpoint {args.checkpoint} needs a work folder. Name it: --workdir."
        )

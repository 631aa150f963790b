"""`finetune`: fine-tunes a classifier on a folder of photographs."""

import argparse
import shlex
import sys

from keras_effnetv2.commands.shared.arguments import (
    add_device_arguments,
    add_log_argument,
    add_set_argument,
)
from keras_effnetv2.errors import Interrupted

EXAMPLE = "python -m keras_effnetv2 finetune photographs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the photographs, and the choices that may be overridden."""
    parser.add_argument(
        "photographs",
        metavar="PHOTOGRAPHS",
        help="folder with a folder for each class, optionally within folders train, "
        "validation and test; or tfds:NAME, of TensorFlow Datasets; or "
        "hf://OWNER/NAME, of the Hugging Face Hub, or hf://FOLDER, of its library",
    )
    parser.add_argument(
        "--labels",
        metavar="FILE.csv",
        help="table with the columns file and label, instead of folders for classes; "
        "separate several labels of an image by ;",
    )
    parser.add_argument(
        "--workdir",
        metavar="DIR",
        help="work folder (default: runs/ and the name of PHOTOGRAPHS); the same "
        "command resumes there",
    )
    parser.add_argument(
        "--minutes",
        type=float,
        help="roughly how long everything may take (default: 5)",
    )
    parser.add_argument(
        "--variant",
        help="a name that the command list prints (default: one that trains in time)",
    )
    parser.add_argument(
        "--weights",
        help="initial weights: imagenet, imagenet21k, imagenet21k-ft1k, a file, or "
        "none for random ones (default: the best available now)",
    )
    parser.add_argument(
        "--image_size",
        type=int,
        help="image side at the end, pixels (default: the network's evaluation size, "
        "or less if time is short)",
    )
    parser.add_argument("--batch_size", type=int, help="images per step")
    parser.add_argument("--epochs", type=int, help="default: as many as fit the time")
    parser.add_argument(
        "--find_lr",
        action="store_true",
        help="find the learning rate by a short sweep from small rates to large ones; "
        "WORKDIR/learning_rates.png shows it",
    )
    add_set_argument(
        parser,
        "change any other setting, as in --set optimizer.learning_rate=0.01; may "
        "be repeated; train --list_settings names them",
    )
    add_log_argument(parser)
    add_device_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Fine-tunes; returns 0 when everything is written."""
    from keras_effnetv2.finetuning.procedure import finetune

    names = (
        *("workdir", "labels", "variant", "weights", "image_size", "batch_size"),
        *("epochs", "minutes", "find_lr", "log", "strategy", "tpu"),
    )
    options = {name: getattr(args, name) for name in names}
    try:
        finetune(args.photographs, settings=args.set, **options)
    except Interrupted as stop:
        command = shlex.join(["python", "-m", "keras_effnetv2", *sys.argv[1:]])
        print(f"\n{stop} Resume with the same command:\n{command}", file=sys.stderr)
        return stop.exit_code
    return 0

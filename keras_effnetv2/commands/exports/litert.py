"""`export litert`."""

import argparse
import os
from collections.abc import Mapping
from typing import Any

from keras_effnetv2.errors import InputError
from keras_effnetv2.export.publishing import check_target

EXAMPLE = (
    "python -m keras_effnetv2 export litert --workdir runs/smoke --output exports/lite"
)

# As in `keras_effnetv2.export.lite.conversion`, which imports TensorFlow.
_FORMATS = ("float32", "float16", "dynamic", "int8")
_IO_TYPES = ("float32", "uint8", "int8")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the formats, and the images that int8 is calibrated on."""
    parser.add_argument(
        "--formats",
        nargs="+",
        choices=_FORMATS,
        default=_FORMATS,
        help="models to write (default: all four)",
    )
    _add_image_arguments(parser)
    parser.add_argument(
        "--image_size",
        type=int,
        help="side of the images, pixels (default: the model's evaluation size)",
    )
    for name in ("input_type", "output_type"):
        parser.add_argument(
            f"--{name}",
            choices=_IO_TYPES,
            default="float32",
            help=f"{name.partition('_')[0]}s of int8 (default: float32)",
        )
    parser.add_argument(
        "--float_layers",
        nargs="+",
        default=[],
        metavar="PATTERN",
        help="layers that stay in float in int8, such as se or 'block[12]*'",
    )
    parser.add_argument(
        "--logits", action="store_true", help="give logits too, not only probabilities"
    )
    parser.add_argument(
        "--fold",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="fold batch norms into convolutions (default: yes)",
    )


def _add_image_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "images", "Images to calibrate int8 on; with --workdir, by default its data."
    )
    group.add_argument("--images", metavar="DIR", help="folder of image files")
    group.add_argument(
        "--source",
        metavar="KIND",
        help="instead of --images: a kind of dataset, such as tfds, folder or digits",
    )
    group.add_argument(
        "--dataset_name",
        default="",
        metavar="NAME",
        help="name of the dataset, with --source tfds",
    )
    group.add_argument("--directory", metavar="DIR", help="folder of the dataset")
    group.add_argument(
        "--split", default="train", help="split to calibrate on (default: train)"
    )
    group.add_argument(
        "--eval_split", help="split to compare on (default: that of the calibration)"
    )


def check(args: argparse.Namespace) -> None:
    """Refuses folders that cannot be used, and options that do not work together.

    Raises:
        ValueError: any of these.
    """
    from keras_effnetv2.data import folders
    from keras_effnetv2.export.lite.lite_models import check_options

    check_target(args.output)
    if args.images is not None and args.source is not None:
        raise InputError("Say where images are: --images or --source.")
    places = args.images, args.source, args.workdir
    names = ("formats", "input_type", "output_type", "float_layers")
    check_options(
        **{name: getattr(args, name) for name in names},
        has_images=any(place is not None for place in places),
    )
    if args.images is not None:
        folders.find_below(args.images)


def write(model: Any, args: argparse.Namespace, source: Mapping[str, str]) -> None:
    """Writes the models, and prints the report."""
    from keras_effnetv2 import export

    representative, evaluation = open_images(args, model.output_shape[-1])
    names = ("formats", "image_size", "input_type", "output_type", "float_layers")
    names += ("logits", "fold", "classifier_activation")
    export.litert(
        model,
        args.output,
        representative=representative,
        evaluation=evaluation,
        source=source,
        **{name: getattr(args, name) for name in names},
    )
    with open(os.path.join(args.output, "report.md"), encoding="utf-8") as report:
        print(report.read().strip())
    print(f"LiteRT: {args.output}")


def open_images(args: argparse.Namespace, num_classes: int) -> tuple[Any, Any]:
    """The images to calibrate on and those to compare on; either may be None.

    Raises:
        ValueError: they cannot be opened.
    """
    if args.images is not None:
        return args.images, None
    if args.source is not None:
        splits = args.split, args.eval_split
        settings = {
            "kind": args.source,
            "num_classes": num_classes,
            "name": args.dataset_name,
            "directory": args.directory,
        }
    elif args.workdir is not None:
        return run_images(args.workdir)
    else:
        return None, None
    return _open_splits(splits, settings)


def run_images(workdir: str) -> tuple[Any, Any]:
    """The images that a run was trained on, and those that it was evaluated on.

    Raises:
        ValueError: they cannot be opened.
    """
    return _open_splits(*_of_run(workdir))


def _open_splits(
    splits: tuple[str | None, str | None], settings: dict[str, Any]
) -> tuple[Any, Any]:
    from keras_effnetv2.data.sources import open_source

    representative, evaluation = (
        None if split is None else open_source(split=split, **settings)
        for split in splits
    )
    return representative, evaluation


def _of_run(workdir: str) -> tuple[tuple[str, str], dict[str, Any]]:
    """Splits and dataset that a run was trained and evaluated on."""
    from keras_effnetv2.training.runs.workdir import read_experiment

    data = read_experiment(workdir).data
    settings = {
        "kind": data.source,
        "num_classes": data.num_classes,
        "name": data.name,
        "directory": data.directory,
        "multi_label": data.multi_label,
        "orientation": data.orientation,
        "train_split": data.train_split,
    }
    return (data.train_split, data.eval_split), settings

"""`explain`: draws heat maps of where in images a network sees their classes."""

import argparse
import os
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from keras_effnetv2.commands.shared import arguments
from keras_effnetv2.data.printable import printable
from keras_effnetv2.errors import FileError, InputError
from keras_effnetv2.explanation.methods import METHODS
from keras_effnetv2.export.publishing import check_writable

if TYPE_CHECKING:
    from keras_effnetv2.classification.inputs import Item

EXAMPLE = (
    "python -m keras_effnetv2 explain cat.jpg --model efficientnetv2-s --output why.png"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the images, the network, what to show and the output."""
    arguments.add_model_arguments(parser)
    parser.add_argument(
        "--top", type=int, default=3, help="classes per image (default: 3)"
    )
    parser.add_argument(
        "--method",
        choices=METHODS,
        default="hirescam",
        help="both are the same for networks with average pooling, as all released "
        "ones have (default: hirescam)",
    )
    parser.add_argument(
        "--output",
        required=True,
        metavar="FILE.png|FOLDER",
        help="the picture of one image, or a folder with NAME.png for each image, in "
        "the same subfolders as the images",
    )


def run(args: argparse.Namespace) -> int:
    """Writes and names a picture of every image; returns 1 if one is unreadable."""
    from keras_effnetv2.commands.results import image_runs
    from keras_effnetv2.commands.shared.classifiers import open_classifier
    from keras_effnetv2.explanation import activation_maps, heat_maps

    arguments.check_counts(args, "image_size", "top")
    arguments.check_checkpoint(args)
    arguments.check_output(args)
    heat_maps.check_modules()
    activation_maps.check_backend()
    pictures = find_pictures(args.images, args.output)
    classifier = open_classifier(args)
    classifier.check_explainable()
    num_failed = 0
    for item, picture in pictures:
        try:
            explanation = classifier.explain(item, top=args.top, method=args.method)
        except (InputError, FileError) as error:
            num_failed += 1
            print("error:", error, file=sys.stderr, flush=True)
            continue
        picture.parent.mkdir(parents=True, exist_ok=True)
        explanation.save(picture)
        print(printable(picture), flush=True)
    return image_runs.report_failures(num_failed, len(pictures))


def find_pictures(
    names: Sequence[str], output: str
) -> list[tuple["Item", pathlib.Path]]:
    """The images, which may be damaged, and the picture for each.

    Raises:
        ValueError: two images for one picture, a picture that would replace an image,
            or an output that cannot be written.
    """
    from keras_effnetv2.classification.inputs import items
    from keras_effnetv2.data.decoding import images

    found = {
        item.name: (item, _place(item, name)) for name in names for item in items(name)
    }
    target = pathlib.Path(output).expanduser()
    is_picture = target.suffix.lower() == ".png" and not target.is_dir()
    if is_picture and len(found) > 1:
        raise InputError(
            f"--output {output} is a single picture. Received: {len(found)} "
            "images. Name a folder."
        )
    if not is_picture and target.suffix.lower() in images.SUFFIXES:
        raise InputError(f"--output is a .png file or a folder. Received: {output}.")
    pictures = [
        (item, target if is_picture else target / place)
        for item, place in found.values()
    ]
    _check_names({item.source: picture for item, picture in pictures if item.source})
    check_writable(target.parent if is_picture else target)
    return pictures


def _place(item: "Item", name: str) -> str:
    """The picture of an image within a folder of pictures."""
    name = os.path.expanduser(name)
    source = item.source or pathlib.Path(name)
    inside = os.path.relpath(source, name) if os.path.isdir(name) else source.name
    return os.path.splitext(inside)[0] + ".png"


def _check_names(pictures: Mapping[pathlib.Path, pathlib.Path]) -> None:
    sources = {path.resolve() for path in pictures}
    owners: dict[pathlib.Path, pathlib.Path] = {}
    for path, picture in pictures.items():
        if picture.resolve() in sources:
            raise InputError(
                f"{printable(picture)} is one of the images, and would be overwritten. "
                "Choose another --output."
            )
        owner = owners.setdefault(picture, path)
        if owner is not path:
            raise InputError(
                f"{printable(owner)} and {printable(path)} would both get the picture "
                f"{printable(picture)}. Explain them into different folders."
            )

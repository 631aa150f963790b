"""`explain`: pictures of where in images a network sees their classes."""

import argparse
import pathlib
from collections.abc import Mapping, Sequence

from keras_effnetv2.commands.shared import arguments
from keras_effnetv2.data.printable import printable
from keras_effnetv2.errors import InputError
from keras_effnetv2.explanation.methods import METHODS
from keras_effnetv2.export.publishing import check_writable

EXAMPLE = (
    "python -m keras_effnetv2 explain cat.jpg --variant efficientnetv2-s "
    "--output why.png"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The images, the network, what to show of them, and where to."""
    arguments.add_model_arguments(parser)
    parser.add_argument(
        "--top", type=int, default=3, help="classes an image (default: 3)"
    )
    parser.add_argument(
        "--method",
        choices=METHODS,
        default="hirescam",
        help="they are the same where a network pools by averages, as all released "
        "ones do (default: hirescam)",
    )
    parser.add_argument(
        "--output",
        required=True,
        metavar="FILE.png|FOLDER",
        help="the picture of one image, or a folder with NAME.png for each image",
    )


def run(args: argparse.Namespace) -> int:
    """Writes a picture of every image, and prints where."""
    from keras_effnetv2.commands.shared import classifiers
    from keras_effnetv2.data.decoding import cropping, images
    from keras_effnetv2.explanation import activation_maps, heat_maps
    from keras_effnetv2.networks.functional import find_normalization

    arguments.check_counts(args, "image_size", "top")
    arguments.check_checkpoint(args)
    heat_maps.check_modules()
    activation_maps.check_backend()
    pictures = find_pictures(args.images, args.output)
    model = classifiers.load_model(
        args.variant, args.weights, args.workdir, args.checkpoint
    )
    normalization = find_normalization(model)
    preprocessing = classifiers.evaluation_record(model, normalization, args.image_size)
    classifier = activation_maps.split_classifier(model)
    names = classifiers.class_names(preprocessing.labels, classifier.dense.units)
    for path, picture in pictures.items():
        pixels = cropping.evaluation_image(images.read(path), preprocessing).numpy()
        inputs = classifiers.network_inputs(pixels[None], normalization)
        features = classifier.features(inputs)
        (scores,) = classifier.scores(features)
        best = classifiers.best_columns(scores[None], args.top)
        (maps,) = classifier.maps(features, best, args.method)
        titles = [f"{printable(path.name)}\n{preprocessing.image_size} px"]
        for column in best[0]:
            name = names[column][1].replace("_", " ")
            titles.append(f"{name}\n{scores[column]:.4f}")
        heat_maps.draw_heat_maps(pixels, maps, titles, picture)
        print(printable(picture), flush=True)
    return 0


def find_pictures(
    names: Sequence[str], output: str
) -> dict[pathlib.Path, pathlib.Path]:
    """Image files, found and read, and the picture that each is to get.

    Raises:
        ValueError: a file that is no image, two images for one picture, a picture that
            would replace an image, or an output that cannot be written.
    """
    from keras_effnetv2.data import folders
    from keras_effnetv2.data.decoding import images

    paths = list(dict.fromkeys(path for name in names for path in folders.find(name)))
    target = pathlib.Path(output).expanduser()
    is_picture = target.suffix.lower() == ".png" and not target.is_dir()
    if is_picture and len(paths) > 1:
        raise InputError(
            f"--output {output} is the picture of one image. Received: {len(paths)} "
            "images. Name a folder."
        )
    if not is_picture and target.suffix.lower() in images.SUFFIXES:
        raise InputError(f"--output is a .png file or a folder. Received: {output}.")
    pictures = {
        path: target if is_picture else target / f"{path.stem}.png" for path in paths
    }
    _check_names(pictures)
    for path in paths:
        images.read(path)
    check_writable(target.parent if is_picture else target)
    return pictures


def _check_names(pictures: Mapping[pathlib.Path, pathlib.Path]) -> None:
    sources = {path.resolve() for path in pictures}
    owners: dict[pathlib.Path, pathlib.Path] = {}
    for path, picture in pictures.items():
        if picture.resolve() in sources:
            raise InputError(
                f"{printable(picture)} is one of the images, and would be replaced. "
                "Choose another --output."
            )
        owner = owners.setdefault(picture, path)
        if owner is not path:
            raise InputError(
                f"{printable(owner)} and {printable(path)} would both get the picture "
                f"{printable(picture)}. Explain them into different folders."
            )

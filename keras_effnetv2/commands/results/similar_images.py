"""The images most similar to one, by their features."""

import argparse
import itertools
import pathlib

import numpy as np

from keras_effnetv2.commands.results import feature_files, image_runs
from keras_effnetv2.commands.results.feature_cache import features_in
from keras_effnetv2.commands.results.feature_files import Features
from keras_effnetv2.commands.shared.classifiers import open_classifier
from keras_effnetv2.data.decoding import images
from keras_effnetv2.data.printable import printable
from keras_effnetv2.errors import InputError, UserError
from keras_effnetv2.explanation import heat_maps
from keras_effnetv2.export.publishing import check_writable


def find(args: argparse.Namespace) -> None:
    """Prints the nearest images, nearest first."""
    if args.output is not None:
        heat_maps.check_modules()
        check_writable(pathlib.Path(args.output).expanduser().parent)
    known = None
    among = pathlib.Path(args.among).expanduser()
    if not among.is_dir():
        known = feature_files.read(among)
        _take_network(args, known)
    photograph = pathlib.Path(args.photograph).expanduser()
    pixels = images.read(photograph)
    classifier = open_classifier(args)
    vector = classifier.features(pixels)
    found = known or features_in(among, classifier, image_runs.settings(args))
    nearest = _nearest(found, vector, photograph, args.top)
    for path, similarity in nearest:
        print(f"{similarity:10.4f}  {printable(path)}")
    if args.output is not None:
        output = pathlib.Path(args.output).expanduser()
        _draw(photograph, nearest, output)
        print(printable(output))


def _take_network(args: argparse.Namespace, known: Features) -> None:
    """Sets the flags of the network to those that the features were written with.

    Raises:
        ValueError: the flags given are different.
    """
    for flag in ("model", "variant", "weights", "workdir", "image_size"):
        wanted, found = getattr(args, flag), known.settings.get(flag)
        if wanted not in (None, found):
            raise InputError(
                f"The features in {args.among} are of --{flag} {found}. Received: "
                f"{wanted}. Leave it out, or embed the images again."
            )
        setattr(args, flag, found)
    args.checkpoint = known.settings.get("checkpoint", args.checkpoint)


def _nearest(
    features: Features, vector: np.ndarray, photograph: pathlib.Path, top: int
) -> list[tuple[pathlib.Path, float]]:
    """Paths and similarities of the nearest images, without the photograph itself."""
    itself = photograph.resolve()
    similarities = features.similarities(vector)
    order = np.argsort(-similarities, kind="stable")
    found = ((pathlib.Path(features.files[i]), float(similarities[i])) for i in order)
    others = (x for x in found if x[0].resolve() != itself)
    return [*itertools.islice(others, top)]


def _draw(
    photograph: pathlib.Path,
    nearest: list[tuple[pathlib.Path, float]],
    output: pathlib.Path,
) -> None:
    """Writes a PNG of the photograph and the images found."""
    panels, titles = [images.read(photograph)], [printable(photograph.name)]
    for path, similarity in nearest:
        try:
            panels.append(images.read(path))
        except UserError:  # Deleted since its features were written.
            continue
        titles.append(f"{printable(path.name)}\n{similarity:.4f}")
    heat_maps.draw_images(panels, titles, output)

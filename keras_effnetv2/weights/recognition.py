"""Recognises the network of weights that name it or fit only one network."""

import os
import pathlib
import zipfile

from keras_effnetv2.errors import InputError
from keras_effnetv2.files import on_this_machine
from keras_effnetv2.networks.architecture import Variant
from keras_effnetv2.networks.variants import TORCHVISION_VARIANTS, VARIANTS
from keras_effnetv2.paths import is_in_bucket
from keras_effnetv2.weights import alternatives, matching, names, releases
from keras_effnetv2.weights.downloads import download
from keras_effnetv2.weights.files import readers
from keras_effnetv2.weights.files.arrays import Arrays
from keras_effnetv2.weights.hub import addresses
from keras_effnetv2.weights.hub.repositories import Repository
from keras_effnetv2.weights.pretrained import check_exists


def recognize(weights: str | os.PathLike) -> Variant:
    """The network that weights belong to.

    Args:
        weights: a file or folder, an https URL, which is downloaded, or a repository of
            the Hub, by its address or its folder.

    Raises:
        ValueError: there are no such weights, or they fit none of our networks, or
            several.
    """
    name = os.fspath(weights)
    if name in releases.DATASETS:
        several = ", ".join(releases.list_variants(weights=name))
        raise InputError(
            f"There are weights {name!r} of several variants: {several}. Name one: "
            "--variant."
        )
    if addresses.is_repository(name):
        return Repository(name).config.variant
    if is_in_bucket(name):
        with on_this_machine(name) as copy:
            return _fitting(copy)
    if "://" in name:
        known = alternatives.from_url(name)
        if known:
            return VARIANTS[known.variant]
        return _fitting(download.fetch(name))
    check_exists(name)
    return _fitting(pathlib.Path(name).expanduser())


def _fitting(path: pathlib.Path) -> Variant:
    """The only network that fits a file, or that of its repository."""
    with readers.open_arrays(path) as arrays:
        found = [x for x in VARIANTS.values() if _fits(arrays, x)]
    if len(found) > 1 and path.suffix == ".keras":
        found = [x for x in found if x.padding == _padding(path)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise InputError(
            f"{path} fits none of {', '.join(VARIANTS)}. For another network, name "
            "its file: --variant FILE.json."
        )
    if addresses.is_folder(path.parent):
        return Repository(path.parent).config.variant
    fitting = " and ".join(variant.name for variant in found)
    raise InputError(
        f"{path} fits {fitting}, which have the same arrays. Name one: --variant."
    )


def _padding(path: pathlib.Path) -> str:
    """The padding of the network in a `.keras` file, which arrays do not show."""
    with zipfile.ZipFile(path) as archive:
        config = archive.read("config.json")
    return "symmetric" if b'"padding": "symmetric"' in config else "same"


def _fits(arrays: Arrays, variant: Variant) -> bool:
    found = matching.find(arrays, variant)
    if found.problems(variant):
        return False
    # torchvision's networks have the same arrays as others, but their own names.
    of_torchvision = variant in TORCHVISION_VARIANTS
    return found.naming == names.OWN or of_torchvision == (
        found.naming == names.TORCHVISION
    )

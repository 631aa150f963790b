"""Whether folders are splits or classes, from their contents, not their names."""

from collections.abc import Collection

from keras_effnetv2.data import folders
from keras_effnetv2.data.printable import shown
from keras_effnetv2.errors import InputError


def has_splits(top: folders.Listing, splits: Collection[str]) -> bool:
    """Whether the folders of a dataset are splits, with folders of classes in them.

    Folders of splits contain folders of images; folders of classes contain images.

    Args:
        top: the folder of the dataset.
        splits: names of the splits that are asked for.

    Raises:
        ValueError: the folders could be either.
    """
    inside = {name: _kinds(top.folder(name)) for name in top.folders}
    as_splits = [name for name, kinds in inside.items() if kinds == {"folders"}]
    as_classes = [name for name, kinds in inside.items() if kinds == {"images"}]
    as_both = [name for name, kinds in inside.items() if len(kinds) == 2]
    if {*splits} & {*as_splits}:
        return True  # Other folders may hold images without classes.
    if as_classes if as_splits else {*splits} & {*as_both}:
        raise InputError(_ambiguity(top, as_splits, as_classes, as_both))
    if as_splits or as_classes or as_both:
        return bool(as_splits)
    return bool({*splits} & {*top.folders})


def _kinds(found: folders.Listing) -> set[str]:
    """Whether a folder holds `"images"`, `"folders"` with images, or both."""
    has_folders = any(found.folder(name).images for name in found.folders)
    kinds = {"images": found.images, "folders": has_folders}
    return {kind for kind, is_there in kinds.items() if is_there}


def _ambiguity(
    top: folders.Listing,
    as_splits: list[str],
    as_classes: list[str],
    as_both: list[str],
) -> str:
    kinds = {
        "images, as classes do": as_classes,
        "folders of images, as splits do": as_splits,
        "images and folders of images": as_both,
    }
    held = "; ".join(f"{shown(x)} hold {kind}" for kind, x in kinds.items() if x)
    return (
        f"The folders of {top.title} may be splits or classes: {held}. Make all of "
        "them classes, with images directly in them, or all of them splits, with a "
        "folder for each class and no images next to those. Move the others "
        "elsewhere."
    )

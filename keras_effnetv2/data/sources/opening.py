"""A source of any kind, by name."""

from keras_effnetv2.data.sources import digits, folder, idx
from keras_effnetv2.data.sources.source import Source

KINDS = ("folder", "idx", "digits")


def open_source(
    kind: str,
    split: str,
    *,
    num_classes: int,
    name: str = "",
    directory: str | None = None,
    multi_label: bool = False,
    cache: bool = False,
) -> Source:
    """Opens a split of a dataset.

    Args:
        kind: one of `KINDS`.
        split: in the words of the kind; its module says which.
        num_classes: labels are below it.
        name: of a dataset of TensorFlow Datasets.
        directory: where the data is. None: where the kind has it by default.
        multi_label: an image may have several classes.
        cache: read all encoded images into memory, once.

    Raises:
        ValueError: there is no such kind, dataset or split, or it is not as described.
        ImportError: the kind needs a package that is not installed.
    """
    if kind not in KINDS:
        raise ValueError(f"kind is one of {', '.join(KINDS)}. Received: {kind!r}.")
    if kind == "digits":
        return digits.open_digits(split, num_classes)
    if kind == "idx":
        return idx.open_idx(split, num_classes, directory)
    return folder.open_folder(split, num_classes, directory)

"""Files in the format of MNIST, Fashion-MNIST and similar datasets.

Format: http://yann.lecun.com/exdb/mnist/.
"""

import gzip
import math
import os
import pathlib
import struct
import zlib

import numpy as np

from keras_effnetv2.data import source
from keras_effnetv2.data.decoding.retrying import retried
from keras_effnetv2.errors import InputError

# Where Debian's package dataset-fashion-mnist installs Fashion-MNIST.
_DEBIAN = "/usr/share/datasets/fashion-mnist"
_PREFIXES = {"train": "train", "test": "t10k"}
# Deflate's largest ratio: https://zlib.net/zlib_tech.html.
_LARGEST_EXPANSION = 1032


def open_idx(
    split: str, num_classes: int | None, directory: str | None
) -> source.Source:
    """Opens the gray images of IDX files, plain or gzipped.

    Args:
        split: `"train"` or `"test"`, or a part such as `"train[:1000]"`.
        num_classes: labels are below it. None: one more than the largest label.
        directory: folder of the files `train-images-idx3-ubyte`,
            `t10k-labels-idx1-ubyte`, ..., with or without `.gz`. None: where Debian
            installs Fashion-MNIST.

    Raises:
        ValueError: no such files, or invalid ones.
        OSError: a file cannot be read, after several tries.
    """
    name, subset = source.parse_split(split, tuple(_PREFIXES))
    prefix = _PREFIXES[name]
    folder = pathlib.Path(directory or _DEBIAN)
    image_path = _find(folder, f"{prefix}-images-idx3-ubyte")
    label_path = _find(folder, f"{prefix}-labels-idx1-ubyte")
    images = retried(lambda: _read(image_path, num_dims=3), image_path)
    labels = retried(lambda: _read(label_path, num_dims=1), label_path)
    if len(images) != len(labels):
        raise InputError(
            f"{image_path} has {len(images):,} images, {label_path} {len(labels):,} "
            "labels: they do not belong together."
        )
    found = int(labels.max()) + 1
    if num_classes is None:
        num_classes = found
    if found > num_classes:
        raise InputError(
            f"{label_path} has labels up to {found - 1}. Received: "
            f"data.num_classes={num_classes}. Leave it out, or set "
            f"data.num_classes={found}."
        )
    return source.from_arrays(images, labels, subset, num_classes, str(image_path))


def _find(folder: pathlib.Path, name: str) -> pathlib.Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise InputError(
        f"There is neither {name} nor {name}.gz in {folder}. Pass the folder of an IDX "
        "dataset as directory, or get Fashion-MNIST: "
        "apt-get install dataset-fashion-mnist."
    )


def _read(path: pathlib.Path, num_dims: int) -> np.ndarray:
    """The uint8 array of a file, its size checked before it is read."""
    is_zipped = path.suffix == ".gz"
    limit = os.path.getsize(path) * (_LARGEST_EXPANSION if is_zipped else 1)
    try:
        with gzip.open(path) if is_zipped else open(path, "rb") as file:
            header = file.read(4 + 4 * num_dims)
            # Two zeros, 8 for unsigned bytes, the number of dimensions.
            if (
                header[:4] != bytes((0, 0, 8, num_dims))
                or len(header) < 4 + 4 * num_dims
            ):
                raise InputError(f"it does not start like IDX of {num_dims} dimensions")
            shape = struct.unpack(f">{num_dims}I", header[4:])
            size = math.prod(shape)
            if not size or size > limit:
                raise InputError(f"its header claims a shape of {shape}")
            contents = file.read(size + 1)
    except (ValueError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise InputError(f"{path} is not an IDX file of bytes: {error}.") from error
    if len(contents) != size:
        raise InputError(
            f"{path} claims a shape of {shape}, {size:,} bytes, but has "
            f"{'more' if len(contents) > size else f'{len(contents):,}'}."
        )
    return np.frombuffer(contents, np.uint8).reshape(shape)

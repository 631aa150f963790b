"""TensorFlow checkpoints: packed as `.tgz` or not, name-based or object-based.

From a name-based checkpoint, moving averages of variables are taken if there are any;
optimizer slots and counters are ignored.
"""

import contextlib
import glob
import gzip
import os
import pathlib
import re
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from keras_effnetv2.errors import InputError
from keras_effnetv2.weights import names
from keras_effnetv2.weights.files.arrays import Arrays, damaged, insert
from keras_effnetv2.weights.files.tar_members import iterate_members

_AVERAGE = "ExponentialMovingAverage"
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"

# A checkpoint's files, except hidden ones of macOS next to them.
_PIECE = re.compile(r"(?!\._)(checkpoint|.+\.index|.+\.data-\d{5}-of-\d{5})")

# Patterns of places in a folder; the first that matches counts.
_PLACES = ("*.index", "*/*.index", "*/*/*.index")

# Everything before these is the model's name, which differs between files.
_NAMED_PART = re.compile(r"(?:^|.*?/)((?:stem|head|head_1|blocks_\d+)/.*)")
_OBJECT_PART = re.compile(r"(?:^|.*?/)((?:_stem|_head|_blocks|_fc)/.*)")


@contextlib.contextmanager
def open_tar(path: pathlib.Path, opener: Any = gzip.open) -> Iterator[Arrays]:
    """Opens the checkpoint in a tar archive, unpacked into a temporary folder.

    Args:
        path: path of the archive.
        opener: opens the file to read tar from: `gzip.open`, or `open` if not packed.

    Raises:
        ValueError: damaged, without a checkpoint, or with anything but plain files and
            folders inside it.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            with opener(path, "rb") as file:
                _unpack(path, file, pathlib.Path(folder))
        except (
            tarfile.TarError,
            EOFError,
            zlib.error,
            gzip.BadGzipFile,
            FileExistsError,
            NotADirectoryError,
        ) as error:
            raise damaged(path, "tar", error) from None
        with open_folder(pathlib.Path(folder), path) as arrays:
            yield arrays


@contextlib.contextmanager
def open_folder(
    folder: pathlib.Path, archive: pathlib.Path | None = None
) -> Iterator[Arrays]:
    """Opens the checkpoint in a folder, or in folders inside it.

    Args:
        folder: folder with the files.
        archive: their archive, for messages.

    Raises:
        ValueError: there is no checkpoint, or several.
    """
    found = ([_prefix(x) for x in _indices(folder, place)] for place in _PLACES)
    prefixes = next(filter(None, found), [])
    path = archive or folder
    if not prefixes:
        raise InputError(
            f"{path} holds no TensorFlow checkpoint: no file NAME.index with its "
            "NAME.data-00000-of-00001."
        )
    latest = [x for x in prefixes if x.name == _latest(x.parent)]
    if len(prefixes) > 1 and len(latest) != 1:
        several = ", ".join(str(x.relative_to(folder)) for x in prefixes[:10])
        raise InputError(
            f"{path} holds several checkpoints: {several}. Pass the path of one, "
            "without its suffixes."
        )
    with open_prefix((latest or prefixes)[0], path) as arrays:
        yield arrays


@contextlib.contextmanager
def open_prefix(
    prefix: pathlib.Path, source: pathlib.Path | None = None
) -> Iterator[Arrays]:
    """Opens the checkpoint of files `prefix.index` and `prefix.data-*`.

    Args:
        prefix: path of the files without their suffixes.
        source: folder or archive that they come from, for messages.

    Raises:
        ValueError: damaged.
    """
    import tensorflow as tf

    path = source or prefix
    with _understood(path):
        reader = tf.train.load_checkpoint(os.fspath(prefix))
        found = reader.get_variable_to_shape_map()
        dtypes = reader.get_variable_to_dtype_map()
    shapes = {name: tuple(shape) for name, shape in found.items()}
    _check_stored(path, prefix, shapes, dtypes)

    def read(name: str) -> np.ndarray:
        with _understood(path):
            return reader.get_tensor(variables[name])

    is_object_based = _OBJECT_GRAPH in shapes
    named = _object_variables if is_object_based else _named_variables
    variables = named(path, {x: shapes[x] for x in shapes if dtypes[x].is_floating})
    yield Arrays(
        "TensorFlow checkpoint",
        (names.OBJECT_CHECKPOINT if is_object_based else names.CHECKPOINT,),
        {name: shapes[variable] for name, variable in variables.items()},
        read,
    )


@contextlib.contextmanager
def _understood(path: pathlib.Path) -> Iterator[None]:
    """Turns TensorFlow's errors on damaged files into one that says so."""
    import tensorflow as tf

    try:
        yield
    except (tf.errors.OpError, RuntimeError, ValueError, LookupError) as error:
        raise damaged(path, "checkpoint", str(error)[:200]) from None


def _indices(folder: pathlib.Path, place: str) -> list[pathlib.Path]:
    return sorted(x for x in folder.glob(place) if _PIECE.fullmatch(x.name))


def _prefix(index: pathlib.Path) -> pathlib.Path:
    return index.with_name(index.name.removesuffix(".index"))


def _latest(folder: pathlib.Path) -> str | None:
    """Name of the checkpoint that the file `checkpoint` calls the latest.

    Only the name counts, since the folder may have been moved.
    """
    record = folder / "checkpoint"
    text = record.read_bytes().decode(errors="replace") if record.is_file() else ""
    match = re.search(r'^model_checkpoint_path: "(.*)"', text, re.MULTILINE)
    return match and re.split(r"[/\\]", match[1])[-1]


def _check_stored(
    path: pathlib.Path,
    prefix: pathlib.Path,
    shapes: Mapping[str, tuple[int, ...]],
    dtypes: Mapping[str, Any],
) -> None:
    """Refuses a checkpoint that claims more values than it has bytes."""
    claimed = sum(
        int(np.prod(shape, dtype=object)) * dtypes[name].size
        for name, shape in shapes.items()
        if dtypes[name].is_floating or dtypes[name].is_integer
    )
    pieces = prefix.parent.glob(f"{glob.escape(prefix.name)}.data-*")
    stored = sum(piece.stat().st_size for piece in pieces)
    if claimed > stored:
        raise damaged(
            path, "checkpoint", f"it claims {claimed:,} bytes and holds {stored:,}"
        )


def _named_variables(
    path: pathlib.Path, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, str]:
    """Names without the model's -> names in the checkpoint."""
    variables = {}
    for name, shape in shapes.items():
        owner, _, last = name.rpartition("/")
        has_average = f"{name}/{_AVERAGE}" in shapes
        is_slot = owner in shapes and last != _AVERAGE
        if has_average or is_slot or not shape:
            continue
        variable = owner if last == _AVERAGE else name
        match = _NAMED_PART.fullmatch(variable)
        # The current training script writes the classifier as "head_1".
        part = match[1].replace("head_1/", "head/", 1) if match else variable
        insert(variables, part, name, path)
    return variables


def _object_variables(
    path: pathlib.Path, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, str]:
    variables = {}
    for name, shape in shapes.items():
        variable = name.removesuffix(_VALUE)
        is_optimizer = name.startswith("optimizer/") or "/.OPTIMIZER_SLOT/" in name
        if variable == name or is_optimizer or not shape:
            continue
        match = _OBJECT_PART.fullmatch(variable)
        insert(variables, match[1] if match else variable, name, path)
    return variables


def _unpack(path: pathlib.Path, file: Any, folder: pathlib.Path) -> None:
    """Writes the parts of the checkpoint in the tar `file` to `folder`."""
    for archive, member in iterate_members(path, file):
        name = pathlib.PurePosixPath(member.name)
        is_piece = member.isreg() and _PIECE.fullmatch(name.name)
        piece = archive.extractfile(member) if is_piece else None
        if piece is None:
            continue
        target = folder.joinpath(*name.parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as output:
            shutil.copyfileobj(piece, output)

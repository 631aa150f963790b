"""Keras files: HDF5 in the layouts of Keras 2 and Keras 3, and `.keras` archives.

Nothing is deserialized: arrays are looked up by name, and only the preprocessing record
is read from a model's configuration.
"""

import contextlib
import dataclasses
import json
import pathlib
import re
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from keras_effnetv2.errors import InputError, UserError
from keras_effnetv2.preprocessing import HDF5_ATTRIBUTE, Preprocessing
from keras_effnetv2.weights import names
from keras_effnetv2.weights.files import hdf5_names
from keras_effnetv2.weights.files.arrays import Arrays, damaged, insert, max_unpacked

_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"

_NAMINGS = (
    names.OWN,
    names.APPLICATIONS,
    names.APPLICATIONS_V1,
    names.SEBASTIAN_SZ,
    names.LEONDGARSE,
    names.APPLICATIONS_UNNAMED,
)

# Statistics of the layers with which Keras normalises pixels, unlike the networks here.
_PIXEL_STATISTICS = re.compile(
    r"(.*/)?(normalization|rescaling)(_\d+)?/(mean|variance|count)"
)


@contextlib.contextmanager
def open_hdf5(path: pathlib.Path) -> Iterator[Arrays]:
    """Opens a Keras weights file, or a whole model in the layout of Keras 2.

    Raises:
        ValueError: damaged, with links to elsewhere, or not from Keras.
    """
    with _open(path) as file:
        yield _arrays(path, file)


@contextlib.contextmanager
def open_keras(path: pathlib.Path, archive: zipfile.ZipFile) -> Iterator[Arrays]:
    """Opens a `.keras` archive.

    Args:
        path: path of the file.
        archive: the open archive of the file.

    Raises:
        ValueError: damaged, or another kind of archive.
    """
    with tempfile.TemporaryDirectory() as folder:
        _check_members(path, archive)
        try:
            config = _unpack(path, archive, _CONFIG, folder)
            weights = _unpack(path, archive, _WEIGHTS, folder)
        except (
            zipfile.BadZipFile,
            zlib.error,
            struct.error,
            EOFError,
            RuntimeError,  # Also NotImplementedError.
            UnicodeDecodeError,
        ) as error:
            raise damaged(path, ".keras", error) from None
        with _open(path, weights) as file:
            yield dataclasses.replace(
                _arrays(path, file),
                format=".keras",
                preprocessing=_record_of_config(
                    path, ".keras", _CONFIG, config.read_bytes()
                ),
            )


def _open(path: pathlib.Path, unpacked: pathlib.Path | None = None) -> Any:
    import h5py

    try:
        return h5py.File(unpacked or path, "r")
    except OSError as error:
        raise damaged(path, "HDF5", error) from None


def _check_members(path: pathlib.Path, archive: zipfile.ZipFile) -> None:
    members = archive.namelist()
    missing = [name for name in (_CONFIG, _WEIGHTS) if name not in members]
    if missing:
        raise InputError(
            f"{path} is a zip archive, but neither a PyTorch nor a .keras file: it "
            f"has no {', '.join(missing)}."
        )


def _unpack(
    path: pathlib.Path, archive: zipfile.ZipFile, name: str, folder: str
) -> pathlib.Path:
    info = archive.getinfo(name)
    if info.file_size > max_unpacked(info.compress_size):
        raise InputError(
            f"{path}: {name} claims {info.file_size:,} bytes unpacked from "
            f"{info.compress_size:,}. Refused: weights do not compress like that."
        )
    # The declared size is a limit too: zipfile reads no further.
    unpacked = pathlib.Path(folder, name)
    with archive.open(info) as source, unpacked.open("wb") as target:
        shutil.copyfileobj(source, target)
    return unpacked


@contextlib.contextmanager
def _understood(path: pathlib.Path) -> Iterator[None]:
    """Turns h5py's errors on a damaged file into one that says so."""
    try:
        yield
    except UserError:
        raise
    except (
        OSError,
        RuntimeError,
        LookupError,
        ValueError,
        TypeError,
        OverflowError,
        MemoryError,
    ) as error:
        raise damaged(path, "HDF5", str(error)[:200]) from None


def _arrays(path: pathlib.Path, file: Any) -> Arrays:
    with _understood(path):
        return _understood_arrays(path, file)


def _understood_arrays(path: pathlib.Path, file: Any) -> Arrays:
    root, record = file, _record_of_attribute(path, file)
    if is_keras_3 := "layers" in file or "vars" in file:
        format = "HDF5 (Keras 3)"
    elif "model_weights" in file:
        format = "HDF5 (Keras 2 model)"
        root = _child(path, file, "model_weights")
        config = file.attrs.get("model_config", "{}")
        record = record or _record_of_config(path, "HDF5", "model_config", config)
    elif any(name.startswith("layer_names") for name in file.attrs):
        format = "HDF5 (Keras 2)"
    else:
        raise InputError(
            f"{path} is an HDF5 file, but not of Keras weights: it holds "
            f"{', '.join(list(file)[:5]) or 'nothing'}."
        )
    found = dict(_datasets(path, root, set()))
    named = (
        hdf5_names.keras_3(path, file, found)
        if is_keras_3
        else hdf5_names.keras_2(found)
    )
    datasets, statistics = {}, {}
    for old, name in named.items():
        is_statistic = _PIXEL_STATISTICS.fullmatch(name)
        insert(statistics if is_statistic else datasets, name, found[old], path)
    return Arrays(
        format,
        _NAMINGS,
        {name: dataset.shape or () for name, dataset in datasets.items()},
        lambda name: _read(path, datasets[name]),
        record,
        _read_statistics(path, statistics),
        has_models=True,
    )


def _read_statistics(
    path: pathlib.Path, datasets: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Mean and variance of pixels, if exactly one layer has them."""
    found = [
        [dataset for name, dataset in datasets.items() if name.endswith(f"/{kind}")]
        for kind in ("mean", "variance")
    ]
    if [len(x) for x in found] != [1, 1]:
        return None
    mean, variance = (np.ravel(_read(path, x[0])).astype("float64") for x in found)
    return mean, variance


def _datasets(path: pathlib.Path, group: Any, seen: set) -> Iterator[tuple[str, Any]]:
    """All datasets below `group`, each with its path."""
    import h5py

    for key in group:
        item = _child(path, group, key)
        if isinstance(item, h5py.Group):
            if item.id in seen:
                raise InputError(f"{path}: {item.name} is in the file twice.")
            seen.add(item.id)
            for name, dataset in _datasets(path, item, seen):
                yield f"{key}/{name}", dataset
        elif isinstance(item, h5py.Dataset):
            _check_dataset(path, item)
            yield key, item


def _child(path: pathlib.Path, group: Any, key: str) -> Any:
    import h5py

    if not isinstance(group.get(key, getlink=True), h5py.HardLink):
        raise InputError(
            f"{path}: {group.name.rstrip('/')}/{key} is a link to elsewhere, which "
            "weights files do not need. Refused."
        )
    return group[key]


def _check_dataset(path: pathlib.Path, dataset: Any) -> None:
    if dataset.external or dataset.is_virtual:
        raise InputError(
            f"{path}: the values of {dataset.name} are in another file. Refused."
        )
    stored = dataset.id.get_storage_size()
    limit = stored if dataset.chunks is None else max_unpacked(stored)
    if dataset.shape is not None and dataset.nbytes > limit:
        raise InputError(
            f"{path}: {dataset.name} claims shape {dataset.shape}, {dataset.nbytes:,} "
            f"bytes, of which only {stored:,} exist."
        )


def _read(path: pathlib.Path, dataset: Any) -> np.ndarray:
    # Keras 3 stores the bytes of bfloat16, which HDF5 does not know, with a note.
    is_bfloat16 = dataset.attrs.get(
        "dtype"
    ) == "bfloat16" and dataset.dtype == np.dtype("V2")
    if dataset.dtype.kind != "f" and not is_bfloat16:
        raise InputError(
            f"{path}: {dataset.name} should hold floating-point numbers. "
            f"Received: {dataset.dtype}."
        )
    with _understood(path):
        array = dataset[()]
    if is_bfloat16:
        import ml_dtypes

        array = array.view(ml_dtypes.bfloat16)
    return array


def _record_of_attribute(path: pathlib.Path, file: Any) -> dict[str, Any] | None:
    text = file.attrs.get(HDF5_ATTRIBUTE)
    return None if text is None else _record(path, text)


def _record_of_config(
    path: pathlib.Path, format: str, place: str, config: str | bytes
) -> dict[str, Any] | None:
    """The record in the layer that normalises pixels, also in nested models."""
    try:
        layers = [json.loads(config)]
        for layer in layers:  # The list grows by the layers of nested models.
            settings = layer.get("config", {})
            if layer.get("class_name", "").endswith("PixelNormalization"):
                return _record(path, json.dumps(settings["preprocessing"]))
            layers += settings.get("layers", ())
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as bad:
        raise damaged(path, format, f"{place}: {bad}") from None
    return None


def _record(path: pathlib.Path, text: str) -> dict[str, Any]:
    try:
        return dataclasses.asdict(Preprocessing(**json.loads(text)))
    except (ValueError, TypeError, RecursionError) as error:
        raise damaged(path, "weights", f"preprocessing record: {error}") from None

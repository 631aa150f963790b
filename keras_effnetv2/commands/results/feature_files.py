"""Features of many images in a `.npz` file, and their similarities."""

import dataclasses
import json
import os
import pathlib
import zipfile
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from keras_effnetv2.commands.results.result_files import Row, decoded
from keras_effnetv2.data.printable import printable
from keras_effnetv2.errors import InputError
from keras_effnetv2.files import replacing


@dataclasses.dataclass(frozen=True, eq=False)
class Features:
    """Features of images.

    Attributes:
        files: paths of the images.
        vectors: float32 `(images, channels)`.
        settings: settings that the features depend on.
        stamps: when each file was written, ns, and its size, int64 `(images, 2)`; zeros
            if not recorded.
    """

    files: list[str]
    vectors: np.ndarray
    settings: Mapping[str, Any]
    stamps: np.ndarray

    def write(self, path: pathlib.Path) -> None:
        """Writes them into a file that nobody else has open."""
        with path.open("wb") as file:
            np.savez(
                file,
                files=np.array(self.files, str),
                features=self.vectors,
                stamps=self.stamps,
                settings=json.dumps(self.settings),
            )

    def replace(self, path: pathlib.Path) -> None:
        """Replaces a file atomically."""
        with replacing(path) as temporary:
            self.write(temporary)

    def similarities(self, vector: np.ndarray) -> np.ndarray:
        """Cosine similarity of each image to a vector `(channels,)`.

        Raises:
            ValueError: the vector is from another network.
        """
        if self.vectors.shape[1:] != vector.shape:
            raise InputError(
                f"The network gives {len(vector)} features, but those in the file are "
                f"{self.vectors.shape[-1]}. Embed the images again."
            )
        lengths = np.linalg.norm(self.vectors, axis=1) * np.linalg.norm(vector)
        return self.vectors @ vector / np.maximum(lengths, np.finfo("float32").tiny)


def read(path: str | os.PathLike) -> Features:
    """The features that `embed` has written to a file.

    Raises:
        ValueError: the file is missing, or holds something else.
    """
    try:
        # Opened here: of a damaged file, NumPy would leave its own open.
        with open(path, "rb") as file:
            arrays = np.load(file, allow_pickle=False)
            if isinstance(arrays, np.ndarray):
                raise ValueError("it is a single array")
            return Features(
                arrays["files"].tolist(),
                arrays["features"],
                json.loads(str(arrays["settings"])),
                arrays["stamps"],
            )
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{printable(path)} holds no features as embed writes them to a .npz file: "
            f"{error}."
        ) from error


def write_rows(
    settings: Mapping[str, Any], rows: Iterable[Row], path: pathlib.Path
) -> None:
    """Writes the rows of readable images, and the names and errors of the others."""
    files, vectors = [], []
    for row in rows:
        if row["error"] is None:
            files.append(row["file"])
            vectors.append(decoded(row["features"]))
    matrix = np.stack(vectors) if vectors else np.zeros((0, 0), "float32")
    stamps = np.zeros((len(files), 2), "int64")
    Features(files, matrix, settings, stamps).write(path)

"""HDF5 can hide much: links, other files, sizes it does not have."""

import contextlib

import h5py
import numpy as np
import pytest

from keras_effnetv2.weights import names
from tests.weights.weight_files import random_arrays, refused, write_keras_2

KERNEL = "stem_conv/stem_conv/kernel:0"


@contextlib.contextmanager
def tampered(path):
    """A good file open for harm, without the kernel of the stem."""
    write_keras_2(path, random_arrays(), names.APPLICATIONS)
    with h5py.File(path, "r+") as file:
        del file[KERNEL]
        yield file


@pytest.mark.parametrize(
    "link", [h5py.ExternalLink("/etc/passwd", "/"), h5py.SoftLink("/predictions")]
)
def test_hdf5_links(link, tmp_path):
    with tampered(tmp_path / "a") as file:
        file[KERNEL] = link
    refused(tmp_path / "a", f"{KERNEL} is a link to elsewhere")


def test_hdf5_group_within_itself(tmp_path):
    with tampered(tmp_path / "a") as file:
        file["stem_conv/again"] = file["stem_conv"]
    refused(tmp_path / "a", "is in the file twice")


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_hdf5_with_giant_shape(compression, tmp_path):
    with tampered(tmp_path / "a") as file:
        file.create_dataset(KERNEL, (10**6, 10**6), "f4", compression=compression)
    refused(tmp_path / "a", r"claims shape \(1000000, 1000000\), 4,000,000,000,000 by")


def test_hdf5_with_values_elsewhere(tmp_path):
    (tmp_path / "secret").write_bytes(bytes(864))
    with tampered(tmp_path / "a") as file:
        secret = [(str(tmp_path / "secret"), 0, 864)]
        file.create_dataset(KERNEL, (3, 3, 3, 8), "f4", external=secret)
    refused(tmp_path / "a", "are in another file")
    layout = h5py.VirtualLayout((3, 3, 3, 8), "f4")
    layout[...] = h5py.VirtualSource(str(tmp_path / "secret"), "x", (3, 3, 3, 8))
    with tampered(tmp_path / "b") as file:
        file.create_virtual_dataset(KERNEL, layout)
    refused(tmp_path / "b", "are in another file")


def test_hdf5_with_whole_numbers(tmp_path):
    with tampered(tmp_path / "a") as file:
        file[KERNEL] = np.zeros((3, 3, 3, 8), np.int32)
    refused(tmp_path / "a", "should hold floating-point numbers. Received: int32")


def test_hdf5_with_a_name_of_no_known_type(tmp_path):
    with h5py.File(tmp_path / "a", "w") as file:
        layer = file.create_group("layers/conv2d/vars")
        layer["0"] = np.zeros((3, 3, 3, 8), np.float32)
        time, one = h5py.h5t.UNIX_D32LE, h5py.h5s.create(h5py.h5s.SCALAR)
        h5py.h5a.create(layer.id, b"name", time, one)
    refused(tmp_path / "a", "damaged HDF5 file: No NumPy equivalent")


def test_hdf5_of_something_else(tmp_path):
    with h5py.File(tmp_path / "a", "w") as file:
        file["spectra"] = np.zeros(3)
    refused(tmp_path / "a", "HDF5 file, but not of Keras weights: it holds spectra")

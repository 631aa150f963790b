"""What should not be loaded is refused, with the reason, before it can do harm."""

import io
import json
import pathlib
import pickle
import struct
import tarfile
import zipfile

import h5py
import numpy as np
import pytest

from keras_effnetv2.weights import names
from tests.weights.weight_files import (
    CLASSES,
    checkpoint_variables,
    random_arrays,
    read_all,
    refused,
    write_checkpoint,
    write_keras_2,
    write_timm,
)


@pytest.mark.parametrize(
    "content, match",
    [
        (b"", "is empty"),
        (b"\n<!DOCTYPE html><html>Sign in</html>", "is a web page"),
        (b"\xef\xbb\xbf<?xml version='1.0'?><Error>NoSuchKey</Error>", "XML message"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS.*git lfs pull"),
        (
            pickle.dumps({"conv_stem.weight": [1.0]}),
            "Python pickle, but not one of",
        ),
        (b"weights, honestly", "unknown format: it begins with b'weights"),
        (struct.pack("<Q", 10**12) + b'{"a":', "header claims 1,000,000,000,000 bytes"),
        (struct.pack("<Q", 4) + b"{,,}", "damaged safetensors file"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "damaged HDF5 file"),
        (b"PK\x03\x04" + bytes(100), "damaged zip file"),
        (b"\x1f\x8b" + bytes(100), "damaged tar file"),
    ],
)
def test_content_decides(content, match, tmp_path):
    # The name promises what the content doesn't keep.
    path = tmp_path / "efficientnetv2-b0.h5"
    path.write_bytes(content)
    refused(path, match)


def test_absent_file(tmp_path):
    refused(tmp_path / "absent", r"There is no .*Expected a \.weights\.h5")


def test_folder_without_checkpoint(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing here")
    refused(tmp_path, r"holds no TensorFlow checkpoint: no file NAME\.index")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A good file of each format."""
    folder = tmp_path_factory.mktemp("good")
    arrays = random_arrays()
    write_keras_2(folder / "hdf5", arrays, names.APPLICATIONS)
    write_timm(folder / "safetensors", arrays)
    prefix = write_checkpoint(folder / "run/model", checkpoint_variables(arrays))
    with tarfile.open(folder / "tgz", "w:gz") as archive:
        archive.add(prefix.parent, "run")
    with zipfile.ZipFile(folder / "keras", "w") as archive:
        archive.writestr("config.json", '{"config": {"layers": []}}')
        archive.write(folder / "hdf5", "model.weights.h5")
    return folder


@pytest.mark.parametrize("kind", ["hdf5", "safetensors", "tgz", "keras"])
@pytest.mark.parametrize("share", [0.3, 0.97])
def test_truncated_file(kind, share, files, tmp_path):
    content = (files / kind).read_bytes()
    path = tmp_path / kind
    path.write_bytes(content[: int(share * len(content))])
    refused(path, "truncated or damaged")


def test_flipped_bits_in_archive(files, tmp_path):
    content = bytearray((files / "tgz").read_bytes())
    content[-3] ^= 1  # In the sizes and checksums at the end.
    (tmp_path / "tgz").write_bytes(content)
    refused(tmp_path / "tgz", "truncated or damaged tar")


@pytest.mark.parametrize("piece", ["model.index", "model.data-00000-of-00001"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "absent"])
def test_damaged_checkpoint(piece, damage, files, tmp_path):
    for source in (files / "run").iterdir():
        content = bytearray(source.read_bytes())
        if source.name == piece and damage == "absent":
            continue
        if source.name == piece and damage == "cut":
            content = content[: len(content) // 2]
        if source.name == piece and damage == "flipped":
            content[100] ^= 255
        (tmp_path / source.name).write_bytes(content)
    refused(tmp_path, "holds no TensorFlow|truncated or damaged checkpoint")


def add(archive, name, kind=tarfile.REGTYPE, content=b"", **fields):
    member = tarfile.TarInfo(name)
    member.type, member.size = kind, len(content)
    for key, value in fields.items():
        setattr(member, key, value)
    archive.addfile(member, io.BytesIO(content))


@pytest.mark.parametrize(
    "name, kind",
    [
        ("../model.index", tarfile.REGTYPE),
        ("run/../../model.index", tarfile.REGTYPE),
        ("/model.index", tarfile.REGTYPE),
        ("..\\model.index", tarfile.REGTYPE),
        ("run/model.index", tarfile.SYMTYPE),
        ("run/model.index", tarfile.LNKTYPE),
        ("run/model.index", tarfile.FIFOTYPE),
        ("run/model.index", tarfile.CHRTYPE),
        ("unwanted/../../notes.txt", tarfile.REGTYPE),
    ],
)
def test_archive_that_leads_out(name, kind, tmp_path, monkeypatch):
    (tmp_path / "temporary/deep").mkdir(parents=True)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary/deep"))
    path = tmp_path / "weights.tgz"
    with tarfile.open(path, "w:gz") as archive:
        add(archive, name, kind, linkname="/etc/passwd")
    refused(path, "is a link, a device or leads out of the archive")
    assert [x.name for x in tmp_path.rglob("*")].count("deep") == 1
    assert len(list(tmp_path.rglob("*"))) == 3


def test_archive_with_one_piece_twice(tmp_path):
    with tarfile.open(tmp_path / "a", "w:gz") as archive:
        add(archive, "model.index")
        add(archive, "model.index")
    refused(tmp_path / "a", "damaged tar")


def test_archive_that_unpacks_to_gigabytes(tmp_path):
    with tarfile.open(tmp_path / "a", "w:gz") as archive:
        add(archive, "model.data-00000-of-00001", content=bytes(20 << 20))
    refused(tmp_path / "a", "unpacks to far more than weights would")


def keras_archive(path, weights, config="{}", compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("config.json", config)
        archive.writestr("model.weights.h5", weights)


def test_archive_of_a_method_that_keras_does_not_use(tmp_path):
    keras_archive(tmp_path / "a", bytes(100), compression=zipfile.ZIP_BZIP2)
    refused(tmp_path / "a", "'config.json' is compressed by method 12. Expected none")


def test_keras_archive_that_unpacks_to_gigabytes(tmp_path):
    keras_archive(tmp_path / "a", bytes(20 << 20), compression=zipfile.ZIP_DEFLATED)
    refused(tmp_path / "a", "claims 20,971,520 bytes unpacked")


@pytest.mark.parametrize(
    "config, match",
    [
        ("{" * 10, "config.json"),
        ('{"config": {"layers": 5}}', "config.json"),
        ("[" * 100_000, "config.json"),
        (
            '{"config": {"layers": [{"class_name": "PixelNormalization",'
            '"config": {"preprocessing": {"mean": "__import__"}}}]}}',
            "preprocessing record",
        ),
    ],
)
def test_keras_archive_with_bad_config(config, match, files, tmp_path):
    with h5py.File(tmp_path / "weights", "w") as file:
        file["layers/conv2d/vars/0"] = np.zeros(3)
    keras_archive(tmp_path / "a", (tmp_path / "weights").read_bytes(), config)
    refused(tmp_path / "a", match)


def test_other_archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "a", "w") as archive:
        archive.writestr("photograph.jpg", b"")
    refused(tmp_path / "a", r"nor a \.keras file: it has no config\.json, model\.wei")


def test_safetensors_with_giant_shape(files, tmp_path):
    content = (files / "safetensors").read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    header["classifier.weight"]["shape"] = [10**9, 10**3]
    header = json.dumps(header).encode()
    (tmp_path / "a").write_bytes(
        struct.pack("<Q", len(header)) + header + content[8 + size :]
    )
    refused(tmp_path / "a", "damaged safetensors")


def test_checkpoint_that_claims_more_than_it_holds(files, tmp_path):
    for piece in (files / "run").iterdir():
        (tmp_path / piece.name).write_bytes(piece.read_bytes())
    with pathlib.Path(tmp_path / "model.data-00000-of-00001").open("r+b") as file:
        file.truncate(1000)
    refused(tmp_path, r"claims [\d,]+ bytes and holds 1,000")


def test_checkpoint_of_two_networks(tmp_path):
    arrays = random_arrays()
    both = [checkpoint_variables(arrays, prefix=x) for x in ("student", "teacher")]
    write_checkpoint(tmp_path / "model", both[0] | both[1])
    refused(tmp_path, r"holds more than one array '(stem|blocks_\d|head)/")


def test_good_files_are_good(files):
    for kind in ("hdf5", "safetensors", "tgz", "keras", "run", "run/model"):
        assert read_all(files / kind)[1].num_classes == CLASSES, kind

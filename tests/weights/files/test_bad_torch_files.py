"""PyTorch's files that lie, and those that would run something."""

import os
import pickle
import struct
import zipfile

import numpy as np
import pytest

from keras_effnetv2.weights import matching
from keras_effnetv2.weights.files import readers, torch_pickles
from tests.weights import hostile_pickles, torch_writer
from tests.weights.torch_writer import mapping, storage, tensor
from tests.weights.weight_files import random_arrays, read_all, refused, timm_arrays

FOUR = [np.zeros(4, np.float32)]
GOOD = mapping({"a": tensor(hostile_pickles.GOOD, 0, (2, 2), (2, 1))})
LAYOUTS = pytest.mark.parametrize("layout", ["legacy", "zip"])


def write(path, layout, value, arrays=FOUR):
    if layout == "zip":
        return torch_writer.write_zip(path, value, arrays)
    path.write_bytes(torch_writer.legacy(value, arrays))
    return path


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No look for the network that a file is of, among all that there are."""
    monkeypatch.setattr(matching, "VARIANTS", {})


@LAYOUTS
@pytest.mark.parametrize("family", ["calls", "tensors", "persistent_ids"])
def test_hostile_pickles_are_refused_and_nothing_is_run(
    layout, family, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    for i, (_, opcodes) in enumerate(getattr(hostile_pickles, family)()):
        value = mapping({"a": opcodes})
        refused(write(tmp_path / f"{i}", layout, value), "PyTorch")
    assert not (tmp_path / "unpickled").exists()


def test_no_size_that_is_claimed_is_reserved(tmp_path, monkeypatch):
    monkeypatch.setattr(torch_pickles, "_MAX_OPCODES", 10_000)
    for i, (_, opcodes) in enumerate(hostile_pickles.sizes(20_000)):
        refused(write(tmp_path / f"{i}", "legacy", opcodes), "PyTorch")


def test_deep_and_endless_values(tmp_path):
    for i, (_, opcodes) in enumerate(hostile_pickles.recursion(10_000)):
        refused(write(tmp_path / f"{i}", "legacy", opcodes), "PyTorch")


def test_nonsense(tmp_path):
    for i, (_, opcodes) in enumerate(hostile_pickles.nonsense()):
        refused(write(tmp_path / f"{i}", "legacy", opcodes), "PyTorch")


@LAYOUTS
def test_functions_are_named(layout, tmp_path):
    for name in ("posix system", "builtins eval"):
        opcodes = f"c{name.replace(' ', chr(10))}\n".encode() + b")R"
        path = write(tmp_path / "a", layout, opcodes)
        named = name.replace(" ", r"\.")
        refused(path, rf"names '{named}'.* could run any program.*state_dict\(\), FILE")


def test_whole_networks_are_refused_by_their_class(tmp_path):
    opcodes = b"ctimm.models.efficientnet\nEfficientNet\n)\x81"
    refused(write(tmp_path / "a", "zip", opcodes), r"names 'timm\.models\.efficientnet")


@LAYOUTS
def test_arrays_beyond_their_storage(layout, tmp_path):
    beyond = tensor(hostile_pickles.GOOD, 1, (2, 2), (2, 1))
    path = write(tmp_path / "a", layout, mapping({"a": beyond}))
    refused(path, r"shape \(2, 2\) reaches beyond the 4 elements")


def test_empty_arrays_larger_than_any(tmp_path):
    empty = tensor(hostile_pickles.GOOD, 0, (0, 1 << 62), (1, 1))
    path = write(tmp_path / "a", "legacy", mapping({"a": empty}))
    refused(path, "a tensor has shape")


@LAYOUTS
def test_storages_of_other_sizes_than_claimed(layout, tmp_path):
    value = mapping({"a": tensor(storage("0", "FloatStorage", 5), 0, (5,), (1,))})
    path = write(tmp_path / "a", layout, value)
    refused(path, "storage '0' claims 20 bytes and has 16")


@LAYOUTS
def test_storages_that_are_not_there(layout, tmp_path):
    value = mapping({"a": tensor(storage("7", "FloatStorage", 4), 0, (4,), (1,))})
    message = "list of storages names others|storage '7' is missing"
    refused(write(tmp_path / "a", layout, value), message)


@LAYOUTS
@pytest.mark.parametrize("value", [b"N", b"]", b"}", mapping({"epoch": b"K\x01"})])
def test_without_a_state_dict(layout, value, tmp_path):
    path = write(tmp_path / "a", layout, value, [])
    refused(path, r"not of a state dict.*torch\.save\(model\.state_dict\(\), FILE\)")


@pytest.fixture(scope="module")
def good():
    return timm_arrays(random_arrays())


@LAYOUTS
@pytest.mark.parametrize("share", [0.0001, 0.01, 0.3, 0.97, 0.99999])
def test_truncated(layout, share, good, tmp_path):
    value = mapping(torch_writer.tensors(good))
    path = write(tmp_path / "a", layout, value, list(good.values()))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    refused(path, "truncated or damaged|unknown format")


def test_flipped_bits_of_an_array_in_an_archive(good, tmp_path):
    value = mapping(torch_writer.tensors(good))
    path = write(tmp_path / "a", "zip", value, list(good.values()))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    refused(path, "a checksum does not match")


def archive(path, change=None, **members):
    """An archive of a good pickle, or of other members; `change` is of its bytes."""
    members = {
        "a/data.pkl": torch_writer.pickled(GOOD),
        "a/data/0": bytes(16),
        **members,
    }
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    if change:
        path.write_bytes(change(path.read_bytes()))
    return path


def test_the_archive_is_good_else(tmp_path):
    refused(archive(tmp_path / "a"), "Missing: stem_conv")


def test_two_pickles(tmp_path):
    path = archive(tmp_path / "a", **{"b/data.pkl": b""})
    refused(path, "with 2 pickles. Expected one")


def test_paths_out_of_the_archive_lead_nowhere(tmp_path):
    value = mapping({"a": tensor(storage("../../b", "FloatStorage", 4), 0, (4,), (1,))})
    (tmp_path / "b").write_bytes(bytes(16))
    names = {"a/data.pkl": torch_writer.pickled(value), "a/data/../../c": bytes(16)}
    refused(archive(tmp_path / "a", **names), r"storage '\.\./\.\./b' is missing")


def test_compressed_members(tmp_path):
    zeros = np.zeros(30_000_000, np.float32)
    value = mapping(
        {"a": tensor(storage("0", "FloatStorage", 30_000_000), 0, (1,), (1,))}
    )
    path = torch_writer.write_zip(tmp_path / "a", value, [zeros], compression=8)
    assert path.stat().st_size < 1 << 20
    refused(path, "is compressed or encrypted")


@pytest.mark.parametrize(
    "change, match",
    [
        (lambda x: x.replace(b"PK\x03\x04", b"PK\x03\x05"), "unknown|not where it"),
        (lambda x: x[:4] + x[4:].replace(b"PK\x03\x04", b"PK\x03\x05"), "not where it"),
        (lambda x: x.replace(b"\x14\x03\x14\0\0", b"\x14\x03\x14\0\1"), "encrypted"),
        (lambda x: x.replace(b"data.pkl", b"data\xffpkl"), "no |damaged"),
        (lambda x: x[:-6] + b"\xff\xff\xff\x7f" + x[-2:], "damaged|not where it"),
    ],
)  # fmt: skip
def test_archives_whose_parts_disagree(change, match, tmp_path):
    refused(archive(tmp_path / "a", change), match)


def test_a_list_of_very_many_members(tmp_path):
    with zipfile.ZipFile(tmp_path / "a", "w") as file:
        for i in range(50):
            file.writestr(f"{i}" + "x" * 50_000, b"")
    refused(tmp_path / "a", "list of members claims")


def test_legacy_lists_of_storages(tmp_path):
    start = torch_writer.legacy(GOOD, FOUR)
    keys = torch_writer.pickled(b"](" + torch_writer.text("0") + b"e")
    assert start.count(keys) == 1
    data = start.partition(keys)[2]
    for other in (b"N", b"](K\x01e", b"](" + torch_writer.text("0") * 2 + b"e", b"]"):
        head = start.partition(keys)[0] + torch_writer.pickled(other)
        (tmp_path / "a").write_bytes(head + data)
        refused(tmp_path / "a", "list of storages")
    for count in (-1, 5, 1 << 62):
        broken = start.partition(keys)[0] + keys + struct.pack("<q", count) + data[8:]
        (tmp_path / "a").write_bytes(broken)
        refused(tmp_path / "a", r"claims 16 bytes and has [\d,]+")


def test_another_version_of_the_legacy_layout(tmp_path):
    content = torch_writer.legacy(GOOD, FOUR)
    version = torch_writer.pickled(b"M\xe9\x03")
    assert content.count(version) == 1
    (tmp_path / "a").write_bytes(content.replace(version, version[:-2] + b"\x04."))
    refused(tmp_path / "a", "its version is not 1001")


def test_a_file_that_is_cut_while_it_is_open(tmp_path):
    arrays = {"a": np.zeros((200, 200), np.float32)}  # More than is read ahead.
    path = torch_writer.write_legacy(tmp_path / "a", arrays)
    with readers.open_arrays(path) as arrays:
        os.truncate(path, path.stat().st_size - 1)
        with pytest.raises(ValueError, match="a is a truncated .*: it ends within a"):
            arrays.read("a")


def test_python_is_not_asked_to_unpickle(good, tmp_path, monkeypatch):
    for name in ("load", "loads", "Unpickler", "_Unpickler"):
        monkeypatch.delattr(pickle, name)
    value = mapping(torch_writer.tensors(good))
    for layout in ("legacy", "zip"):
        path = write(tmp_path / layout, layout, value, list(good.values()))
        assert len(read_all(path)[0]) > 100

"""State dicts of PyTorch, in both layouts, from any of three packages."""

import dataclasses

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from keras_effnetv2.networks.variants import get_variant
from keras_effnetv2.weights import names
from keras_effnetv2.weights.files import readers
from tests.tiny_networks import tiny
from tests.weights import torch_writer
from tests.weights.weight_files import (
    CLASSES,
    TINY,
    assert_equal,
    random_arrays,
    read_all,
    timm_arrays,
)

V1 = tiny("tiny-v1b0")


def write(path, layout, arrays, value=None):
    """A state dict; or another object of opcodes with its arrays."""
    if value is None:
        value = torch_writer.mapping(torch_writer.tensors(arrays))
    if layout == "zip":
        return torch_writer.write_zip(path, value, arrays.values())
    path.write_bytes(torch_writer.legacy(value, list(arrays.values())))
    return path


def of(naming, variant):
    """The variant as those who name arrays so have it."""
    padding = "symmetric" if naming == names.TORCHVISION else "same"
    return dataclasses.replace(variant, padding=padding)


LAYOUTS = pytest.mark.parametrize("layout", ["legacy", "zip"])


@LAYOUTS
@pytest.mark.parametrize("naming", names.PYTORCH)
@pytest.mark.parametrize("variant", [TINY, V1], ids=["V2", "V1"])
def test_every_naming_in_every_layout(layout, naming, variant, tmp_path):
    variant = of(naming, variant)
    arrays = random_arrays(variant)
    path = write(tmp_path / "a.bin", layout, timm_arrays(arrays, variant, naming))
    found, source = read_all(path, variant)
    assert source.format == f"{naming}, PyTorch state dict"
    assert source.num_classes == CLASSES
    assert_equal(found, arrays)


@pytest.mark.parametrize("naming", names.PYTORCH)
def test_every_naming_in_safetensors(naming, tmp_path):
    arrays = random_arrays()
    save_file(timm_arrays(arrays, naming=naming), tmp_path / "a")
    assert_equal(read_all(tmp_path / "a", of(naming, TINY))[0], arrays)


def test_torchvision_pads_otherwise_and_the_error_says_so(tmp_path):
    """Else its arrays would fit, and give other numbers."""
    variant = get_variant("efficientnet-b0-torchvision")
    shapes = names.canonical_shapes(variant, CLASSES)
    arrays = {name: np.zeros(shape, np.float16) for name, shape in shapes.items()}
    raw = timm_arrays(arrays, variant, names.TORCHVISION)
    path = write(tmp_path / "a", "zip", raw)
    with pytest.raises(ValueError, match="It fits 'efficientnet-b0-torchvision'"):
        read_all(path, get_variant("efficientnet-b0"))


@LAYOUTS
@pytest.mark.parametrize("wrapper", ["", "module.", "_orig_mod.", "module._orig_mod."])
@pytest.mark.parametrize("place", [None, "state_dict", "model", "model_ema"])
def test_what_training_scripts_write(layout, wrapper, place, tmp_path):
    arrays = random_arrays()
    raw = {f"{wrapper}{k}": x for k, x in timm_arrays(arrays).items()}
    raw |= {"n_averaged": np.array(7)} if place == "model_ema" else {}
    value = torch_writer.mapping(torch_writer.tensors(raw))
    if place:
        other = b"cargparse\nNamespace\n)\x81}" + torch_writer.text("lr") + b"K\x01sb"
        epoch = torch_writer.integer(90)
        value = torch_writer.mapping({"args": other, "epoch": epoch, place: value})
    assert_equal(read_all(write(tmp_path / "a", layout, raw, value))[0], arrays)


@LAYOUTS
def test_moving_averages_come_first(layout, tmp_path):
    arrays = timm_arrays(random_arrays())
    averages = {name: x + 1 for name, x in arrays.items()}
    both = {f"model/{k}": x for k, x in arrays.items()}
    both |= {f"averages/{k}": x for k, x in averages.items()}
    opcodes = torch_writer.tensors(both)

    def part(start):
        found = {k: x for k, x in opcodes.items() if k.startswith(start)}
        return torch_writer.mapping(
            {k.removeprefix(start): x for k, x in found.items()}
        )

    value = {"model": part("model/"), "model_ema": part("averages/")}
    path = write(tmp_path / "a", layout, both, torch_writer.mapping(value))
    found, _ = read_all(path)
    np.testing.assert_array_equal(
        found["predictions/bias"], averages["classifier.bias"]
    )


@LAYOUTS
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_other_precisions_become_float32(layout, dtype, tmp_path):
    arrays = {name: x.astype(dtype) for name, x in random_arrays().items()}
    found, _ = read_all(write(tmp_path / "a", layout, timm_arrays(arrays)))
    assert_equal(found, {name: x.astype(np.float32) for name, x in arrays.items()})


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16])
def test_big_endian_archive(dtype, tmp_path):
    arrays = {name: x.astype(dtype) for name, x in random_arrays().items()}
    raw = timm_arrays(arrays)
    value = torch_writer.mapping(torch_writer.tensors(raw))
    torch_writer.write_zip(tmp_path / "a", value, raw.values(), "big")
    found, _ = read_all(tmp_path / "a")
    assert_equal(found, {name: x.astype(np.float32) for name, x in arrays.items()})


def views(layout, tmp_path):
    """Arrays that share a storage of 0 to 11: a row, a transposed one, every second."""
    shared = torch_writer.storage("0", "FloatStorage", 12)
    value = {
        "whole": torch_writer.tensor(shared, 0, (3, 4), (4, 1)),
        "row": torch_writer.tensor(shared, 4, (4,), (1,)),
        "transposed": torch_writer.tensor(shared, 0, (4, 3), (1, 4)),
        "strided": torch_writer.tensor(shared, 1, (5,), (2,)),
        "scalar": torch_writer.tensor(shared, 11, (), ()),
        "empty": torch_writer.tensor(shared, 12, (0, 5), (5, 1)),
        "parameter": (
            b"ctorch._utils\n_rebuild_parameter\n("
            + torch_writer.tensor(shared, 2, (1,), (1,))
            + b"\x88"
            + torch_writer.ORDERED_DICT
            + b"tR"
        ),
    }
    data = {"shared": np.arange(12, dtype=np.float32)}
    return write(tmp_path / "a", layout, data, torch_writer.mapping(value))


@LAYOUTS
def test_views_of_a_shared_storage(layout, tmp_path):
    with readers.open_arrays(views(layout, tmp_path)) as arrays:
        found = {name: arrays.read(name).tolist() for name in arrays.shapes}
        assert all(arrays.read(x).shape == arrays.shapes[x] for x in arrays.shapes)
    whole = np.arange(12).reshape(3, 4)
    assert found == {
        "whole": whole.tolist(),
        "row": [4, 5, 6, 7],
        "transposed": whole.T.tolist(),
        "strided": [1, 3, 5, 7, 9],
        "scalar": 11,
        "empty": [],
        "parameter": [2],
    }


@LAYOUTS
def test_integers_are_no_weights(layout, tmp_path):
    arrays = timm_arrays(random_arrays())
    arrays["bn1.weight"] = arrays["bn1.weight"].astype(np.int64)
    path = write(tmp_path / "a", layout, arrays)
    with pytest.raises(ValueError, match=r"bn1\.weight should hold floating-point num"):
        read_all(path)

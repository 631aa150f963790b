"""Every public layout is read, and gives the same arrays."""

import io
import pathlib
import shutil
import tarfile

import h5py
import keras
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from keras_effnetv2.networks.variants import get_variant
from keras_effnetv2.weights import names
from tests.tiny_networks import TINY as REFERENCE_NAMES
from tests.tiny_networks import tiny
from tests.weights.weight_files import (
    CLASSES,
    TINY,
    assert_equal,
    checkpoint_variables,
    random_arrays,
    read_all,
    timm_arrays,
    write_checkpoint,
    write_keras_2,
    write_timm,
)

V1 = tiny("tiny-v1b0")


@pytest.mark.parametrize("name", REFERENCE_NAMES)
def test_official_checkpoints_agree(reference, name):
    variant = tiny(name)
    raw, objects = read_all(reference / f"checkpoints/{name}-tf2.tgz", variant)
    averages, released = read_all(reference / f"checkpoints/{name}.tgz", variant)
    trained, _ = read_all(reference / f"checkpoints/{name}-train.tgz", variant)
    assert objects.format == "google/automl objects, TensorFlow checkpoint"
    assert released.format == "google/automl, TensorFlow checkpoint"
    assert objects.num_classes == released.num_classes == CLASSES
    assert objects.shapes == names.canonical_shapes(variant, CLASSES)
    assert_equal(trained, averages)
    # The reference draws averages apart from the raw values, so taking one for the
    # other would show.
    assert not any(np.array_equal(raw[key], averages[key]) for key in raw)


@pytest.mark.parametrize("name", REFERENCE_NAMES)
def test_raw_values_are_under_the_same_names(reference, name, tmp_path):
    """The name-based layout without averages gives what the object-based one does."""
    import tensorflow as tf

    variant = tiny(name)
    expected, _ = read_all(reference / f"checkpoints/{name}-tf2.tgz", variant)
    with tarfile.open(reference / f"checkpoints/{name}.tgz") as archive:
        archive.extractall(tmp_path, filter="data")
    reader = tf.train.load_checkpoint(str(tmp_path / name))
    raw = {
        key: reader.get_tensor(key)
        for key in reader.get_variable_to_shape_map()
        if "ExponentialMovingAverage" not in key
    }
    found, _ = read_all(write_checkpoint(tmp_path / "raw" / "model", raw), variant)
    assert_equal(found, expected)


def test_b0_is_the_same_from_three_publishers(reference):
    variant = get_variant("efficientnetv2-b0")
    official, _ = read_all(reference / "checkpoints/efficientnetv2-b0-tf2.tgz", variant)
    hosted, keras_2 = read_all(reference / "keras_h5/efficientnetv2-b0.h5", variant)
    timm, torch = read_all(reference / "timm/tf_efficientnetv2_b0.safetensors", variant)
    assert keras_2.format == "keras.applications, HDF5 (Keras 2)"
    assert torch.format == "timm, safetensors"
    assert torch.shapes == names.canonical_shapes(variant, 1000)
    assert_equal(hosted, official)
    assert_equal(timm, official)


@pytest.mark.parametrize(
    "naming", [names.APPLICATIONS, names.SEBASTIAN_SZ, names.LEONDGARSE]
)
@pytest.mark.parametrize("whole_model", [False, True])
def test_keras_2_namings_of_v2(naming, whole_model, tmp_path):
    arrays = random_arrays()
    path = tmp_path / "weights.h5"
    write_keras_2(path, arrays, naming, whole_model=whole_model)
    found, source = read_all(path)
    assert source.format.startswith(f"{naming}, HDF5 (Keras 2")
    assert source.num_classes == CLASSES
    assert_equal(found, arrays)


@pytest.mark.parametrize("naming", [names.APPLICATIONS_V1, names.LEONDGARSE])
def test_keras_2_namings_of_v1_without_classifier(naming, tmp_path):
    arrays = random_arrays(V1, None)
    path = write_keras_2(tmp_path / "notop.h5", arrays, naming, V1)
    found, source = read_all(path, V1)
    assert source.format.startswith(naming)
    assert source.num_classes is None
    assert_equal(found, arrays)


def test_keras_2_layers_in_scopes_of_other_names(tmp_path):
    arrays = random_arrays()
    file_names = names.file_names(TINY, names.APPLICATIONS)
    with h5py.File(tmp_path / "scopes.h5", "w") as file:
        file.attrs["layer_names"] = []
        for name, array in arrays.items():
            layer, variable = file_names[name].split("/")
            file[f"{layer}/outer/inner/{variable}:0"] = array
    assert_equal(read_all(tmp_path / "scopes.h5")[0], arrays)


def test_a_network_as_a_layer_of_a_keras_2_model(tmp_path):
    arrays = random_arrays()
    body = {x: y for x, y in arrays.items() if not x.startswith("predictions")}
    file_names = names.file_names(TINY, names.APPLICATIONS)
    with h5py.File(tmp_path / "nested.h5", "w") as file:
        file.attrs["layer_names"] = ["network", "dense"]
        for name, array in body.items():
            file[f"network/{file_names[name]}:0"] = array
        file["dense/dense/kernel:0"] = np.zeros((8, 3))
    found, source = read_all(tmp_path / "nested.h5")
    assert_equal(found, body)
    assert source.around == ("dense",)


def test_statistics_of_pixels_are_left_alone(tmp_path):
    arrays = random_arrays()
    statistics = [
        ("normalization_1", "mean", np.zeros(3)),
        ("normalization_1", "variance", np.ones(3)),
        ("normalization_1", "count", np.array(0)),
    ]
    path = tmp_path / "weights.h5"
    write_keras_2(path, arrays, names.APPLICATIONS, extra=statistics)
    assert_equal(read_all(path)[0], arrays)


def test_v1_model_of_keras_applications(tmp_path):
    """Saved by Keras 3 in the layout of Keras 2, with its statistics of pixels."""
    model = keras.applications.EfficientNetB0(weights=None, classes=CLASSES)
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=x.shape) for x in model.get_weights()])
    model.save(tmp_path / "model.h5")
    found, source = read_all(tmp_path / "model.h5", get_variant("efficientnet-b0"))
    assert source.format == "keras.applications V1, HDF5 (Keras 2 model)"
    expected = {
        f"{layer.name}/{variable.name}": array
        for layer in model.layers
        if not isinstance(layer, keras.layers.Normalization)  # Numbered by process.
        for variable, array in zip(layer.weights, layer.get_weights(), strict=True)
    }
    joined = {}
    for name, array in found.items():
        layer, _, variable = name.replace("dwconv2", "dwconv").rpartition("/")
        joined[f"{layer.replace('/', '_')}/{variable}"] = array
    assert_equal(joined, expected)


@pytest.mark.parametrize("variant", [TINY, V1], ids=["V2", "V1"])
def test_timm(variant, tmp_path):
    arrays = random_arrays(variant)
    found, _ = read_all(write_timm(tmp_path / "a", arrays, variant), variant)
    assert_equal(found, arrays)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_half_precision_becomes_float32(dtype, tmp_path):
    arrays = {name: x.astype(dtype) for name, x in random_arrays().items()}
    save_file(timm_arrays(arrays), tmp_path / "model.safetensors")
    found, _ = read_all(tmp_path / "model.safetensors")
    assert_equal(found, {name: x.astype(np.float32) for name, x in arrays.items()})


def test_bfloat16_in_hdf5(tmp_path):
    keras.config.set_dtype_policy("bfloat16")
    try:
        from keras_effnetv2.models import create_model

        model = create_model(TINY, classes=CLASSES)
    finally:
        keras.config.set_dtype_policy("float32")
    model.save_weights(tmp_path / "a.weights.h5")
    with h5py.File(tmp_path / "a.weights.h5") as file:
        assert file["layers/conv2d/vars/0"].attrs["dtype"] == "bfloat16"
    found, _ = read_all(tmp_path / "a.weights.h5")
    kernel = model.get_layer("stem_conv").kernel
    stem = keras.ops.convert_to_numpy(keras.ops.cast(kernel, "float32"))
    np.testing.assert_array_equal(found["stem_conv/kernel"], stem)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A folder with one checkpoint, and its arrays."""
    arrays = random_arrays()
    prefix = tmp_path_factory.mktemp("run") / "trained" / "model.ckpt-5"
    variables = checkpoint_variables(arrays, prefix="a-name-of-its-own")
    kernel = "a-name-of-its-own/stem/conv2d/kernel"
    slots = {
        "global_step": np.array(5, np.int64),
        "loss_scale": np.float32(1),
        f"{kernel}/RMSProp": variables[kernel] + 1,
        f"{kernel}/Momentum": variables[kernel] + 2,
    }
    write_checkpoint(prefix, variables | slots)
    return prefix, arrays


@pytest.mark.parametrize("form", ["prefix", "index", "folder", "parent"])
def test_unpacked_checkpoint(checkpoint, form):
    prefix, arrays = checkpoint
    path = {
        "prefix": prefix,
        "index": prefix.with_name("model.ckpt-5.index"),
        "folder": prefix.parent,
        "parent": prefix.parent.parent,
    }[form]
    assert_equal(read_all(path)[0], arrays)


def test_record_of_the_latest_checkpoint_decides(checkpoint, tmp_path):
    prefix, arrays = checkpoint
    for piece in prefix.parent.glob("model*"):
        for number in ("5", "6"):
            shutil.copy(piece, tmp_path / piece.name.replace("-5", f"-{number}", 1))
    with pytest.raises(ValueError, match=r"several checkpoints: model.ckpt-5, model"):
        read_all(tmp_path)
    record = 'model_checkpoint_path: "/gone/since/model.ckpt-6"\n'
    (tmp_path / "checkpoint").write_text(record)
    assert_equal(read_all(tmp_path)[0], arrays)


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_archive_with_hidden_files_of_macos(checkpoint, mode, tmp_path):
    prefix, arrays = checkpoint
    path = tmp_path / "weights.bin"  # The name does not matter.
    with tarfile.open(path, mode) as archive:
        for piece in sorted(prefix.parent.glob("model*")):
            hidden = tarfile.TarInfo(f"some/._{piece.name}")
            hidden.size = 3
            archive.addfile(hidden, io.BytesIO(b"mac"))
            archive.add(piece, f"some/{piece.name}")
    assert_equal(read_all(path)[0], arrays)


def test_nothing_stays_in_the_temporary_folder(reference, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    read_all(reference / "checkpoints/tiny-b0.tgz", tiny("tiny-b0"))
    assert list(pathlib.Path(tmp_path).iterdir()) == []

"""Small weight files in every public layout, written on the spot."""

import tracemalloc

import h5py
import numpy as np
import pytest
from safetensors.numpy import save_file

from keras_effnetv2.weights import names
from keras_effnetv2.weights.loading import open_weights
from tests.tiny_networks import tiny

TINY = tiny("tiny-b0")
CLASSES = 10


def random_arrays(variant=TINY, num_classes=CLASSES, input_channels=3):
    rng = np.random.default_rng(0)
    shapes = names.canonical_shapes(variant, num_classes, input_channels)
    return {
        name: rng.normal(size=shape).astype(np.float32)
        for name, shape in shapes.items()
    }


def read_all(path, variant=TINY):
    """Everything in a file by our names, and what the file says of itself."""
    with open_weights(path, variant) as source:
        arrays = {name: source.read(name) for name in source.shapes}
        return arrays, source


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def write_keras_2(path, arrays, naming, variant=TINY, whole_model=False, extra=()):
    """A legacy HDF5 file; `extra` are more (layer, variable, array)."""
    file_names = names.file_names(variant, naming)
    rows = [(*file_names[name].split("/"), array) for name, array in arrays.items()]
    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights") if whole_model else file
        root.attrs["layer_names"] = sorted({row[0] for row in rows})
        root.create_group("top_activation")  # Layers without weights are there too.
        for layer, variable, array in [*rows, *extra]:
            if layer.endswith(("dwconv", "dwconv2", "MB_dw_")):
                variable = f"depthwise_{variable}"
            root[f"{layer}/{layer}/{variable}:0"] = array
        if whole_model:
            file["optimizer_weights/adam/m:0"] = np.zeros(3)
    return path


def timm_arrays(arrays, variant=TINY, naming=names.TIMM):
    """As PyTorch has them: by timm's names, kernels with their axes its way."""
    found = {}
    for name, file_name in names.file_names(variant, naming).items():
        if name not in arrays:
            continue
        array = arrays[name]
        if name.endswith("dwconv2/kernel"):
            array = np.einsum("hwcm->cmhw", array)
        elif array.ndim == 4:
            array = np.einsum("hwio->oihw", array)
        elif array.ndim == 2:
            array = array.T
        found[file_name] = np.ascontiguousarray(array)
        if file_name.endswith("running_var"):
            batches = file_name.replace("running_var", "num_batches_tracked")
            found[batches] = np.array(7)
    return found


def write_timm(path, arrays, variant=TINY):
    save_file(timm_arrays(arrays, variant), path)
    return path


def write_checkpoint(prefix, variables):
    """A name-based TensorFlow checkpoint."""
    import tensorflow as tf

    prefix.parent.mkdir(exist_ok=True)
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=list(variables),
        shape_and_slices=[""] * len(variables),
        tensors=[tf.constant(x) for x in variables.values()],
    )
    return prefix


def checkpoint_variables(arrays, variant=TINY, prefix="some-model"):
    file_names = names.file_names(variant, names.CHECKPOINT)
    return {f"{prefix}/{file_names[name]}": array for name, array in arrays.items()}


def refused(path, match, most_bytes=32 << 20):
    """`path` is refused, and named, in little memory."""
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=match) as error:
            read_all(path)
        assert tracemalloc.get_traced_memory()[1] < most_bytes
    finally:
        tracemalloc.stop()
    assert str(path) in str(error.value)

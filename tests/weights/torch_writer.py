"""State dicts in both layouts of `torch.save`, written without PyTorch."""

import struct
import zipfile

import numpy as np

STORAGES = {
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "bfloat16": "BFloat16Storage",
    "float64": "DoubleStorage",
    "int64": "LongStorage",
}
_MAGIC = bytes.fromhex("80028a0a6cfc9c46f9206aa850192e")
# Version 1001, then what the machine was.
_HEAD = _MAGIC + b"\x80\x02M\xe9\x03." + b"\x80\x02}."
ORDERED_DICT = b"ccollections\nOrderedDict\n)R"


def text(value):
    encoded = value.encode()
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def integer(value):
    size = value.bit_length() // 8 + 1
    return b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)


def integers(values):
    return b"(" + b"".join(map(integer, values)) + b"t"


def storage(key, kind, count):
    name = f"ctorch\n{kind}\n".encode()
    parts = text("storage"), name, text(key), text("cpu"), integer(count), b"N"
    return b"(" + b"".join(parts) + b"tQ"


def tensor(storage, offset, shape, strides):
    parts = storage, integer(offset), integers(shape), integers(strides)
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n("
        + b"".join(parts)
        + b"\x89"
        + ORDERED_DICT
        + b"tR"
    )


def mapping(items):
    """Opcodes of a dictionary of names to opcodes."""
    return b"}(" + b"".join(text(name) + x for name, x in items.items()) + b"u"


def pickled(value):
    return b"\x80\x02" + value + b"."


def tensors(arrays):
    """Opcodes of contiguous arrays, each with a storage of its own, by name."""
    found = {}
    for i, (name, array) in enumerate(arrays.items()):
        strides = [x // array.itemsize for x in array.strides]
        own = storage(str(i), STORAGES[array.dtype.name], array.size)
        found[name] = tensor(own, 0, array.shape, strides)
    return found


def legacy(value, arrays):
    """A file's content: opcodes of an object, and the arrays of its storages."""
    keys = b"](" + b"".join(text(str(i)) for i in range(len(arrays))) + b"e"
    data = (struct.pack("<q", x.size) + x.tobytes() for x in arrays)
    return _HEAD + pickled(value) + pickled(keys) + b"".join(data)


def write_legacy(path, arrays):
    value = mapping(tensors(arrays))
    path.write_bytes(legacy(value, [np.ascontiguousarray(x) for x in arrays.values()]))
    return path


def write_zip(path, value, arrays, byteorder="little", compression=0):
    """An archive of the opcodes of an object, and the arrays of its storages."""
    order = {"little": "<", "big": ">"}[byteorder]
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickled(value))
        archive.writestr("archive/byteorder", byteorder)
        for i, array in enumerate(arrays):
            swapped = array.view(f"u{array.itemsize}").astype(
                f"{order}u{array.itemsize}"
            )
            archive.writestr(f"archive/data/{i}", swapped.tobytes())
    return path

"""TFLite Metadata, read by the numbers of the schema."""

import struct
import zipfile

import flatbuffers
import pytest
from flatbuffers import number_types as types
from tensorflow.lite.tools import flatbuffer_utils

from keras_effnetv2 import export
from tests.export import micro
from tests.export.conftest import LABELS

interpreter = pytest.importorskip("ai_edge_litert.interpreter")


@pytest.fixture(scope="module")
def classifier():
    return micro.classifier(len(LABELS), 48, LABELS)


@pytest.fixture(scope="module")
def path(classifier, tmp_path_factory):
    return write(classifier, tmp_path_factory.mktemp("lite") / "shop")


def write(model, folder):
    export.litert(model, folder, formats=["float32"], fold=False, logits=True)
    return folder / "float32.tflite"


class Reader:
    """A table of a FlatBuffer, whose fields are read by their slots."""

    def __init__(self, data, place):
        self.table = flatbuffers.table.Table(data, place)

    @classmethod
    def root(cls, data):
        (place,) = struct.unpack_from("<I", data)
        return cls(data, place)

    def _place(self, slot):
        offset = self.table.Offset(4 + 2 * slot)
        return offset and offset + self.table.Pos

    def text(self, slot):
        place = self._place(slot)
        return place and self.table.String(place).decode()

    def scalar(self, slot, flags):
        return self.table.Get(flags, self._place(slot))

    def child(self, slot):
        place = self._place(slot)
        return Reader(self.table.Bytes, self.table.Indirect(place))

    def children(self, slot):
        first, num = self._vector(slot)
        places = [self.table.Indirect(first + 4 * i) for i in range(num)]
        return [Reader(self.table.Bytes, place) for place in places]

    def floats(self, slot):
        first, num = self._vector(slot)
        return [self.table.Get(types.Float32Flags, first + 4 * i) for i in range(num)]

    def _vector(self, slot):
        offset = self.table.Offset(4 + 2 * slot)
        if not offset:
            return 0, 0
        return self.table.Vector(offset), self.table.VectorLen(offset)


def metadata(path):
    model = flatbuffer_utils.convert_bytearray_to_object(path.read_bytes())
    (entry,) = [x for x in model.metadata if x.name == b"TFLITE_METADATA"]
    return bytes(model.buffers[entry.buffer].data)


def test_the_model_says_what_it_takes(classifier, path):
    data = metadata(path)
    assert data[4:8] == b"M001"
    model = Reader.root(data)
    assert model.text(0) == classifier.name
    assert "7 classes" in model.text(1) and model.text(7) == "1.0.0"
    (graph,) = model.children(3)
    (images,) = graph.children(2)
    assert images.text(0) == "images"
    content = images.child(3)
    assert content.scalar(0, types.Uint8Flags) == 2  # ImageProperties.
    properties = content.child(1)
    assert properties.scalar(0, types.Int8Flags) == 1  # RGB.
    sides = [properties.child(1).scalar(i, types.Uint32Flags) for i in range(2)]
    assert sides == [48, 48]
    (unit,) = images.children(4)
    assert unit.scalar(0, types.Uint8Flags) == 1  # NormalizationOptions.
    assert (unit.child(1).floats(0), unit.child(1).floats(1)) == ([0.0], [1.0])
    assert (images.child(5).floats(0), images.child(5).floats(1)) == ([255.0], [0.0])


def test_the_outputs_are_in_the_models_order_and_have_labels(path):
    (graph,) = Reader.root(metadata(path)).children(3)
    outputs = graph.children(3)
    model = flatbuffer_utils.convert_bytearray_to_object(path.read_bytes())
    names = {x.tensorIndex: x.name.decode() for x in model.signatureDefs[0].outputs}
    order = [names[index] for index in model.subgraphs[0].outputs]
    assert [x.text(0) for x in outputs] == order
    assert {*order} == {"logits", "probabilities"}
    for output in outputs:
        (file,) = output.children(6)
        assert file.text(0) == "labels.txt"
        assert file.scalar(2, types.Int8Flags) == 2  # TENSOR_AXIS_LABELS.


def test_the_labels_are_in_the_model(path):
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["labels.txt"]
        assert archive.read("labels.txt").decode().split() == list(LABELS)


def test_the_model_still_runs(path, images):
    for model in ({"model_path": str(path)}, {"model_content": path.read_bytes()}):
        runner = interpreter.Interpreter(**model).get_signature_runner()
        found = runner(images=images[:1])
        assert found["probabilities"].shape == (1, len(LABELS))


def test_equal_models_are_equal_files(classifier, path, tmp_path):
    again = write(classifier, tmp_path / "again")
    assert again.read_bytes() == path.read_bytes()

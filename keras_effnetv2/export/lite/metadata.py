"""Metadata of a LiteRT model: its inputs, outputs and classes.

The format is TFLite Metadata, read by Android's tools: a FlatBuffer in the model, and
the label file in a ZIP after it. Schema 1.1.0:
https://github.com/tensorflow/tflite-support, metadata/metadata_schema.fbs.
"""

import pathlib
import zipfile
from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
from tensorflow.lite.tools import flatbuffer_utils

from keras_effnetv2.export.classifier import Classifier
from keras_effnetv2.export.label_files import LABELS, label_text
from keras_effnetv2.private_apis import lite_schema

_ENTRY = b"TFLITE_METADATA"
_IDENTIFIER = b"M001"
_PARSER_VERSION = "1.0.0"  # The oldest one that knows all these fields.

# Table -> its fields by number in the schema; a union takes two.
_FIELDS = {
    "ModelMetadata": (
        "name", "description", "version", "subgraph_metadata", "author", "license",
        "associated_files", "min_parser_version",
    ),
    "SubGraphMetadata": (
        "name", "description", "input_tensor_metadata", "output_tensor_metadata",
    ),
    "TensorMetadata": (
        "name", "description", "dimension_names", "content", "process_units", "stats",
        "associated_files",
    ),
    "Content": ("content_properties_type", "content_properties"),
    "ImageProperties": ("color_space", "default_size"),
    "ImageSize": ("width", "height"),
    "ProcessUnit": ("options_type", "options"),
    "NormalizationOptions": ("mean", "std"),
    "Stats": ("max", "min"),
    "AssociatedFile": ("name", "description", "type", "locale"),
}  # fmt: skip

# Members of the schema's enums and unions.
_COLOR_SPACES = {3: np.int8(1), 1: np.int8(2)}  # By channels: RGB, GRAYSCALE.
_IMAGE_PROPERTIES = np.uint8(2)
_FEATURE_PROPERTIES = np.uint8(1)
_NORMALIZATION_OPTIONS = np.uint8(1)
_TENSOR_AXIS_LABELS = np.int8(2)

# Type of a scalar -> the builder's method for a field of it.
_SCALARS = {
    np.int8: flatbuffers.Builder.PrependInt8Slot,
    np.uint8: flatbuffers.Builder.PrependUint8Slot,
    np.uint32: flatbuffers.Builder.PrependUint32Slot,
}

_Table = tuple[str, dict[str, Any]]


def parse(contents: bytes) -> Any:
    """A LiteRT model as objects of the classes of `lite_schema`, which are untyped."""
    return flatbuffer_utils.convert_bytearray_to_object(contents)


def with_metadata(contents: bytes, classifier: Classifier) -> bytes:
    """A LiteRT model with the description of its tensors."""
    model = parse(contents)
    outputs = {x.tensorIndex: x.name.decode() for x in model.signatureDefs[0].outputs}
    names = [outputs[index] for index in model.subgraphs[0].outputs]
    schema = lite_schema()
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(_serialized(_describe(classifier, names)), "uint8")
    entry = schema.MetadataT()
    entry.name, entry.buffer = _ENTRY, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or ()), entry]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def pack_labels(path: pathlib.Path, labels: Sequence[str] | None) -> None:
    """Appends the label file to a LiteRT model, as a ZIP that engines ignore."""
    if labels:
        with zipfile.ZipFile(path, "a", zipfile.ZIP_STORED) as archive:
            # With a fixed date, so that equal models make equal files.
            archive.writestr(zipfile.ZipInfo(LABELS), label_text(labels))


def _describe(classifier: Classifier, outputs: Sequence[str]) -> _Table:
    size = classifier.preprocessing.image_size
    description = (
        f"Image classifier of {classifier.num_classes} classes. It takes pixels 0..255 "
        f"of {size} x {size} images and normalises them itself."
    )
    graph = {
        "input_tensor_metadata": [_input(size, classifier.input_shape[-1])],
        "output_tensor_metadata": [_output(x, classifier.labels) for x in outputs],
    }
    return "ModelMetadata", {
        "name": classifier.model.name,
        "description": description,
        "subgraph_metadata": [("SubGraphMetadata", graph)],
        "min_parser_version": _PARSER_VERSION,
    }


def _input(size: int, channels: int) -> _Table:
    side = np.uint32(size)
    image = {
        "color_space": _COLOR_SPACES[channels],
        "default_size": ("ImageSize", {"width": side, "height": side}),
    }
    content = {
        "content_properties_type": _IMAGE_PROPERTIES,
        "content_properties": ("ImageProperties", image),
    }
    # Pixels as they are: the model normalises.
    normalization = {"mean": [0.0], "std": [1.0]}
    unit = {
        "options_type": _NORMALIZATION_OPTIONS,
        "options": ("NormalizationOptions", normalization),
    }
    return "TensorMetadata", {
        "name": "images",
        "description": "Pixels 0..255, cropped and resized for evaluation.",
        "content": ("Content", content),
        "process_units": [("ProcessUnit", unit)],
        "stats": ("Stats", {"max": [255.0], "min": [0.0]}),
    }


def _output(name: str, labels: Sequence[str] | None) -> _Table:
    content = {
        "content_properties_type": _FEATURE_PROPERTIES,
        "content_properties": ("FeatureProperties", {}),
    }
    fields = {"name": name, "content": ("Content", content)}
    if name == "probabilities":
        fields["description"] = "Probability of each class."
        fields["stats"] = ("Stats", {"max": [1.0], "min": [0.0]})
    if labels:
        file = {
            "name": LABELS,
            "description": "A name for each class.",
            "type": _TENSOR_AXIS_LABELS,
        }
        fields["associated_files"] = [("AssociatedFile", file)]
    return "TensorMetadata", fields


def _serialized(table: _Table) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(_write(builder, table), file_identifier=_IDENTIFIER)
    return bytes(builder.Output())


def _write(builder: flatbuffers.Builder, value: Any) -> int:
    """Writes a text, a list or a table with its contents; returns its position."""
    if isinstance(value, str):
        return builder.CreateString(value)
    if isinstance(value, list):
        return _write_list(builder, value)
    kind, fields = value
    # The contents of a table come before it.
    places = {
        name: None if type(x) in _SCALARS else _write(builder, x)
        for name, x in fields.items()
    }
    slots = _FIELDS.get(kind, ())
    builder.StartObject(len(slots))
    for name, place in places.items():
        slot = slots.index(name)
        if place is None:
            _SCALARS[type(fields[name])](builder, slot, fields[name], 0)
        else:
            builder.PrependUOffsetTRelativeSlot(slot, place, 0)
    return builder.EndObject()


def _write_list(builder: flatbuffers.Builder, values: list) -> int:
    if isinstance(values[0], float):
        return builder.CreateNumpyVector(np.array(values, "float32"))
    places = [_write(builder, value) for value in values]
    builder.StartVector(4, len(places), 4)
    for place in reversed(places):
        builder.PrependUOffsetTRelative(place)
    return builder.EndVector()

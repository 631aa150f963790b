"""Warm-up requests, which TF Serving runs before it accepts others.

The first request of each shape is slow: memory is allocated, kernels are chosen.
Source: tensorflow/serving, g3doc, `saved_model_warmup.md`.
"""

import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_effnetv2.errors import InputError
from keras_effnetv2.export.checks.roundtrip import sample_images
from keras_effnetv2.export.saved_models import Signatures
from keras_effnetv2.export.tf_serving.server_config import serving_protos

FILE = pathlib.Path("assets.extra", "tf_serving_warmup_requests")

# With more, the server refuses the model: saved_model_warmup_util.cc.
MAX_RECORDS = 1000

# Larger records contain one gray level instead of pictures, which protobuf writes as a
# number.
MAX_RECORD_BYTES = 2**20
_GRAY = 127


def write_warmup(
    folder: pathlib.Path, signatures: Signatures, name: str, batch_sizes: Sequence[int]
) -> None:
    """Adds warm-up requests to a SavedModel: each signature at each batch size.

    Args:
        folder: folder of the SavedModel.
        signatures: its signatures, with pixels of one size.
        name: name of the model on the server.
        batch_sizes: numbers of images per request.

    Raises:
        ValueError: there are more than a server accepts.
    """
    num_records = len(signatures.specs) * len(batch_sizes)
    if num_records > MAX_RECORDS:
        raise InputError(
            f"TF Serving accepts {MAX_RECORDS} warm-up requests. Received: "
            f"{len(signatures.specs)} signatures with {len(batch_sizes)} batch sizes. "
            "Pass fewer allowed_batch_sizes."
        )
    path = folder / FILE
    path.parent.mkdir()
    with tf.io.TFRecordWriter(os.fspath(path)) as writer:
        for request in warmup_requests(signatures, name, batch_sizes):
            writer.write(_log(request).SerializeToString())


def warmup_requests(
    signatures: Signatures, name: str, batch_sizes: Sequence[int]
) -> Iterator[Any]:
    """A `PredictRequest` for each signature and batch size."""
    predict = serving_protos("apis.predict_pb2")
    pictures = _pictures(signatures)
    for signature, specs in signatures.specs.items():
        for size in batch_sizes:
            request = predict.PredictRequest()
            request.model_spec.name = name
            request.model_spec.signature_name = signature
            for key, spec in specs.items():
                batch = _encoded if spec.dtype == tf.string else _pixels
                request.inputs[key].CopyFrom(batch(pictures, spec, size))
            yield request


def _log(request: Any) -> Any:
    log = serving_protos("apis.prediction_log_pb2").PredictionLog()
    log.predict_log.request.CopyFrom(request)
    return log


def _pictures(signatures: Signatures) -> np.ndarray:
    """uint8 `(pictures, height, width, channels)` of the served size."""
    sides = signatures.pixels.shape[1:3]
    resized = tf.image.resize(sample_images(signatures.classifier), sides)
    return np.asarray(resized).round().astype("uint8")


def _pixels(pictures: np.ndarray, spec: tf.TensorSpec, size: int) -> Any:
    """`TensorProto` of a batch of pixels."""
    shape = (size, *spec.shape[1:])
    if np.prod(shape) * spec.dtype.size > MAX_RECORD_BYTES:
        return tf.make_tensor_proto(_GRAY, spec.dtype, shape)
    batch = np.resize(pictures, shape)  # Repeats the pictures.
    return tf.make_tensor_proto(batch.astype(spec.dtype.as_numpy_dtype))


def _encoded(pictures: np.ndarray, spec: tf.TensorSpec, size: int) -> Any:
    """`TensorProto` of a batch of JPEG files."""
    files = [tf.io.encode_jpeg(picture).numpy() for picture in pictures]
    if size * max(map(len, files)) > MAX_RECORD_BYTES:
        files = [tf.io.encode_jpeg(np.full((32, 32, 3), _GRAY, "uint8")).numpy()]
    batch = [files[index % len(files)] for index in range(size)]
    return tf.make_tensor_proto(batch, spec.dtype, (size,))

"""Warm-up requests are what TF Serving reads, and the model answers them."""

import argparse

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from keras_effnetv2 import export
from keras_effnetv2.export.tf_serving import warmup
from tests.export.tf_serving import model_server
from tests.export.tf_serving.goods import SIZES


def replay(base, version):
    """Sends a version its warm-up requests; their signatures and batch sizes."""
    path = base / str(version) / "assets.extra" / "tf_serving_warmup_requests"
    models = model_server.Models(base / "models.config")
    _, loaded = models.find("goods", version)
    for record in tf.data.TFRecordDataset(str(path)):
        assert len(record.numpy()) <= 1.1 * warmup.MAX_RECORD_BYTES
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        request = log.predict_log.request
        assert request.model_spec.name == "goods"
        name = request.model_spec.signature_name
        inputs = {key: tf.make_ndarray(x) for key, x in request.inputs.items()}
        outputs = models.predict(loaded, name, inputs)
        (size,) = {len(x) for x in (*inputs.values(), *outputs.values())}
        assert all(np.isfinite(x).all() for x in outputs.values() if x.dtype != object)
        yield name, size


@pytest.mark.parametrize("version", [1, 2])
def test_warm_up_requests_replay(base, version):
    names = ("classify", "features", "serving_bytes", "serving_default")
    assert sorted(replay(base, version)) == [(x, n) for x in names for n in SIZES]


@pytest.mark.slow
def test_a_network_is_warmed_up_whole(classifier, tmp_path):
    options = {"name": "goods", "server_path": str(tmp_path)}
    served = export.serving(classifier, tmp_path, **options)
    seen = sorted(replay(tmp_path, served.version))
    names = ("classify", "features", "pyramid", "serving_bytes", "serving_default")
    assert seen == [(x, n) for x in names for n in (1, 2, 4, 8, 16)]


def test_large_warm_up_requests_are_one_gray():
    spec = tf.TensorSpec((None, 384, 384, 3), tf.float32)
    pictures = np.zeros((2, 384, 384, 3), "uint8")
    tensor = warmup._pixels(pictures, spec, 32)
    assert tensor.ByteSize() < 100
    assert tf.make_ndarray(tensor).shape == (32, 384, 384, 3)
    noise = np.random.default_rng(0).integers(0, 256, (2, 384, 384, 3), "uint8")
    tensor = warmup._encoded(noise, tf.TensorSpec((None,), tf.string), 64)
    assert tensor.ByteSize() < warmup.MAX_RECORD_BYTES
    assert len(tf.make_ndarray(tensor)) == 64


def test_too_many_warm_up_requests_are_refused(base):
    signatures = argparse.Namespace(specs=dict.fromkeys("abcde"))
    with pytest.raises(ValueError, match="accepts 1000 warm-up.*fewer"):
        warmup.write_warmup(base, signatures, "goods", range(1, 202))

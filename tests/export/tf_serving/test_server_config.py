"""What TF Serving is told: its own text formats, whole files, other entries kept."""

import sys

import pytest
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
)

from keras_effnetv2.export.tf_serving import server_config


def batching_parameters():
    """TF Serving's message, as session_bundle_config.proto has it."""
    file = descriptor_pb2.FileDescriptorProto(
        name="batching.proto", package="t", syntax="proto3"
    )
    wrapper = file.message_type.add(name="Int64Value")
    wrapper.field.add(name="value", number=1, type=3, label=1)
    message = file.message_type.add(name="BatchingParameters")
    names = ("max_batch_size", "batch_timeout_micros", "max_enqueued_batches")
    for number, name in enumerate(names, 1):
        message.field.add(
            name=name, number=number, type=11, type_name=".t.Int64Value", label=1
        )
    message.field.add(name="allowed_batch_sizes", number=6, type=3, label=3)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    descriptor = pool.FindMessageTypeByName("t.BatchingParameters")
    return message_factory.GetMessageClass(descriptor)()


def test_batching_ends_at_the_largest_batch():
    parameters = batching_parameters()
    text_format.Parse(server_config.batching_text((1, 4, 32)), parameters)
    assert list(parameters.allowed_batch_sizes) == [1, 4, 32]
    assert parameters.max_batch_size.value == 32
    assert parameters.batch_timeout_micros.value > 0


@pytest.mark.parametrize(
    ("versions", "labels"),
    [
        ([3], {"stable": 3, "canary": 3}),
        ([3, 10, 9], {"stable": 9, "canary": 10}),
    ],
)
def test_canary_is_the_newest_and_stable_the_one_before(versions, labels):
    assert server_config.default_labels(versions) == labels


def test_what_is_said_of_other_models_stays(tmp_path):
    (tmp_path / "models.config").write_text(
        "model_config_list { config { name: 'birds' base_path: '/models/birds' "
        "version_labels { key: 'stable' value: 4 } } }"
    )
    config = server_config.read_models(tmp_path)
    for versions in ([1], [1, 2]):
        labels = server_config.default_labels(versions)
        server_config.set_model(config, "flowers", "/m", versions, labels)
    server_config.write_models(tmp_path, config)
    config = server_config.read_models(tmp_path)
    birds, flowers = config.model_config_list.config
    assert (birds.base_path, dict(birds.version_labels)) == (
        "/models/birds",
        {"stable": 4},
    )
    assert (flowers.base_path, flowers.model_platform) == ("/m", "tensorflow")
    assert list(flowers.model_version_policy.specific.versions) == [1, 2]
    assert server_config.labelled_versions(config, "flowers") == labels
    assert [path.name for path in tmp_path.iterdir()] == ["models.config"]


def test_a_damaged_file_is_refused(tmp_path):
    (tmp_path / "models.config").write_text("model_config_list { config { nam")
    with pytest.raises(ValueError, match="not a configuration of TF Serving.*Repair"):
        server_config.read_models(tmp_path)


@pytest.mark.parametrize("sizes", [(), (0, 1), (2, 2), (4, 1)])
def test_batch_sizes_grow(sizes):
    with pytest.raises(ValueError, match="increasing whole numbers from 1.*Received"):
        server_config.check_batch_sizes(sizes)


@pytest.mark.parametrize("name", ["", "a/b", "a:b", "two words", ".hidden"])
def test_names_fit_urls(name):
    with pytest.raises(ValueError, match="name consists of letters.*Received"):
        server_config.check_name(name)


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_serving", None)
    with pytest.raises(ImportError, match=r"keras_effnetv2\[export\]"):
        server_config.serving_protos("apis.predict_pb2")

"""Networks from the Hub, by its protocol, from a server of this machine."""

import json
import logging
import os
import pathlib
import time

import numpy as np
import pytest
from safetensors.numpy import save

from keras_effnetv2 import __main__ as command_line
from keras_effnetv2 import create_model
from keras_effnetv2.commands.shared.exported_models import open_model
from keras_effnetv2.networks.functional import named_variables
from tests import forked, image_files
from tests.servers import hub_server, mirror
from tests.weights.weight_files import random_arrays, timm_arrays

NAME = "tester/small"
ADDRESS = f"hf://{NAME}"
VARIANT = mirror.VARIANT
LABELS = ["cat", "dog", "red panda"]
CONFIG = {
    "architecture": "tf_efficientnetv2_b0",
    "num_classes": 3,
    "num_features": 1280,
    "label_names": LABELS,
    "pretrained_cfg": {
        "tag": "in1k",
        "input_size": [3, 48, 48],
        "test_input_size": [3, 64, 64],
        "crop_pct": 0.9,
        "crop_mode": "squash",
        "interpolation": "bilinear",
        "mean": [0.5, 0.5, 0.5],
        "std": [0.25, 0.25, 0.25],
        "first_conv": "conv_stem",
    },
}


@pytest.fixture(scope="module", name="arrays")
def fixture_arrays():
    return random_arrays(VARIANT, 3)


@pytest.fixture(autouse=True)
def small_b0(monkeypatch):
    """B0's name for a network with a block a stage."""
    from keras_effnetv2.networks import variants

    monkeypatch.setitem(variants.VARIANTS, VARIANT.name, VARIANT)


def files_of(arrays, **changed):
    config = json.dumps({**CONFIG, **changed}).encode()
    weights = save(timm_arrays(arrays, VARIANT))
    return {"config.json": config, "model.safetensors": weights}


def assert_loaded(model, arrays):
    variables = named_variables(model)
    assert variables.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(variables[name], array)


def test_a_network_with_its_preprocessing_and_labels(hub, arrays):
    hub.commit(NAME, files_of(arrays))
    model = create_model(ADDRESS)
    assert_loaded(model, arrays)
    record = model.preprocessing
    assert record.labels == tuple(LABELS)
    assert (record.crop, record.crop_pct, record.image_size) == ("squash", 0.9, 64)
    assert record.interpolation == "bilinear"
    assert record.mean == (127.5,) * 3 and record.std == (63.75,) * 3
    assert model.output.shape == (None, 3)


def test_weights_of_a_variant_for_other_classes(hub, arrays):
    hub.commit(NAME, files_of(arrays))
    model = create_model("efficientnetv2-b0", weights=ADDRESS, classes=7)
    assert model.output.shape == (None, 7)
    assert model.preprocessing.labels is None
    assert model.preprocessing.crop_pct == 0.9
    body = create_model(ADDRESS, include_top=False)
    assert_loaded(body, {x: y for x, y in arrays.items() if "predictions" not in x})


def test_what_is_cached_is_not_sent_again_and_enough_offline(hub, arrays, monkeypatch):
    hub.commit(NAME, files_of(arrays))
    create_model(ADDRESS)
    sent = [path for method, path, _ in hub.requests if method == "GET"]
    create_model(ADDRESS)
    assert [path for method, path, _ in hub.requests if method == "GET"] == sent
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.requests.clear()
    assert_loaded(create_model(ADDRESS), arrays)
    assert hub.requests == []
    with pytest.raises(ConnectionError, match="tester/other.*HF_HUB_OFFLINE"):
        create_model("hf://tester/other")


def test_a_revision_is_a_branch_or_commit(hub, arrays):
    older = hub.commit(NAME, files_of(arrays, label_names=["a", "b", "c"]))
    hub.commit(NAME, files_of(arrays))
    hub.commit(NAME, files_of(arrays, label_names=["d", "e", "f"]), "tests/new")
    found = {
        revision: "".join(create_model(f"{ADDRESS}@{revision}").preprocessing.labels)
        for revision in (older, "main", "tests/new")
    }
    assert found == {older: "abc", "main": "catdogred panda", "tests/new": "def"}


def test_all_files_are_of_one_commit(hub, arrays, monkeypatch):
    from keras_effnetv2.weights.hub.repositories import Repository

    hub.commit(NAME, files_of(arrays))
    repository = Repository(ADDRESS)
    hub.commit(NAME, {"model.safetensors": b"other"})
    assert repository.weights().stat().st_size > 1000


def test_a_pickle_is_taken_where_there_is_nothing_better_offline_too(
    hub, arrays, monkeypatch
):
    from huggingface_hub import constants

    from keras_effnetv2.weights.hub.repositories import Repository

    files = {"config.json": files_of(arrays)["config.json"], "pytorch_model.bin": b"x"}
    hub.commit(NAME, files)
    path = Repository(ADDRESS).weights()
    assert path.name == "pytorch_model.bin"
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert Repository(ADDRESS).weights() == path


def test_a_private_repository_needs_a_token_which_no_other_host_gets(
    hub, arrays, monkeypatch
):
    hub.commit(NAME, files_of(arrays))
    hub.private.add(NAME)
    with pytest.raises(ValueError, match=f"no {ADDRESS}, or it is private.*HF_TOKEN"):
        create_model(ADDRESS)
    monkeypatch.setenv("HF_TOKEN", hub_server.TOKEN)
    hub.requests.clear()
    assert_loaded(create_model(ADDRESS), arrays)
    tokens = {path.split("/")[1]: token for _, path, token in hub.requests}
    assert tokens == {"tester": hub_server.TOKEN, "files": ""}


def test_a_broken_answer_goes_on_where_it_stopped(hub, arrays, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # Between attempts.
    hub.commit(NAME, files_of(arrays))
    hub.breaks = 2
    assert_loaded(create_model(ADDRESS), arrays)
    assert hub.breaks == 0


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("hf://tester/absent", "no hf://tester/absent, or it is private"),
        (f"{ADDRESS}@absent", "no such revision"),
        ("hf://tester/empty", "empty has no config.json"),
        ("hf://tester/bare", "bare has no weights that can be read"),
        ("hf://tester", "address on the Hugging Face Hub is hf://USER/REPO"),
        (f"{ADDRESS}@../../x", "address on the Hugging Face Hub is hf://USER/REPO"),
        ("hf://../..", "address on the Hugging Face Hub is hf://USER/REPO"),
        ("hf://tester/a--b", "not the name of a repository"),
    ],
)
def test_what_is_not_there_is_said_in_a_line(hub, arrays, address, message):
    files = files_of(arrays)
    hub.commit(NAME, files)
    hub.commit("tester/empty", {})
    hub.commit("tester/bare", {"config.json": files["config.json"]})
    with pytest.raises(ValueError, match=message) as error:
        create_model(address)
    assert len(str(error.value).splitlines()) == 1


def test_a_hub_that_is_down_is_said_in_a_line(hub, monkeypatch):
    from huggingface_hub import constants

    url = "http://127.0.0.1:1"
    monkeypatch.setattr(constants, "ENDPOINT", url)
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(hub.url, url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # Between attempts.
    with pytest.raises(ConnectionError, match="tester/small") as bad:
        create_model(ADDRESS)
    assert len(str(bad.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"architecture": "tf_efficientnetv2_s"},
            "does not belong to efficientnetv2-s",
        ),
        ({"num_classes": 4, "label_names": None}, "for 3 classes.*says 4"),
        (
            {"pretrained_cfg": {"input_size": [1, 64, 64]}},
            "for 3 channels.*says 1",
        ),
    ],
)
def test_weights_that_are_not_what_the_config_says_are_refused(
    hub, arrays, changed, message
):
    hub.commit(NAME, files_of(arrays, **changed))
    with pytest.raises(ValueError, match=f"(?s){message}"):
        create_model(ADDRESS)


def test_another_variant_or_other_weights_beside_are_refused(hub, arrays):
    hub.commit(NAME, files_of(arrays))
    with pytest.raises(ValueError, match="timm's 'tf_efficientnetv2_b0'.*v2-s'"):
        create_model("efficientnetv2-s", weights=ADDRESS)
    with pytest.raises(ValueError, match="weights of its own.*'imagenet'"):
        create_model(ADDRESS, weights="imagenet")


def test_commands_need_no_variant(hub, arrays, tmp_path, capsys):
    hub.commit(NAME, files_of(arrays))
    (tmp_path / "a.jpg").write_bytes(image_files.JPEG)
    words = ["", "predict", str(tmp_path / "a.jpg"), "--weights", ADDRESS]
    assert command_line.main(command_line.parse(words)) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in LABELS)
    words = ["", "export", "saved_model", "--weights", ADDRESS, "--output", "x"]
    model, source = open_model(command_line.parse(words))
    assert_loaded(model, arrays)
    assert source == {"weights": ADDRESS}


def test_a_folder_is_as_the_repository(arrays, tmp_path):
    for name, contents in files_of(arrays).items():
        (tmp_path / name).write_bytes(contents)
    for model in (
        create_model(tmp_path),
        create_model("efficientnetv2-b0", weights=str(tmp_path)),
    ):
        assert_loaded(model, arrays)
        assert model.preprocessing.labels == tuple(LABELS)


def test_timms_conversion_is_taken_where_a_release_is_out_of_reach(
    hub, arrays, monkeypatch, tmp_path, caplog
):
    from keras_effnetv2.weights import releases

    url = "http://127.0.0.1:1/efficientnetv2-b0.h5"
    release = releases.Release("efficientnetv2-b0", "imagenet", "google", url)
    monkeypatch.setattr(releases, "RELEASES", (release,))
    monkeypatch.setattr("keras_effnetv2.weights.downloads.https.NUM_ATTEMPTS", 1)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(ConnectionError, match="Cannot download.*There is no hf://timm"):
        create_model("efficientnetv2-b0", weights="imagenet", classes=3)
    timms = "timm/tf_efficientnetv2_b0.in1k"
    hub.commit(timms, files_of(arrays))
    with caplog.at_level(logging.WARNING):
        model = create_model("efficientnetv2-b0", weights="imagenet", classes=3)
    assert f"Taking the same weights from hf://{timms}" in caplog.text
    assert_loaded(model, arrays)
    assert model.preprocessing.interpolation == "bicubic"  # That of the release.
    assert model.preprocessing.crop_pct is None


def test_what_the_hub_alone_has_is_taken_from_there(hub, arrays, monkeypatch):
    from keras_effnetv2.weights import releases

    release = releases.Release("efficientnetv2-b0", "advprop", "timm", ADDRESS)
    monkeypatch.setattr(releases, "RELEASES", (release,))
    hub.commit(NAME, files_of(arrays))
    model = create_model("efficientnetv2-b0", weights="advprop")
    assert_loaded(model, arrays)
    assert model.preprocessing.labels == tuple(LABELS)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_process_takes_the_hub_of_its_environment(hub, arrays, tmp_path):
    hub.commit(NAME, files_of(arrays))
    checks = pathlib.Path(__file__).with_name("address_checks.py")
    environment = hub_server.environment(hub, tmp_path / "home")
    process = forked.Process([checks, ADDRESS], tmp_path / "log", environment)
    assert process.wait() == 0, process.log.read_text()
    assert process.log.read_text().endswith(f"{tuple(LABELS)}\n")
    assert (tmp_path / "home" / "hub" / "models--tester--small").is_dir()

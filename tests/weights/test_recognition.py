"""Weights say which network they are of, where they can."""

import dataclasses
import json

import pytest

from keras_effnetv2 import create_model, export
from keras_effnetv2.weights import recognition, releases
from keras_effnetv2.weights.recognition import recognize
from tests.servers import local_servers, mirror
from tests.tiny_networks import SMALL

TWIN = dataclasses.replace(SMALL, name="small-torchvision", padding="symmetric")


@pytest.fixture
def known(monkeypatch):
    """All variants there are: the small one, and one that only pads differently."""
    monkeypatch.setattr(recognition, "TORCHVISION_VARIANTS", (TWIN,))
    variants = {variant.name: variant for variant in (SMALL, TWIN)}
    monkeypatch.setattr(recognition, "VARIANTS", variants)
    return variants


@pytest.mark.parametrize("variant", [SMALL, TWIN])
def test_a_keras_file_says_how_its_network_pads(known, variant, tmp_path):
    create_model(variant, classes=2).save(tmp_path / "model.keras")
    assert recognize(tmp_path / "model.keras") == variant


def test_what_only_one_network_has_is_of_that(known, tmp_path):
    path = tmp_path / "model.weights.h5"
    create_model(SMALL, classes=2).save_weights(path)
    with pytest.raises(ValueError, match=f"fits {SMALL.name} and {TWIN.name}, which"):
        recognize(path)
    del known[TWIN.name]
    assert recognize(path) == SMALL
    del known[SMALL.name]
    with pytest.raises(ValueError, match="fits none of"):
        recognize(path)


def test_a_file_may_be_on_a_server(known, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "cache"))
    create_model(TWIN, classes=2).save(tmp_path / "model.keras")
    with mirror.serving(tmp_path) as server:
        assert recognize(f"{local_servers.address(server)}/model.keras") == TWIN


def test_the_address_of_a_public_file_says_it_without_a_download(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    release = releases.find("efficientnetv2-s", "imagenet", include_top=True)
    assert recognize(release.url).name == "efficientnetv2-s"
    assert not [*tmp_path.iterdir()]


def test_beside_a_configuration_it_says_which_of_two(known, tmp_path):
    create_model(SMALL, classes=2).save_weights(tmp_path / "model.weights.h5")
    config = {"architecture": "tf_efficientnetv2_b0", "num_classes": 2}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert recognize(tmp_path / "model.weights.h5").name == "efficientnetv2-b0"


def test_a_repository_says_it_for_the_file_in_it(tmp_path):
    model = create_model("efficientnetv2-b0", classes=2)
    export.hugging_face(model, tmp_path / "repository")
    for path in ("repository", "repository/model.safetensors"):
        assert recognize(tmp_path / path).name == "efficientnetv2-b0"


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("imagenet21k", "efficientnetv2-xl. Name one: --variant"),
        ("absent/model.h5", "There is no file or folder absent/model.h5"),
        ("imagenet22k", "Unknown weights 'imagenet22k'"),
    ],
)
def test_what_does_not_say_it_is_refused(weights, message):
    with pytest.raises(ValueError, match=message):
        recognize(weights)

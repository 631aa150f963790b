"""Repositories that we write are timm's and ours."""

import json

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file

import keras_effnetv2
from keras_effnetv2 import create_model, export, name_classes
from keras_effnetv2.export.hf_hub import repository_files
from keras_effnetv2.networks import variants
from keras_effnetv2.networks.functional import named_variables
from keras_effnetv2.preprocessing import Preprocessing, record
from tests.servers import hub_server, mirror
from tests.tiny_networks import pixels, spread_weights
from tests.weights.weight_files import timm_arrays

VARIANT = mirror.VARIANT
NAME = "tester/small"
NAMES = ["cat", "red panda", "dog"]


@pytest.fixture(autouse=True)
def small_b0(monkeypatch):
    """B0's name for a network with a block a stage."""
    monkeypatch.setitem(variants.VARIANTS, VARIANT.name, VARIANT)


@pytest.fixture(scope="module", name="model")
def fixture_model():
    contract = record("efficientnetv2-b0", "imagenet21k-ft1k", 64).unlabelled()
    model = create_model(VARIANT, classes=3, preprocessing=contract)
    spread_weights(model, pixels())
    return name_classes(model, NAMES)


def test_the_network_that_comes_back_is_the_same(model, tmp_path):
    folder = export.hugging_face(model, tmp_path / "small")
    again = create_model(folder)
    assert again.preprocessing == model.preprocessing
    for name, variable in named_variables(model).items():
        np.testing.assert_array_equal(named_variables(again)[name], variable)
    np.testing.assert_allclose(again(pixels()), model(pixels()), atol=1e-6)


def test_weights_have_timms_names_and_layout(model, tmp_path):
    folder = export.hugging_face(model, tmp_path / "small")
    found = load_file(folder / "model.safetensors")
    ours = {name: np.array(x) for name, x in named_variables(model).items()}
    expected = timm_arrays(ours, VARIANT)
    counts = {x for x in expected if x.endswith("num_batches_tracked")}
    assert found.keys() == expected.keys() - counts
    for name, array in found.items():
        np.testing.assert_array_equal(array, expected[name])


def test_the_configuration_is_timms(model, tmp_path):
    folder = export.hugging_face(model, tmp_path / "small")
    config = json.loads((folder / "config.json").read_bytes())
    assert config["architecture"] == "tf_efficientnetv2_b0"
    assert (config["num_classes"], config["num_features"]) == (3, 128)
    assert config["label_names"] == NAMES
    fields = config["pretrained_cfg"]
    assert fields["input_size"] == [3, 64, 64]
    assert (fields["crop_mode"], fields["crop_pct"]) == ("squash", 1.0)
    assert fields["mean"] == fields["std"] == [0.5] * 3


def test_features_are_those_of_the_last_convolution():
    # Wider than B0, but its ends are not: a record of timm has 1280, too.
    (network, *_) = repository_files._networks(
        create_model("efficientnet-lite2", weights=None, classes=3)
    )
    assert repository_files._config(network)["num_features"] == 1280


def test_the_card_says_how_to_load_it(model, tmp_path):
    folder = export.hugging_face(model, tmp_path / "small", NAME)
    card = (folder / "README.md").read_text()
    assert card.startswith("---\ntags:\n- image-classification\n")
    assert f'create_model("hf://{NAME}")' in card
    assert f'create_model("hf-hub:{NAME}", pretrained=True)' in card
    assert "for 3 classes" in card and "64 x 64 pixels, cropped as `squash`" in card


@pytest.mark.parametrize(
    "options",
    [
        {"include_top": False},
        {"input_shape": (32, 48, 1), "classes": 2},
        pytest.param({"classes": 1}, marks=pytest.mark.slow),
        pytest.param(
            {"classes": 3, "classifier_activation": None}, marks=pytest.mark.slow
        ),
        {"classes": 3, "include_preprocessing": False},
        {
            "classes": 2,
            "preprocessing": Preprocessing(
                *((1, 2, 3), (4, 5, 6), "bicubic", "border", 40), crop_pct=0.95
            ),
        },
    ],
)
def test_any_network_of_a_variant(options, tmp_path):
    model = create_model(VARIANT, **options)
    folder = export.hugging_face(model, tmp_path / "small")
    channels = model.input_shape[-1]
    again = create_model(
        folder,
        include_top=options.get("include_top", True),
        input_shape=(None, None, channels),
    )
    assert again.preprocessing == model.preprocessing
    assert again.output_shape[-1] == model.output_shape[-1]


def test_imagenets_classes_have_their_ids_and_come_back(tmp_path):
    contract = record("efficientnetv2-b0", "imagenet", 64)
    model = create_model(VARIANT, preprocessing=contract)
    folder = export.hugging_face(model, tmp_path / "small")
    config = json.loads((folder / "config.json").read_bytes())
    assert config["label_names"][:2] == ["n01440764", "n01443537"]
    assert config["label_descriptions"]["n01440764"] == "tench"
    assert config["pretrained_cfg"]["tag"] == "in1k"
    assert create_model(folder).preprocessing == contract


def test_what_timm_does_not_have_is_refused_before_anything_is_written(tmp_path):
    own = create_model(VARIANT, include_top=False, pooling="avg")
    with_layers = keras.Sequential([own, keras.layers.Dense(2)])
    relu = create_model(VARIANT, classes=2, activation="relu")
    folded = export.fold_batch_norm(create_model(VARIANT, classes=2))
    for model in (with_layers, folded):
        with pytest.raises(ValueError, match="timm has no network with the layers"):
            export.hugging_face(model, tmp_path / "small")
    spread_weights(relu, pixels())
    with pytest.raises(ValueError, match="arrays of timm's .*features differ by"):
        export.hugging_face(relu, tmp_path / "small")
    assert [*tmp_path.iterdir()] == []
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    with pytest.raises(ValueError, match="already exists"):
        export.hugging_face(relu, tmp_path / "full")


def test_a_model_is_pushed_and_read_again(hub, model, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", hub_server.TOKEN)
    url = keras_effnetv2.push_to_hub(model, NAME, message="Add cats")
    assert url == f"{hub.url}/{NAME}/commit/{hub.branches[NAME, 'main']}"
    assert {*hub.files(NAME)} == {"README.md", "config.json", "model.safetensors"}
    again = create_model(f"hf://{NAME}")
    assert again.preprocessing.labels == tuple(NAMES)
    np.testing.assert_allclose(again(pixels()), model(pixels()), atol=1e-6)


def test_a_card_that_is_there_stays(hub, model, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", hub_server.TOKEN)
    hub.commit(NAME, {"README.md": b"Mine."})
    keras_effnetv2.push_to_hub(model, f"hf://{NAME}")
    assert hub.files(NAME)["README.md"] == b"Mine."
    assert "model.safetensors" in hub.files(NAME)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (NAME, "does not allow that on hf://tester/small: set HF_TOKEN"),
        ("small", "address on the Hugging Face Hub is hf://USER/REPO"),
        ("../x/y", "address on the Hugging Face Hub is hf://USER/REPO"),
    ],
)
def test_a_push_that_cannot_be_is_said_in_a_line(hub, model, name, message):
    with pytest.raises(ValueError, match=message) as error:
        keras_effnetv2.push_to_hub(model, name)
    assert len(str(error.value).splitlines()) == 1

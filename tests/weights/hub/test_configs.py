"""What a `config.json` says, and what is refused in one."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest

from keras_effnetv2.networks.variants import VARIANTS, get_variant
from keras_effnetv2.preprocessing import record
from keras_effnetv2.weights import labels, releases
from keras_effnetv2.weights.hub import architectures, timm_preprocessing
from keras_effnetv2.weights.hub.configs import OWN_KEY, read_config

# As timm's own repositories have it.
TIMMS = {
    "architecture": "tf_efficientnetv2_s",
    "num_classes": 1000,
    "num_features": 1280,
    "pretrained_cfg": {
        "tag": "in21k_ft_in1k",
        "custom_load": False,
        "input_size": [3, 300, 300],
        "test_input_size": [3, 384, 384],
        "fixed_input_size": False,
        "interpolation": "bicubic",
        "crop_pct": 1.0,
        "crop_mode": "center",
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
        "num_classes": 1000,
        "pool_size": [10, 10],
        "first_conv": "conv_stem",
        "classifier": "classifier",
        "license": "apache-2.0",
    },
}


def read(tmp_path, config):
    text = config if isinstance(config, bytes) else json.dumps(config).encode()
    (tmp_path / "config.json").write_bytes(text)
    return read_config(tmp_path / "config.json", "hf://user/repo")


def with_fields(**fields):
    return {**TIMMS, "pretrained_cfg": {**TIMMS["pretrained_cfg"], **fields}}


def test_timms_own_configuration(tmp_path):
    config = read(tmp_path, TIMMS)
    assert config.variant is get_variant("efficientnetv2-s")
    assert (config.num_classes, config.channels) == (1000, 3)
    found = config.preprocessing
    assert found.mean == found.std == (127.5,) * 3
    assert (found.interpolation, found.crop, found.crop_pct) == (
        "bicubic",
        "center",
        1.0,
    )
    assert (found.image_size, found.labels) == (384, "imagenet")
    assert found.activation == "softmax"


def test_what_timm_wrote_of_a_fine_tuned_network():
    path = pathlib.Path(__file__).with_name("timm_config.json")  # timm 1.0.31.
    config = read_config(path, "hf://user/repo")
    assert config.variant is get_variant("efficientnetv2-b0")
    assert config.num_classes == 4
    legacy = record("efficientnetv2-b0", "imagenet", 224)
    expected = dataclasses.replace(
        legacy, labels=("tulip", "n2", "n3", "n4"), crop_pct=0.875
    )
    assert config.preprocessing == expected


def test_what_it_does_not_say_is_what_timm_takes(tmp_path):
    config = read(tmp_path, {"architecture": "tf_efficientnet_b0"})
    assert config.num_classes == 1000
    found = config.preprocessing
    assert found.mean == pytest.approx([255 * x for x in (0.485, 0.456, 0.406)])
    assert (found.interpolation, found.crop, found.crop_pct, found.image_size) == (
        *("bicubic", "center", 0.875),
        224,
    )
    assert found.labels is None


def test_early_configurations_are_flat(tmp_path):
    flat = {
        **{"architecture": "tf_efficientnetv2_b0", "num_classes": 2},
        **{"labels": ["no", "yes"], "input_size": [1, 96, 96], "mean": [0.5]},
        "std": [0.5],
    }
    config = read(tmp_path, flat)
    assert config.preprocessing.labels == ("no", "yes")
    assert config.preprocessing.image_size == 96
    assert (config.channels, config.preprocessing.mean) == (1, (127.5,))


def test_imagenet21k_has_sigmoids(tmp_path):
    config = read(tmp_path, {**with_fields(tag="in21k"), "num_classes": 21843})
    assert config.preprocessing.labels == "imagenet21k"
    assert config.preprocessing.activation == "sigmoid"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["cat", "dog"], ("cat", "dog")),
        ({"1": "dog", "0": "cat"}, ("cat", "dog")),
        (None, None),
    ],
)
def test_labels(tmp_path, names, expected):
    config = read(tmp_path, {**TIMMS, "num_classes": 2, "label_names": names})
    assert config.preprocessing.labels == expected


def test_descriptions_are_better_names_and_wordnet_ids_imagenets(tmp_path):
    config = {**TIMMS, "num_classes": 2, "label_names": ["n01", "x"]}
    config["label_descriptions"] = {"n01": "cat, Felis catus"}
    assert read(tmp_path, config).preprocessing.labels == ("cat, Felis catus", "x")
    ids = list(labels.wordnet_ids("imagenet"))
    config = {**with_fields(tag=None), "label_names": ids}
    assert read(tmp_path, config).preprocessing.labels == "imagenet"


@pytest.mark.parametrize("variant", ["efficientnetv2-b0", "efficientnetv2-s"])
@pytest.mark.parametrize("dataset", releases.DATASETS[:3])
def test_our_own_record_is_exact(tmp_path, variant, dataset):
    ours = record(variant, dataset, get_variant(variant).eval_size)
    config = {
        **with_fields(
            **timm_preprocessing.to_fields(ours),
            test_input_size=None,
            tag="in21k" if dataset == "imagenet21k" else "in1k",
        ),
        "num_classes": ours.num_labels,
        OWN_KEY: {"preprocessing": timm_preprocessing.without_labels(ours)},
    }
    assert read(tmp_path, config).preprocessing == ours
    config["pretrained_cfg"]["crop_pct"] = 0.5  # By somebody who knows timm alone.
    assert read(tmp_path, config).preprocessing.crop_pct == 0.5


def test_timms_words_are_timms_again(tmp_path):
    found = read(tmp_path, TIMMS).preprocessing
    fields = timm_preprocessing.to_fields(found)
    expected = TIMMS["pretrained_cfg"]
    assert fields.pop("input_size") == expected["test_input_size"]
    assert fields == {key: expected[key] for key in fields}


HUGE = ["x" * 100] * 100_000


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (b"", "Expecting value"),
        (b'{"architecture": ', "Expecting value"),
        (b"\xff\xfe\x00", "decode"),
        (b"[" * 100_000, "recursion"),
        (b'{"num_classes": ' + b"9" * 10_000 + b"}", "digits"),
        (b" " * (1 << 24) + b"{}", "more than 16,777,216 bytes"),
        ([], "it is .*, expected an object"),
        ({}, "architecture is None, expected one of tf_efficientnetv2_b0"),
        ({"architecture": "resnet50"}, "architecture is 'resnet50'"),
        ({"architecture": "../../etc/passwd"}, "architecture is '../../etc/passwd'"),
        ({"architecture": ["tf_efficientnetv2_s"]}, "architecture is .*expected one"),
        ({**TIMMS, "pretrained_cfg": []}, r"pretrained_cfg is \[\], expected"),
        ({**TIMMS, "num_classes": "1000"}, "num_classes is '1000', expected a whole"),
        ({**TIMMS, "num_classes": True}, "num_classes is True, expected a whole"),
        ({**TIMMS, "num_classes": -1}, "num_classes is -1, expected a whole"),
        ({**TIMMS, "num_classes": 10**12}, "num_classes is 10+, expected a whole"),
        ({**TIMMS, "model_args": {"act_layer": "relu"}}, "model_args has .'act_layer'"),
        ({**TIMMS, "model_args": "act_layer"}, "model_args is 'act_layer'"),
        ({**TIMMS, "label_names": HUGE}, "label_names is .*expected 1000 names"),
        ({**TIMMS, "label_names": "cat"}, "label_names is 'cat'"),
        ({**TIMMS, "label_names": [1, 2]}, "label_names is .1, 2."),
        ({**TIMMS, "label_names": ["a\nb"]}, "each a line of text"),
        ({**TIMMS, "label_names": {"1": "a"}}, "a name for every number from 0"),
        (
            {**TIMMS, "num_classes": 1, "label_names": ["a"], "label_descriptions": 3},
            "label_descriptions is 3",
        ),
        (with_fields(test_input_size=[3, 0, 0]), "input_size is .*same side"),
        (with_fields(test_input_size=[3, 300, 200]), "input_size is .*same side"),
        (with_fields(test_input_size=[3, 10**9, 10**9]), "input_size is .*same side"),
        (with_fields(test_input_size="3"), "input_size is '3'"),
        (with_fields(mean=[0.5, 0.5]), "mean is .*expected a list of 3 numbers"),
        (with_fields(mean=["a", "b", "c"]), "mean is .*expected a list of 3 numbers"),
        (with_fields(std=[1e400, 1, 1]), "std is .*expected a list of 3 numbers"),
        (with_fields(std=[0, 1, 1]), "std positive values"),
        (with_fields(std=None), "std is None, expected as many values as mean"),
        (with_fields(crop_pct="1.0"), "crop_pct is '1.0', expected a number"),
        (with_fields(crop_pct=2.0), r"crop_pct must be in \(0, 1\]"),
        (with_fields(crop_mode="random"), "crop must be one of"),
        (with_fields(crop_mode=["center"]), "crop_mode is .*expected a text"),
        (with_fields(interpolation="nearest"), "interpolation must be one of"),
        ({**TIMMS, OWN_KEY: 3}, OWN_KEY),
        ({**TIMMS, OWN_KEY: {"preprocessing": {"mean": 3}}}, OWN_KEY),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(tmp_path, config, message):
    with pytest.raises(ValueError, match=message) as error:
        read(tmp_path, config)
    text = str(error.value)
    assert text.startswith("config.json of hf://user/repo cannot be used: ")
    assert len(text.splitlines()) == 1 and len(text) < 1000


def test_every_architecture_is_that_of_its_variant():
    for architecture, name in architectures.ARCHITECTURES.items():
        assert architectures.variant_of(architecture) is VARIANTS[name]
        assert architectures.architecture_of(VARIANTS[name]) == architecture
    changed = dataclasses.replace(
        VARIANTS["efficientnetv2-s"], name="x", stem_filters=8
    )
    assert architectures.architecture_of(changed) is None


def test_conversions_are_of_releases():
    found = {
        (name, dataset): architectures.converted_repository(name, dataset)
        for name in VARIANTS
        for dataset in releases.datasets(name)
    }
    assert found["efficientnetv2-s", "imagenet"] == "timm/tf_efficientnetv2_s.in1k"
    assert found["efficientnet-b7", "imagenet"] == "timm/tf_efficientnet_b7.aa_in1k"
    assert found["efficientnetv2-b0", "imagenet21k"] is None
    assert np.count_nonzero(list(found.values())) == 30

"""The tables of public files."""

import importlib

import pytest

from keras_effnetv2.networks import variants
from keras_effnetv2.weights import alternatives, releases

EVERYTHING = releases.RELEASES + alternatives.ALTERNATIVES
V2 = [f"efficientnetv2-{size}" for size in releases.V2_SIZES]
V1 = [f"efficientnet-b{number}" for number in range(8)]


def test_every_variant_has_the_weights_that_were_released():
    for name in V2:
        expected = {"imagenet", "imagenet21k", "imagenet21k-ft1k"}
        if name == "efficientnetv2-xl":
            expected.remove("imagenet")
        assert set(releases.datasets(name)) == expected
    for name in V1:
        assert releases.datasets(name) == ("imagenet", "noisy-student", "advprop")
    # Of every other network, too.
    others = variants.VARIANTS.keys() - {*V2, *V1}
    assert len(others) == 22
    assert all(releases.datasets(name) for name in others)


@pytest.mark.parametrize("module", ["efficientnet_v2", "efficientnet"])
@pytest.mark.parametrize("include_top", [True, False])
def test_keras_applications_files_have_its_published_md5(module, include_top):
    keras_module = importlib.import_module(f"keras.src.applications.{module}")
    family = "efficientnetv2" if module == "efficientnet_v2" else "efficientnet"
    for size, hashes in keras_module.WEIGHTS_HASHES.items():
        size = size.strip("-")
        release = releases.find(f"{family}-{size}", "imagenet", include_top)
        stem = f"{family}{'-' if module == 'efficientnet_v2' else ''}{size}"
        assert release.file_name == f"{stem}{'' if include_top else '_notop'}.h5"
        assert release.url == keras_module.BASE_WEIGHTS_PATH + release.file_name
        assert release.digest == f"md5:{hashes[0 if include_top else 1]}"
        assert release.num_classes == (1000 if include_top else None)


def test_imagenet21k_comes_from_the_official_checkpoints():
    release = releases.find("efficientnetv2-xl", "imagenet21k")
    assert release.url == (
        "https://storage.googleapis.com/cloud-tpu-checkpoints/efficientnet/v2/"
        "efficientnetv2-xl-21k.tgz"
    )
    assert release.num_classes == 21843
    # There is no file without a classifier, so the one with it serves.
    assert releases.find("efficientnetv2-xl", "imagenet21k", False) == release


def test_preprocessing_belongs_to_variant_and_dataset():
    def of(variant, dataset):
        return releases.find(variant, dataset).preprocessing

    assert of("efficientnetv2-b0", "imagenet").mean[0] == pytest.approx(123.675)
    assert of("efficientnetv2-b0", "imagenet").interpolation == "bicubic"
    assert of("efficientnet-b4", "imagenet").image_size == 380
    assert of("efficientnetv2-s", "imagenet").mean == (128.0,)
    assert of("efficientnetv2-s", "imagenet").image_size == 384
    for name in V2:
        assert of(name, "imagenet21k").image_size == 224
        assert of(name, "imagenet21k").activation == "sigmoid"
        assert of(name, "imagenet21k").mean == (128.0,)
        assert of(name, "imagenet21k-ft1k").mean == (127.5,)
        assert of(name, "imagenet21k-ft1k").labels == "imagenet"


def test_unreleased_combination_is_refused_with_what_there_is():
    with pytest.raises(ValueError, match="'imagenet21k', 'imagenet21k-ft1k'.*FILE"):
        releases.find("efficientnetv2-xl", "imagenet")
    with pytest.raises(ValueError, match=r"one of \('imagenet', 'noisy-st"):
        releases.find("efficientnet-b0", "imagenet21k")
    with pytest.raises(ValueError, match="custom variant.*weights=FILE"):
        releases.find("my-network", "imagenet")


def test_files_have_own_names_in_the_cache_and_plausible_hashes():
    assert len({row.file_name for row in EVERYTHING}) == len(EVERYTHING) == 177
    assert len({row.url for row in EVERYTHING}) == len(EVERYTHING)
    hashes = [row.digest for row in EVERYTHING if row.digest]
    assert len(set(hashes)) == len(hashes)
    for kind, _, digits in (digest.partition(":") for digest in hashes):
        assert len(digits) == {"md5": 32, "sha256": 8}[kind] and int(digits, 16)
    for row in EVERYTHING:
        assert row.url.startswith("https://" if row.publisher != "timm" else "hf://")
        assert row.variant in variants.VARIANTS
        assert row.preprocessing.image_size > 0


def test_alternatives_say_what_they_are():
    url = (
        "https://github.com/sebastian-sz/efficientnet-v2-keras/releases/download/v2.0/"
        "efficientnetv2-b0-21k-ft1k_notop.h5"
    )
    release = alternatives.from_url(url)
    assert (release.variant, release.dataset) == (
        "efficientnetv2-b0",
        "imagenet21k-ft1k",
    )
    assert release.file_name == "sebastian-sz-efficientnetv2-b0-21k-ft1k_notop.h5"
    assert release.digest == "md5:9963bc6b7aa74eac7036ab414dff9733"
    assert not release.include_top
    assert alternatives.from_url("https://example.com/efficientnetv2-b0.h5") is None
    v1 = [row for row in EVERYTHING if "efficientnetv1-b7" in row.url]
    assert [row.variant for row in v1] == ["efficientnet-b7"]


@pytest.mark.parametrize(
    ("name", "dataset"),
    [
        ("efficientnetv2-s-21k-ft1k.tgz", "imagenet21k-ft1k"),
        ("tf_efficientnetv2_s_21ft1k-d7dafa41.pth", "imagenet21k-ft1k"),
        ("tf_efficientnetv2_b3.in21k_ft_in1k.safetensors", "imagenet21k-ft1k"),
        ("imagenet21k-ft1k", "imagenet21k-ft1k"),
        ("efficientnetv2-s-21k.h5", "imagenet21k"),
        ("tf_efficientnetv2_s.in21k", "imagenet21k"),
        ("efficientnetv2-b0_notop.h5", None),
        ("tf_efficientnetv2_s.in1k", None),
    ],
)
def test_a_file_name_tells_the_dataset(name, dataset):
    assert releases.dataset_of(name) == dataset

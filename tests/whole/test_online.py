"""Every hosted file, for real: hash, strict load, and the numbers it must give.

    make test-online
    python -m pytest -m online tests/whole/test_online.py -k "efficientnetv2-b0"

This downloads tens of gigabytes into Keras' cache (`KERAS_HOME`, default `~/.keras`)
and needs memory for the largest network. Tests of files that are already there only
verify them. `KERAS_EFFNETV2_MIRROR` is honoured for the released files.
"""

import hashlib
import urllib.parse
import urllib.request

import keras
import numpy as np
import pytest

import keras_effnetv2
from keras_effnetv2.weights import alternatives, labels, releases
from keras_effnetv2.weights.downloads import download
from keras_effnetv2.weights.hub import addresses
from keras_effnetv2.weights.hub.repositories import Repository

pytestmark = pytest.mark.online

# Photograph of a giant panda of sebastian-sz/efficientnet-v2-keras.
PANDA_URL = (
    "https://raw.githubusercontent.com/sebastian-sz/efficientnet-v2-keras/main/"
    "test_efficientnet_v2/assets/panda.jpg"
)
PANDA_SHA256_START = "2389d199"
PANDA_CLASS = 388

# Logits of google/automl's own code for that photograph, stored in the same repository
# (test_efficientnet_v2/assets/original_outputs). All were made with (x - 128) / 128,
# also where the network was trained with another normalisation.
# Variant, dataset, side, logit 388, second class and its logit, mean and deviation.
# fmt: off
GOLDEN = [
    ("efficientnetv2-b0", "imagenet",         224, 8.47417, 245, 3.60920,  0.002974, 0.754207),  # noqa: E501
    ("efficientnetv2-b1", "imagenet",         240, 9.15251, 387, 3.51904,  0.001959, 0.743568),  # noqa: E501
    ("efficientnetv2-b2", "imagenet",         260, 8.79120, 295, 3.70175,  0.002413, 0.726710),  # noqa: E501
    ("efficientnetv2-b3", "imagenet",         300, 9.52626, 387, 4.03500,  0.002545, 0.733843),  # noqa: E501
    ("efficientnetv2-s",  "imagenet",         384, 9.35083, 387, 3.61835,  0.002592, 0.676348),  # noqa: E501
    ("efficientnetv2-m",  "imagenet",         480, 8.61895, 387, 2.63944,  0.000171, 0.442449),  # noqa: E501
    ("efficientnetv2-l",  "imagenet",         480, 8.59418, 387, 2.67110,  0.001632, 0.440203),  # noqa: E501
    ("efficientnetv2-s",  "imagenet21k-ft1k", 384, 9.55961, 295, 2.68077, -0.033073, 0.703501),  # noqa: E501
    ("efficientnetv2-m",  "imagenet21k-ft1k", 480, 8.76513, 387, 3.30648, -0.038776, 0.702550),  # noqa: E501
    ("efficientnetv2-l",  "imagenet21k-ft1k", 480, 9.42346, 295, 3.35975, -0.003719, 0.696479),  # noqa: E501
    ("efficientnetv2-xl", "imagenet21k-ft1k", 512, 8.66356, 387, 3.80116, -0.079730, 0.630667),  # noqa: E501
]
# fmt: on


@pytest.fixture(scope="module", autouse=True)
def internet():
    """Says once and at once that there is none, instead of 150 times and slowly."""
    for url in (releases.RELEASES[0].url, alternatives.ALTERNATIVES[-1].url, PANDA_URL):
        request = urllib.request.Request(url, method="HEAD")
        problem = None
        try:
            urllib.request.urlopen(request, timeout=20).close()
        except OSError as error:
            problem = error
        if problem:
            pytest.fail(
                f"{urllib.parse.urlsplit(url).hostname} cannot be reached ({problem}). "
                "The online tests need the internet: run them where there is one, or "
                "deselect them with -m 'not online'.",
                pytrace=False,
            )


@pytest.fixture(autouse=True)
def forget_networks():
    """Frees one network before the next is built."""
    yield
    keras.backend.clear_session()


def fetch(release):
    if addresses.is_repository(release.url):
        return Repository(release.url).weights()
    return download.fetch(release.url, release.digest, release.file_name)


def check_network(model, release):
    """The weights are in, and mean what the table says."""
    side = release.preprocessing.image_size
    scores = keras.ops.convert_to_numpy(model(np.full((1, side, side, 3), 127.0)))
    assert np.isfinite(scores).all()
    if release.include_top:
        assert scores.shape == (1, release.num_classes)
        if release.publisher != "timm":  # Whose record is in its repository.
            assert model.preprocessing == release.preprocessing
    if release.include_top and release.preprocessing.activation == "softmax":
        assert scores.sum() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("release", releases.RELEASES, ids=lambda row: row.file_name)
def test_released_file_is_the_published_one_and_fits(release, record_property):
    path = fetch(release)
    # For files without a published hash, the report tells what they are today.
    record_property("md5", hashlib.md5(path.read_bytes()).hexdigest())
    model = keras_effnetv2.create_model(
        release.variant, include_top=release.include_top, weights=release.dataset
    )
    check_network(model, release)


@pytest.mark.parametrize(
    "release", alternatives.ALTERNATIVES, ids=lambda row: row.file_name
)
def test_alternative_file_is_the_published_one_and_fits(release, record_property):
    path = fetch(release)
    record_property("md5", hashlib.md5(path.read_bytes()).hexdigest())
    model = keras_effnetv2.create_model(
        release.variant,
        include_top=release.include_top,
        weights=path,
        preprocessing=release.dataset,
    )
    check_network(model, release)


@pytest.fixture(scope="module")
def panda():
    """The photograph, uint8 `(height, width, 3)`."""
    import tensorflow as tf

    content = download.fetch(PANDA_URL).read_bytes()
    assert hashlib.sha256(content).hexdigest().startswith(PANDA_SHA256_START)
    return tf.io.decode_jpeg(content, channels=3)


def golden_input(image, side):
    """What the stored logits were computed from, float32 `(1, side, side, 3)`."""
    import tensorflow as tf

    pixels = (tf.cast(image, "float32") - 128) / 128
    if side < 320:
        height, width, _ = image.shape
        crop = int(np.float32(side / (side + 32)) * np.float32(min(height, width)))
        top, left = (height - crop) // 2, (width - crop) // 2
        pixels = pixels[top : top + crop, left : left + crop]
    return tf.image.resize(pixels, (side, side))[None]


def check_golden(model, panda, row):
    _, _, side, best, second_class, second, mean, std = row
    logits = keras.ops.convert_to_numpy(model(golden_input(panda, side)))[0]
    order = np.argsort(-logits)
    assert labels.class_names("imagenet")[order[0]][1] == "giant_panda"
    assert list(order[:2]) == [PANDA_CLASS, second_class]
    received = [logits[PANDA_CLASS], logits[second_class], logits.mean(), logits.std()]
    # 1e-4 of the largest logit.
    np.testing.assert_allclose(received, [best, second, mean, std], rtol=0, atol=1e-3)


@pytest.mark.parametrize("row", GOLDEN, ids=lambda row: f"{row[0]}-{row[1]}")
def test_released_weights_give_the_official_logits(row, panda):
    model = keras_effnetv2.create_model(
        row[0],
        weights=row[1],
        classifier_activation=None,
        include_preprocessing=False,
    )
    check_golden(model, panda, row)


@pytest.mark.parametrize("publisher", ["google", "leondgarse", "sebastian-sz"])
@pytest.mark.parametrize("row", GOLDEN, ids=lambda row: f"{row[0]}-{row[1]}")
def test_alternative_weights_give_the_official_logits(row, publisher, panda):
    rows = [
        release
        for release in alternatives.ALTERNATIVES
        if release.publisher == publisher and release.include_top
        if (release.variant, release.dataset) == row[:2]
    ]
    if not rows:
        pytest.skip(f"{publisher} has these weights among the released files")
    model = keras_effnetv2.create_model(
        row[0],
        weights=fetch(rows[0]),
        classifier_activation=None,
        include_preprocessing=False,
    )
    check_golden(model, panda, row)

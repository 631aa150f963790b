"""A file's pixels are the same wherever it is read: training, serving and so on."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf

from keras_effnetv2.data.augmentation.augmenter import Augmenter
from keras_effnetv2.data.augmentation.random_cropping import OFFICIAL
from keras_effnetv2.data.decode_errors import DecodeErrors
from keras_effnetv2.data.decoding import cropping, headers, images, retrying
from keras_effnetv2.data.sources import open_source
from keras_effnetv2.errors import FileError, UserError
from keras_effnetv2.paths import RemotePath
from tests import image_files as files
from tests.data import every_file, image_folders
from tests.data.batches import SQUASH, evaluate, train
from tests.data.decoding.test_images import IN_GRAPH, JPEGS
from tests.data.every_file import EVERY, TURNED, turned

WHOLE = Augmenter(16, None, False, "bilinear", None)


@pytest.fixture
def waits(monkeypatch):
    monkeypatch.setattr(retrying, "WAITS", (0.01, 0.02))


@pytest.fixture(scope="module")
def source_of_all(tmp_path_factory):
    """A folder of two classes with an image of every format, mode and orientation."""
    root = tmp_path_factory.mktemp("every")
    every_file.write(root / "train", ("cat", "dog"), EVERY)
    return open_source("folder", "train", num_classes=2, directory=str(root))


def test_every_file_is_evaluated_as_it_is_predicted(source_of_all):
    (batch,) = evaluate(source_of_all, source_of_all.num_examples)
    pixels, _, weights = batch
    assert weights.all()
    for index, found in enumerate(pixels):
        whole = images.read(source_of_all.name_of(index))
        expected = cropping.evaluation_image(whole, SQUASH)
        np.testing.assert_allclose(found, expected, atol=1)


def test_every_file_is_trained_on_as_it_is_predicted(source_of_all):
    # Each row is known by its image: rows come in a random order.
    ((pixels, _),) = train(
        source_of_all, source_of_all.num_examples, WHOLE, num_steps=1
    )
    found = sorted(map(bytes, pixels))
    expected = []
    for index in range(source_of_all.num_examples):
        whole = images.read(source_of_all.name_of(index))
        expected.append(bytes(np.uint8(cropping.evaluation_image(whole, SQUASH))))
    assert found == sorted(expected)


@pytest.mark.parametrize("kind", IN_GRAPH | JPEGS | TURNED)
def test_graphs_of_servers_read_files_as_they_are_predicted(tmp_path, kind):
    contents = EVERY[kind]
    if kind.startswith("tiff"):
        pytest.skip("no graph decodes TIFF")
    if kind.startswith("webp") and not hasattr(tf.io, "decode_webp"):
        pytest.skip("this TensorFlow has no WebP")
    (tmp_path / "image").write_bytes(contents)
    served = tf.function(
        images.to_rgb, input_signature=[tf.TensorSpec((), tf.string)], autograph=False
    )
    np.testing.assert_array_equal(served(contents), images.read(tmp_path / "image"))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_windows_of_training_are_windows_of_the_upright_image(kind, orientation):
    contents = turned(kind, orientation)
    upright = images.decode_any(contents)
    for seed in ((1, 2), (3, 4), (5, 6), (7, 8)):
        window = OFFICIAL.decode(contents, seed).numpy().astype(int)
        difference = np.abs(window - OFFICIAL.apply(upright, seed))
        # The window's rim has no neighbours to interpolate colour from.
        inner = difference[2:-2, 2:-2]
        assert inner.size == 0 or inner.max() == 0


@pytest.mark.long
def test_images_stay_as_stored_where_that_is_asked_for(tmp_path):
    for name in ("a", "b"):
        (tmp_path / "train" / name).mkdir(parents=True)
        (tmp_path / "train" / name / "1.png").write_bytes(turned("PNG", 6))
    kinds = {}
    for orientation in ("auto", "upright", "stored"):
        source = open_source(
            "folder",
            "train",
            num_classes=2,
            directory=str(tmp_path),
            orientation=orientation,
        )
        kinds[orientation] = evaluate(source, 2)[0][0][0]
    upright = cropping.evaluation_image(np.rot90(files.GRADIENT, -1), SQUASH)
    np.testing.assert_allclose(kinds["upright"], upright, atol=1)
    np.testing.assert_array_equal(kinds["auto"], kinds["upright"])
    stored = cropping.evaluation_image(files.GRADIENT, SQUASH)
    np.testing.assert_allclose(kinds["stored"], stored, atol=1)


def _sized(kind, contents):
    """The image, claiming to be 60,000 x 60,000."""
    contents = bytearray(contents)
    side = (60_000).to_bytes(2, "little")
    if kind == "gif":
        contents[6:10] = side * 2
    elif kind == "bmp":
        contents[18:26] = (60_000).to_bytes(4, "little") * 2
    elif kind == "jpeg":
        place = contents.index(b"\xff\xc0") + 5
        contents[place : place + 4] = (60_000).to_bytes(2, "big") * 2
    return bytes(contents)


BOMBS = {
    "png": files.png_of_size(60_000, 60_000),
    "jpeg": _sized("jpeg", files.JPEG),
    "gif": _sized("gif", IN_GRAPH["gif"]),
    "bmp": _sized("bmp", IN_GRAPH["bmp_24"]),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_large_images_are_refused_before_they_are_decoded(kind):
    pattern = "3600000000|3,600,000,000"
    with pytest.raises(tf.errors.InvalidArgumentError, match="178,956,970 pixels"):
        images.to_rgb(BOMBS[kind])
    with pytest.raises(tf.errors.InvalidArgumentError, match="178,956,970 pixels"):
        OFFICIAL.decode(BOMBS[kind], (1, 2))
    with pytest.raises(ValueError, match=pattern):
        images.decode_any(BOMBS[kind])


def test_frames_of_gifs_count_for_what_they_take():
    gif = files.encode(files.PALETTE, "GIF")
    start = gif.index(b"\x2c\0\0\0\0")
    frame = gif[start:-1]
    many = gif[:start] + frame * 30 + b";"
    for contents, num in ((gif, 1), (IN_GRAPH["gif_animated"], 1), (many, 10)):
        assert headers.num_pixels(tf.constant(contents)) == num * 40 * 56


@pytest.mark.parametrize("kind", JPEGS | IN_GRAPH | {"webp": 0})
def test_headers_tell_the_size(kind):
    contents = tf.constant(EVERY[kind])
    assert headers.num_pixels(contents) == files.HEIGHT * files.WIDTH


@pytest.mark.parametrize("kind", ["rgb", "png", "gif", "tiff", "bmp_gray", "webp"])
def test_the_limit_can_be_set_in_one_place(monkeypatch, kind):
    monkeypatch.setenv(headers.LIMIT_VARIABLE, "2240")
    images.decode_any(EVERY[kind])
    monkeypatch.setenv(headers.LIMIT_VARIABLE, "2239")
    with pytest.raises(ValueError, match=r"more than 2,239 pixels.*2,240"):
        images.decode_any(EVERY[kind])
    monkeypatch.setenv(headers.LIMIT_VARIABLE, "many")
    with pytest.raises(ValueError, match="'many'"):
        images.decode_any(EVERY[kind])


@pytest.fixture
def folder(tmp_path):
    root = image_folders.write(tmp_path / "train", {"cat": 3, "dog": 3})
    source = open_source("folder", "train", num_classes=2, directory=str(tmp_path))
    return source, sorted(root.glob("*/*"))


@pytest.mark.parametrize("cache", [False, True])
def test_a_file_that_is_deleted_stops_with_its_name(tmp_path, waits, cache):
    root = image_folders.write(tmp_path / "train", {"cat": 3, "dog": 3})
    options = dict(num_classes=2, directory=str(tmp_path))
    source = open_source("folder", "train", **options)
    path = sorted(root.glob("*/*"))[1]
    path.unlink()
    decode_errors = DecodeErrors("train", source.num_examples, max_share=1)
    if cache:
        from keras_effnetv2.data.sources.cache import cached

        with pytest.raises(FileError, match=path.name):
            cached(source)
        return
    with pytest.raises(tf.errors.OpError):
        train(source, 6, WHOLE, decode_errors=decode_errors)
    with pytest.raises(FileError, match=f"{path.name} cannot be read, tried 3 times"):
        decode_errors.raise_if_any()
    assert decode_errors.num_damaged == 0


@pytest.mark.long
def test_an_error_of_the_disk_that_passes_changes_no_bits(folder, monkeypatch):
    source, paths = folder
    (whole,) = train(source, 6, WHOLE, num_steps=1)
    away = paths[2].with_suffix(".away")
    paths[2].rename(away)
    # The file is back before the second try.
    monkeypatch.setattr(retrying.time, "sleep", lambda _: away.rename(paths[2]))
    decode_errors = DecodeErrors("train", source.num_examples)
    (found,) = train(source, 6, WHOLE, num_steps=1, decode_errors=decode_errors)
    assert decode_errors.num_damaged == 0 and decode_errors.error is None
    for ours, theirs in zip(found, whole, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_prediction_tells_the_disk_from_the_image(tmp_path, waits):
    path = tmp_path / "a.jpg"
    path.symlink_to(path.with_name("b.jpg"))
    with pytest.raises(ValueError, match="no such file"):
        images.read(path)
    with pytest.raises(FileError, match="a.jpg cannot be read, tried 3 times: Input"):
        retrying.retried(_failing, "a.jpg")


def denied(*_):
    raise PermissionError(13, "Permission denied")


def denied_by_tensorflow():
    raise tf.errors.PermissionDeniedError(None, None, "Permission denied")


def denied_by_a_bucket():
    with RemotePath("gs://bucket/a.jpg")._explained("read"):
        denied_by_tensorflow()


@pytest.mark.parametrize("read", [denied, denied_by_tensorflow, denied_by_a_bucket])
def test_what_waiting_cannot_change_is_told_at_once(monkeypatch, read):
    monkeypatch.setattr(retrying.time, "sleep", lambda _: pytest.fail("a wait"))
    with pytest.raises(FileError) as raised:
        retrying.retried(read, "a.jpg")
    assert str(raised.value).startswith("a.jpg cannot be read: ")
    assert "fault" not in str(raised.value)


def test_files_that_can_never_be_read_are_refused_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(retrying.time, "sleep", lambda _: pytest.fail("a wait"))
    # Python 3.14 calls no such path a file.
    with pytest.raises(UserError, match="File name too long|no such file"):
        images.read(tmp_path / ("a" * 300))
    with pytest.raises(ValueError, match="no such file"):
        images.read(tmp_path)
    # A folder that may not be searched.
    monkeypatch.setattr(pathlib.Path, "is_file", denied)
    with pytest.raises(FileError, match="a.jpg cannot be read: Permission denied.$"):
        images.read(tmp_path / "a.jpg")


def _failing():
    raise OSError(5, "Input/output error")


def test_types_that_nothing_reads_are_counted_and_named(tmp_path, warnings):
    image_folders.write(tmp_path / "train", {"cat": 3, "dog": 3})
    for name in ("1.heic", "2.heic", "3.svg"):
        (tmp_path / "train" / "cat" / name).touch()
    source = open_source("folder", "train", num_classes=2, directory=str(tmp_path))
    assert source.num_examples == 6
    (line,) = warnings
    assert "2 .heic, 1 .svg" in line and "cat" in line

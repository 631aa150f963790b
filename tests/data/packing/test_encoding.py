"""What is stored of an image: its bytes where all readers agree on them."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_effnetv2.data.decoding import headers, images, orientation
from keras_effnetv2.data.packing.encoding import stored
from tests import image_files as files

CMYK = files.encode(files.RGB.convert("CMYK"), "JPEG", quality=95)


@pytest.mark.parametrize(
    "contents",
    [
        files.JPEG,
        files.encode(files.GRAY, "JPEG"),
        files.encode(files.RGB, "PNG"),
        files.encode(files.GRAY, "PNG"),
        files.encode(files.PALETTE, "PNG"),
    ],
)
def test_bytes_that_all_readers_take_stay(contents):
    assert stored(contents) == contents
    assert stored(contents, min(files.HEIGHT, files.WIDTH)) == contents


@pytest.mark.parametrize(
    ("contents", "kind"),
    [
        (files.encode(files.RGB, "JPEG", quality=95, exif=files.exif(6)), "JPEG"),
        (CMYK, "JPEG"),
        (files.encode(files.RGB, "PNG", exif=files.exif(3)), "PNG"),
        (files.encode(files.with_alpha(files.RGB), "PNG"), "PNG"),
        (files.png_16(files.RGB_16, 2), "PNG"),
        (files.encode(files.PALETTE, "GIF"), "PNG"),
        (files.encode(files.RGB, "BMP"), "PNG"),
        (files.encode(files.PALETTE, "BMP"), "PNG"),
        (files.encode(files.RGB, "TIFF"), "PNG"),
        (files.encode(files.RGB, "WEBP", lossless=True), "PNG"),
    ],
)
def test_others_become_what_all_readers_take(contents, kind):
    new = stored(contents)
    assert new != contents and images.kind_of(new) == kind
    assert stored(new) == new
    pixels, wanted = tf.io.decode_image(new, 3).numpy(), images.decode_any(contents)
    assert pixels.shape == wanted.shape
    allowed = 0 if kind == "PNG" else 12  # Of a JPEG that is written again.
    assert np.abs(pixels.astype(int) - wanted).max() <= allowed


@pytest.mark.parametrize("turn", [1, 6])
def test_shorter_sides_shrink_to_the_size_and_no_further(turn):
    picture = files.RGB.resize((600, 301))
    contents = files.encode(picture, "JPEG", quality=95, exif=files.exif(turn))
    new = stored(contents, 150)
    shape = tf.io.decode_image(new, 3).numpy().shape[:2]
    assert shape == ((150, 299) if turn == 1 else (299, 150))
    assert int(orientation.exif_orientation(new)) == 1
    wanted = Image.fromarray(images.decode_any(contents)).resize(shape[::-1])
    error = np.abs(images.decode_any(new).astype(int) - np.asarray(wanted))
    assert error.mean() < 2


@pytest.mark.parametrize(
    ("contents", "reason"),
    [
        (b"", "the file is empty"),
        (b"<html>", "it is none of JPEG"),
        (files.JPEG[: len(files.JPEG) // 2], "."),
        (files.encode(files.RGB, "PNG")[:24], "."),
        (files.png_of_size(50_000, 50_000), "decompression bomb"),
    ],
)
def test_what_is_damaged_or_enormous_is_refused(contents, reason):
    with pytest.raises(ValueError, match=reason):
        stored(contents)


def test_the_limit_of_decoding_holds(monkeypatch):
    monkeypatch.setenv(headers.LIMIT_VARIABLE, "1000")
    with pytest.raises(ValueError, match="more than 1,000 pixels"):
        stored(files.encode(files.RGB, "TIFF"))

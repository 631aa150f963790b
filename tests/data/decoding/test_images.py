"""Image files of every kind: the right pixels, or an error that names the file."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_effnetv2.data.decoding import images
from tests import image_files as files

# JPEG decoders differ by design: TensorFlow's uses the fast cosine transform.
JPEG_TOLERANCE = 5

JPEGS = {
    "rgb": files.JPEG,
    "progressive": files.encode(files.RGB, "JPEG", quality=95, progressive=True),
    "gray": files.encode(files.GRAY, "JPEG", quality=95),
    "cmyk": files.encode(files.RGB.convert("CMYK"), "JPEG", quality=95),
}
# What the TensorFlow graph must decode, lossless.
IN_GRAPH = {
    "png": files.encode(files.RGB, "PNG"),
    "png_gray": files.encode(files.GRAY, "PNG"),
    "png_1_bit": files.encode(files.RGB.convert("1"), "PNG"),
    "png_alpha": files.encode(files.with_alpha(files.RGB), "PNG"),
    "png_gray_alpha": files.encode(files.with_alpha(files.GRAY), "PNG"),
    "png_palette": files.encode(files.PALETTE, "PNG"),
    "png_palette_transparent": files.encode(files.PALETTE, "PNG", transparency=3),
    "png_rgb_16": files.png_16(files.RGB_16, colour_type=2),
    "gif": files.encode(files.PALETTE, "GIF"),
    "gif_animated": files.encode(
        files.PALETTE, "GIF", save_all=True, append_images=files.UPSIDE_DOWN
    ),
    "bmp_24": files.encode(files.RGB, "BMP"),
    "bmp_32": files.encode(files.with_alpha(files.RGB), "BMP"),
}
# What Pillow decodes where TensorFlow cannot.
FROM_FILE = {
    "bmp_gray": files.encode(files.GRAY, "BMP"),
    "bmp_palette": files.encode(files.PALETTE, "BMP"),
    "bmp_1_bit": files.encode(files.RGB.convert("1"), "BMP"),
    "webp": files.encode(files.RGB, "WEBP", lossless=True),
    "webp_alpha": files.encode(files.with_alpha(files.RGB), "WEBP", lossless=True),
    "webp_animated": files.encode(
        files.RGB, "WEBP", lossless=True, save_all=True, append_images=files.UPSIDE_DOWN
    ),
    "tiff": files.encode(files.RGB, "TIFF"),
    "tiff_cmyk": files.encode(files.RGB.convert("CMYK"), "TIFF"),
}


def read(tmp_path, contents):
    # The name says nothing: content decides.
    path = tmp_path / "image"
    path.write_bytes(contents)
    return images.read(path)


def by_pillow(contents):
    return np.asarray(Image.open(io.BytesIO(contents)).convert("RGB"))


def difference(first, second):
    assert first.shape == second.shape
    return np.abs(np.subtract(first, second, dtype=int)).max()


@pytest.mark.parametrize("kind", JPEGS)
def test_jpegs_are_pillows_up_to_the_decoder(tmp_path, kind):
    pixels = read(tmp_path, JPEGS[kind])
    assert pixels.dtype == np.uint8
    assert difference(pixels, by_pillow(JPEGS[kind])) <= JPEG_TOLERANCE


@pytest.mark.parametrize("kind", IN_GRAPH | FROM_FILE)
def test_lossless_files_are_pillows(tmp_path, kind):
    contents = (IN_GRAPH | FROM_FILE)[kind]
    pixels = read(tmp_path, contents)
    assert pixels.dtype == np.uint8
    assert difference(pixels, by_pillow(contents)) == 0


@pytest.mark.parametrize("kind", JPEGS | IN_GRAPH)
def test_decoding_works_in_a_dataset(tmp_path, kind):
    contents = (JPEGS | IN_GRAPH)[kind]
    dataset = tf.data.Dataset.from_tensors(contents).map(images.decode)
    assert dataset.element_spec == tf.TensorSpec((None, None, 3), tf.uint8)
    (pixels,) = dataset.as_numpy_iterator()
    assert difference(pixels, read(tmp_path, contents)) == 0


@pytest.mark.parametrize("kind", ["bmp_gray", "bmp_palette", "bmp_1_bit"])
def test_a_bmp_with_palette_is_refused_in_a_dataset(kind):
    dataset = tf.data.Dataset.from_tensors(FROM_FILE[kind]).map(images.decode)
    with pytest.raises(tf.errors.InvalidArgumentError, match="24 or 32 bits"):
        list(dataset)


@pytest.mark.parametrize("contents", [b"", b"BM", b"<html>"])
def test_what_is_no_image_is_an_error_in_a_dataset(contents):
    dataset = tf.data.Dataset.from_tensors(contents).map(images.decode)
    with pytest.raises(tf.errors.InvalidArgumentError):
        list(dataset)


# Pillow's convert("RGB") would clip these to white.
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_gray_keeps_the_upper_half(tmp_path, kind):
    samples = files.GRAY_16.astype("u2")
    pixels = read(tmp_path, files.encode(Image.fromarray(samples), kind))
    assert difference(pixels, np.stack([samples >> 8] * 3, -1)) == 0


def test_transparent_pixels_keep_their_own_colour(tmp_path):
    # As keras.utils.load_img: whoever wants a background composes it.
    pixels = read(tmp_path, files.encode(files.with_alpha(files.RGB), "PNG"))
    assert difference(pixels, files.GRADIENT) == 0


# Cameras write JPEG; Pillow turns TIFF itself, so it could be turned twice.
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_come_upright(tmp_path, kind, orientation):
    options = {"quality": 95} if kind == "JPEG" else {}
    options |= {"lossless": True} if kind == "WEBP" else {}
    pixels = read(
        tmp_path, files.encode(files.RGB, kind, exif=files.exif(orientation), **options)
    )
    stored = Image.fromarray(by_pillow(files.JPEG)) if kind == "JPEG" else files.RGB
    turned = np.asarray(_as_viewers_show(stored, orientation))
    assert difference(pixels, turned) <= (JPEG_TOLERANCE if kind == "JPEG" else 0)
    assert pixels.flags.c_contiguous


def _as_viewers_show(image, orientation):
    """EXIF 2.3, tag Orientation: where the stored rows and columns belong."""
    steps = {
        2: ["FLIP_LEFT_RIGHT"],
        3: ["ROTATE_180"],
        4: ["FLIP_TOP_BOTTOM"],
        5: ["FLIP_LEFT_RIGHT", "ROTATE_90"],
        6: ["ROTATE_270"],
        7: ["FLIP_LEFT_RIGHT", "ROTATE_270"],
        8: ["ROTATE_90"],
    }
    for step in steps.get(orientation, []):
        image = image.transpose(Image.Transpose[step])
    return image


def test_graphs_leave_the_orientation_alone():
    contents = files.encode(files.RGB, "PNG", exif=files.exif(6))
    assert images.decode(contents).shape == files.GRADIENT.shape


@pytest.mark.parametrize(
    "exif",
    [b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01", b"Exif\0\0??", b"Exif\0\0MM\0*\xff\xff"],
)
@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_damaged_exif_does_not_hide_the_image(tmp_path, kind, exif):
    pixels = read(tmp_path, files.encode(files.RGB, kind, exif=exif))
    assert pixels.shape == files.GRADIENT.shape


@pytest.mark.parametrize(
    ("contents", "reason"),
    [
        (b"", "the file is empty"),
        (b"an image, I promise", "it is none of JPEG, PNG"),
        (b"<!DOCTYPE html><html>Not found</html>", "it is none of JPEG, PNG"),
        (files.JPEG[: len(files.JPEG) // 2], "[Tt]runcated"),
        (files.JPEG[:20], "[Tt]runcated|none of"),
        (IN_GRAPH["png"][: len(IN_GRAPH["png"]) // 2], "[Tt]runcated"),
        (IN_GRAPH["gif"][:100], "[Tt]runcated"),
        (FROM_FILE["webp"][:40], "decode"),
        (files.png_of_size(100_000, 100_000), "decompression bomb"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "it is none of JPEG"),
        (files.encode(files.GRAY.convert("F"), "TIFF"), "no known range"),
    ],
)
def test_unreadable_files_are_named_with_the_reason(tmp_path, contents, reason):
    with pytest.raises(ValueError, match=f"image cannot be read as an .*{reason}") as e:
        read(tmp_path, contents)
    assert str(tmp_path / "image") in str(e.value)
    assert "\n" not in str(e.value)


def test_a_jpeg_that_only_lacks_its_end_marker_is_read(tmp_path):
    pixels = read(tmp_path, files.JPEG[:-2])
    assert difference(pixels, by_pillow(files.JPEG)) <= JPEG_TOLERANCE


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(ValueError, match="absent.jpg cannot be read.*no such file"):
        images.read(tmp_path / "absent.jpg")
    with pytest.raises(ValueError, match="no such file"):
        images.read(tmp_path)

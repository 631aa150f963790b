"""EXIF orientation in a graph: what Pillow finds in a file, and never an error."""

import io
import struct
import zlib

import numpy as np
import PIL
import pytest
import tensorflow as tf
from PIL import Image

from keras_effnetv2.data.decoding import images
from keras_effnetv2.data.decoding.orientation import exif_orientation, upright
from tests import image_files as files

# Pillow's, of EXIF that is damaged on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

ORIENTATION, SHORT, LONG = 0x0112, 3, 4
KINDS = {"JPEG": {"quality": 95}, "PNG": {}}
if hasattr(tf.io, "decode_webp"):  # Not in TensorFlow 2.18.
    KINDS["WEBP"] = {"lossless": True}

in_graph = tf.function(exif_orientation, input_signature=[tf.TensorSpec((), tf.string)])


@tf.function(input_signature=[tf.TensorSpec((None,), tf.string)])
def of_each(batch):
    return tf.map_fn(exif_orientation, batch, fn_output_signature=tf.int32)


def entry(tag, value, order="<", kind=SHORT, count=1):
    form = order + ("HHIHH" if kind == SHORT else "HHII")
    return struct.pack(form, tag, kind, count, *[value, 0][: len(form) - 4])


def tiff(*entries, order="<", offset=8, num=None, magic=42):
    """EXIF without the header of JPEG: one directory."""
    head = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "HI", magic, offset)
    num = len(entries) if num is None else num
    return head + struct.pack(order + "H", num) + b"".join(entries) + b"\0" * 4


def turned(orientation, order="<"):
    """Three entries, of which the orientation is the second."""
    make = struct.pack(order + "HHI4s", 0x010F, 2, 4, b"Me\0\0")
    unit = entry(0x0128, 2, order)
    return tiff(make, entry(ORIENTATION, orientation, order), unit, order=order)


def segment(data, marker=0xE1):
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def exif_segment(exif):
    return segment(b"Exif\0\0" + exif)


def jpeg(*segments):
    """JFIF's segment, then these, then the image."""
    start = 4 + struct.unpack(">H", files.JPEG[4:6])[0]
    return files.JPEG[:start] + b"".join(segments) + files.JPEG[start:]


def png(*chunks, after_pixels=False):
    image = files.encode(files.RGB, "PNG")
    start = image.index(b"IEND" if after_pixels else b"IDAT") - 4
    return image[:start] + b"".join(chunks) + image[start:]


def chunk(kind, data):
    checksum = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + checksum


def by_pillow(contents):
    """1..8; 1 where Pillow finds none, as `images.read` has it."""
    with Image.open(io.BytesIO(contents)) as image:
        try:
            orientation = image.getexif().get(ORIENTATION)
        except Exception:
            return 1
    return orientation if orientation in range(1, 9) else 1


def read(tmp_path, contents):
    path = tmp_path / "image"
    path.write_bytes(contents)
    return images.read(path)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_graphs_turn_as_files_are_read(tmp_path, kind, orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    contents = files.encode(files.RGB, kind, exif=exif, **KINDS[kind])
    assert in_graph(contents) == by_pillow(contents) == orientation
    pixels = upright(images.decode(contents), exif_orientation(contents))
    np.testing.assert_array_equal(pixels, read(tmp_path, contents))


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("orientation", [0, *range(1, 9), 9, 99, 0x0600, 65535])
def test_both_byte_orders_are_read_and_strange_numbers_are_not(orientation, order):
    exif = turned(orientation, order)
    expected = orientation if orientation in range(1, 9) else 1
    for contents in (jpeg(exif_segment(exif)), png(chunk(b"eXIf", exif))):
        assert in_graph(contents) == by_pillow(contents) == expected


FOUND = exif_segment(turned(6))
DECOY = b"\xff\xe1\0\x40Exif\0\0" + turned(3)
PLACES = {
    "first": b"\xff\xd8" + FOUND + files.JPEG[2:],
    "after_jfif": jpeg(FOUND),
    "after_icc": jpeg(segment(b"ICC_PROFILE\0\1\1" + b"\xff\xe1" * 99, 0xE2), FOUND),
    "after_200_kb": jpeg(*[segment(b"x" * 65000, 0xE2)] * 3, FOUND),
    "after_xmp": jpeg(segment(b"http://ns.adobe.com/xap/1.0/\0<x/>"), FOUND),
    "after_comment": jpeg(segment(b"taken upright", 0xFE), FOUND),
    "after_decoy": jpeg(segment(DECOY, 0xED), FOUND),
    "after_empty_segments": jpeg(segment(b"") * 50, FOUND),
    "after_fill": jpeg(b"\xff\xff\xff", FOUND),
    "after_junk": jpeg(b"\0\0junk", FOUND),
    "before_another": jpeg(FOUND, exif_segment(turned(3))),
    "header_twice": jpeg(exif_segment(b"Exif\0\0" + turned(6))),
    "png": png(chunk(b"eXIf", turned(6))),
    "png_header_of_jpeg": png(chunk(b"eXIf", b"Exif\0\0" + turned(6))),
    "png_after_pixels": png(chunk(b"eXIf", turned(6)), after_pixels=True),
    "png_after_text": png(chunk(b"tEXt", b"a\0eXIf"), chunk(b"eXIf", turned(6))),
    "webp_icc": files.encode(
        files.RGB, "WEBP", exif=b"Exif\0\0" + turned(6), icc_profile=b"odd"
    ),
}


@pytest.mark.parametrize("place", PLACES)
def test_exif_is_found_wherever_it_is(place):
    assert in_graph(PLACES[place]) == by_pillow(PLACES[place]) == 6


ABSENT = {
    "jpeg": files.JPEG,
    "progressive": files.encode(files.RGB, "JPEG", progressive=True),
    "decoy": jpeg(segment(DECOY, 0xED)),
    "in_pixels": files.JPEG[:-2] + FOUND + b"\xff\xd9",
    "other_app1": jpeg(segment(b"Exif\0")),
    "png": files.encode(files.RGB, "PNG"),
    "webp": files.encode(files.RGB, "WEBP"),
    "gif": files.encode(files.PALETTE, "GIF"),
    "bmp": files.encode(files.RGB, "BMP"),
}


@pytest.mark.parametrize("kind", ABSENT)
def test_images_without_exif_are_upright(kind):
    assert in_graph(ABSENT[kind]) == by_pillow(ABSENT[kind]) == 1


ENTRY = entry(ORIENTATION, 6)
HOSTILE = {
    "empty": (b"", 1),
    "no_directory": (tiff()[:8], 1),
    "no_entries": (tiff(), 1),
    "byte_order": (b"??" + tiff(ENTRY)[2:], 1),
    "magic": (tiff(ENTRY, magic=41), 1),
    "magic_swapped": (tiff(ENTRY, magic=42 << 8), 6),
    "offset_zero": (tiff(ENTRY, offset=0), 1),
    "offset_of_last_byte": (tiff(ENTRY, offset=25), 1),
    "offset_of_end": (tiff(ENTRY, offset=26), 1),
    "offset_wild": (tiff(ENTRY, offset=0x7FFFFFFF), 1),
    "offset_negative": (tiff(ENTRY, offset=0xFFFFFFFE), 1),
    "entries_fewer": (tiff(entry(0x0128, 2), ENTRY, num=1), 1),
    "entries_65535": (tiff(ENTRY, num=65535), 6),
    "entries_65535_all_there": (tiff(*[entry(0x0128, 2)] * 5000, ENTRY, num=65535), 6),
    "entries_of_zeros": (tiff(num=65535) + b"\0" * 65000, 1),
    "unsorted": (tiff(entry(0x0128, 2), ENTRY, entry(0x0100, 9)), 6),
    "no_value": (tiff(entry(ORIENTATION, 6, count=0)), 1),
    "values_elsewhere": (tiff(entry(ORIENTATION, 6, count=1 << 31)), 1),
    "type_0": (tiff(entry(ORIENTATION, 6, kind=0)), 1),
    "type_undefined": (tiff(entry(ORIENTATION, 6, kind=7)), 1),
}
if int(PIL.__version__.partition(".")[0]) >= 13:  # Before, the last one counted.
    HOSTILE["entries_the_same"] = (tiff(ENTRY, entry(ORIENTATION, 3)), 6)


@pytest.mark.parametrize("case", HOSTILE)
def test_damage_is_what_pillow_takes_it_for(case):
    exif, expected = HOSTILE[case]
    contents = jpeg(exif_segment(exif))
    assert in_graph(contents) == by_pillow(contents) == expected


@pytest.mark.parametrize("order", "<>")
def test_exif_that_ends_early_is_what_pillow_takes_it_for(order):
    exif = turned(6, order)
    cut = [exif[:size] for size in range(len(exif) + 1)]
    contents = [jpeg(exif_segment(x)) for x in cut]
    contents += [png(chunk(b"eXIf", x)) for x in cut]
    found = of_each(contents).numpy().tolist()
    assert found == [by_pillow(x) for x in contents]
    assert set(found) == {1, 6}


def test_files_that_end_early_are_turned_or_not():
    whole = [jpeg(FOUND)[:200], png(chunk(b"eXIf", turned(6)))]
    whole += [PLACES["header_twice"][:200], PLACES["webp_icc"]]
    contents = [x[:size] for x in whole for size in range(len(x) + 1)]
    assert set(of_each(contents).numpy()) == {1, 6}


def test_no_bytes_are_an_error():
    generator = np.random.default_rng(0)
    whole = [jpeg(FOUND)[:90], jpeg(exif_segment(turned(8, ">")))[:90]]
    whole += [png(chunk(b"eXIf", turned(6))), PLACES["webp_icc"]]
    contents = []
    for _ in range(500):
        damaged = np.frombuffer(whole[generator.integers(4)], "u1").copy()
        where = generator.integers(damaged.size, size=generator.integers(1, 6))
        damaged[where] = generator.choice([0, 1, 255, generator.integers(256)])
        contents += [damaged.tobytes(), generator.bytes(generator.integers(40))]
    assert set(of_each(contents).numpy()) <= set(range(1, 9))


def test_the_work_is_bounded():
    # Walked to their ends, these would take minutes.
    assert in_graph(b"\xff\xd8\xff" + b"\0" * 4_000_000) == 1
    assert in_graph(jpeg(segment(b"") * 1_000_000, FOUND)) == 1


DIFFERENT = {
    # The maker's name begins 99 bytes after the end.
    "outside": (tiff(entry(0x010F, 137, kind=2, count=9), ENTRY), 6, 1),
    "long": (tiff(entry(ORIENTATION, 6, kind=LONG)), 1, 6),
}


@pytest.mark.parametrize("case", DIFFERENT)
def test_where_files_differ_they_do_as_documented(case):
    exif, ours, pillows = DIFFERENT[case]
    contents = jpeg(exif_segment(exif))
    assert in_graph(contents) == ours
    assert by_pillow(contents) == pillows


def test_a_batch_must_be_mapped():
    with pytest.raises(ValueError, match=r"one encoded image.*\(2,\).*map_fn"):
        exif_orientation(tf.constant([files.JPEG, files.JPEG]))


@pytest.mark.parametrize("orientation", [-1, 0, 1, 9, 99])
def test_other_orientations_leave_the_image_alone(orientation):
    pixels = upright(tf.constant(files.GRADIENT), tf.constant(orientation))
    np.testing.assert_array_equal(pixels, files.GRADIENT)


class Server(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string)])
    def serve(self, batch):
        def pixels(contents):
            image = upright(images.decode(contents), exif_orientation(contents))
            padded = tf.image.pad_to_bounding_box(image, 0, 0, 64, 64)
            return padded, tf.shape(image)

        spec = (tf.TensorSpec((64, 64, 3), tf.uint8), tf.TensorSpec((3,), tf.int32))
        return tf.map_fn(pixels, batch, fn_output_signature=spec)


def test_a_saved_model_turns_a_batch_of_sizes(tmp_path):
    server = Server()
    tf.saved_model.save(server, tmp_path / "model")
    serve = tf.saved_model.load(tmp_path / "model").serve
    batch = []
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        for kind, options in KINDS.items():
            image = files.RGB.resize((30 + orientation, 50))
            batch.append(files.encode(image, kind, exif=exif, **options))
    batch += [files.JPEG, files.encode(files.PALETTE, "GIF")]
    for contents, image, (height, width, _) in zip(batch, *serve(batch), strict=True):
        expected = read(tmp_path, contents)
        np.testing.assert_array_equal(image[:height, :width], expected)

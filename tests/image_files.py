"""Image files of every kind, written on the spot."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 40, 56
_ROWS, _COLUMNS = np.mgrid[:HEIGHT, :WIDTH]
GRADIENT = np.stack([_COLUMNS * 4, _ROWS * 6, (_ROWS + _COLUMNS) * 2], -1).astype("u1")
RGB = Image.fromarray(GRADIENT)
GRAY = RGB.convert("L")
PALETTE = RGB.quantize(16)
ALPHA = Image.fromarray((_COLUMNS * 4).astype("u1"))
GRAY_16 = _COLUMNS * 1000 + _ROWS * 200
RGB_16 = GRADIENT.astype("u2") * 256 + 77


def encode(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def with_alpha(image):
    image = image.copy()
    image.putalpha(ALPHA)
    return image


def png_16(samples, colour_type):
    """A 16-bit PNG; Pillow writes none in colour."""

    def chunk(kind, data):
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    height, width = samples.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [
            chunk(b"IHDR", header),
            chunk(b"IDAT", zlib.compress(rows)),
            chunk(b"IEND", b""),
        ]
    )


def png_of_size(width, height):
    """A PNG whose header claims a size that its data does not have."""
    small = bytearray(png_16(GRAY_16, 0))
    small[16:24] = struct.pack(">II", width, height)
    small[29:33] = struct.pack(">I", zlib.crc32(bytes(small[12:29])))
    return bytes(small)


JPEG = encode(RGB, "JPEG", quality=95)
UPSIDE_DOWN = [RGB.transpose(Image.Transpose.ROTATE_180)]

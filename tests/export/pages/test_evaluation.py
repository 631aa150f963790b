"""The page's pixels are those of the package: every crop, resize and kind of file."""

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from keras_effnetv2.data import evaluation_image, images
from keras_effnetv2.preprocessing import Preprocessing
from tests import image_files
from tests.export.pages import sites

pytestmark = pytest.mark.long
SIZE = 48
# crop, interpolation, crop_pct
RECORDS = [
    ("center", "bilinear", None),
    ("center", "bicubic", None),
    ("center_below_320", "bicubic", None),
    ("squash", "bilinear", None),
    ("squash", "bicubic", None),
    ("center", "bilinear", 0.875),
    ("center", "bicubic", 1.0),
    ("squash", "bicubic", 0.9),
    ("border", "bicubic", 1.0),
    ("border", "bilinear", 0.95),
]
SHAPES = [(131, 97), (60, 200), (48, 48), (20, 33), (8, 8), (301, 300), (3, 150)]


def record(crop="center", interpolation="bicubic", crop_pct=None, size=SIZE):
    mean = (123.7, 116.3, 103.5)
    std = (58.4, 57.1, 57.4)
    return Preprocessing(mean, std, interpolation, crop, size, crop_pct=crop_pct)


@pytest.fixture(scope="module")
def folder(site):
    folder = site / "pictures"
    folder.mkdir()
    return folder


def compared(browser, contract, paths):
    """Differences of the page's pixels from the package's, an array a file."""
    names = [f"/pictures/{path.name}" for path in paths]
    found = sites.evaluated(browser, names, dataclasses.asdict(contract))
    wanted = [evaluation_image(images.read(path), contract).numpy() for path in paths]
    return np.abs(found - np.stack(wanted))


@pytest.fixture(scope="module")
def noise(folder):
    random = np.random.default_rng(0)
    paths = []
    for height, width in SHAPES:
        pixels = random.integers(0, 256, (height, width, 3), "uint8")
        paths.append(folder / f"noise_{height}x{width}.png")
        Image.fromarray(pixels).save(paths[-1])
    return paths


@pytest.mark.parametrize("crop, interpolation, crop_pct", RECORDS)
def test_every_crop_and_resize(page, noise, crop, interpolation, crop_pct):
    difference = compared(page, record(crop, interpolation, crop_pct), noise)
    if crop_pct is None:
        assert difference.max() < 2e-3
    else:  # Whole levels, of which rounding moves a few.
        assert difference.max() <= 1 and (difference > 0).mean() < 1e-3


def test_jpegs_are_those_of_tensorflow(page, folder):
    """To the bit, whatever the browser's own decoder does."""
    noise = np.random.default_rng(2).integers(0, 256, (70, 93, 3), "uint8")
    image, noise = image_files.RGB.resize((93, 71)), Image.fromarray(noise)
    kinds = {
        "gray": (image.convert("L"), {"quality": 60}),
        "cmyk": (image.convert("CMYK"), {"quality": 80}),
        "rgb": (image, {"quality": 80, "keep_rgb": True}),
        "restarts": (image, {"quality": 80, "restart_marker_blocks": 5}),
        "coarse": (noise, {"quality": 3}),
        "small": (image.crop((0, 0, 2, 3)), {}),
    }
    for subsampling in ("4:4:4", "4:2:2", "4:2:0"):
        for progressive in (False, True):
            name = f"{subsampling.replace(':', '')}_{progressive}"
            options = {"subsampling": subsampling, "progressive": progressive}
            kinds[name] = (noise, options)
    for orientation in range(1, 9):
        options = {"exif": image_files.exif(orientation)}
        kinds[f"turned_{orientation}"] = (image, options)
    paths = []
    for name, (picture, options) in kinds.items():
        paths.append(folder / f"{name}.jpg")
        picture.save(paths[-1], **options)
    largest = compared(page, record(), paths).max((1, 2, 3))
    assert largest.max() < 2e-3, dict(zip(kinds, largest, strict=True))


def test_colours_that_alpha_hides_are_kept(page, folder):
    paths = [folder / f"alpha.{kind}" for kind in ("png", "webp")]
    transparent = image_files.with_alpha(image_files.RGB)
    transparent.save(paths[0])
    transparent.save(paths[1], lossless=True, exact=True)
    assert compared(page, record(), paths).max() < 2e-3


def test_other_files(page, folder):
    """Palettes, gray, 16 bits, GIF, BMP, WebP, and a profile, which counts nowhere."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    kinds = {
        "palette.png": image_files.encode(image_files.PALETTE, "PNG"),
        "gray.png": image_files.encode(image_files.GRAY, "PNG"),
        "rgb_16.png": image_files.png_16(image_files.RGB_16, 2),
        "image.gif": image_files.encode(image_files.PALETTE, "GIF"),
        "image.bmp": image_files.encode(image_files.RGB, "BMP"),
        "image.webp": image_files.encode(image_files.RGB, "WEBP", lossless=True),
        "profile.png": image_files.encode(image_files.RGB, "PNG", icc_profile=profile),
    }
    paths = []
    for name, contents in kinds.items():
        paths.append(folder / name)
        paths[-1].write_bytes(contents)
    largest = compared(page, record(), paths).max((1, 2, 3))
    assert largest.max() < 2e-3, dict(zip(kinds, largest, strict=True))


@pytest.mark.long
def test_twelve_megapixels(page, folder):
    rows, columns = np.ogrid[:3000, :4000]
    pixels = np.stack(np.broadcast_arrays(rows // 16, columns // 16, rows % 97), -1)
    paths = [folder / "large.png", folder / "large.jpg"]
    for path in paths:
        image = Image.fromarray(pixels.astype("uint8"))
        image.save(path, compress_level=1, exif=image_files.exif(6))
    assert compared(page, record(size=224), paths).max() < 2e-3
    smooth = compared(page, record("center", "bicubic", 0.875, 224), paths)
    assert smooth.max() <= 1 and (smooth > 0).mean() < 5e-3


def test_sizes_are_found_before_images_are_decoded(page):
    script = """
    const done = arguments[1];
    import("/page/decoding.js").then(({ sizeInHeader }) =>
      done(arguments[0].map((bytes) =>
        sizeInHeader(new DataView(new Uint8Array(bytes).buffer)))));
    """
    image = image_files.RGB
    lossy = io.BytesIO()
    image_files.with_alpha(image).save(lossy, "WEBP", quality=50)
    contents = [
        *(image_files.encode(image, x) for x in ("PNG", "GIF", "BMP", "JPEG", "WEBP")),
        image_files.encode(image, "JPEG", progressive=True, exif=image_files.exif(6)),
        image_files.encode(image, "WEBP", lossless=True),
        lossy.getvalue(),
    ]
    heads = [list(x[:4096]) for x in contents]
    assert page.execute_async_script(script, heads) == [[56, 40]] * len(contents)
    cut = [list(x[:6]) for x in contents]
    assert page.execute_async_script(script, cut) == [None] * len(contents)

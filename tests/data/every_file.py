"""A folder of classes with image files of every format, mode, orientation and name."""

from tests import image_files as files
from tests.data.decoding.test_images import FROM_FILE, IN_GRAPH, JPEGS
from tests.data.image_folders import AWKWARD


def turned(kind, orientation):
    options = {"JPEG": {"quality": 95}, "WEBP": {"lossless": True}}.get(kind, {})
    return files.encode(files.RGB, kind, exif=files.exif(orientation), **options)


TURNED = {
    f"{kind}_{orientation}".lower(): turned(kind, orientation)
    for kind in ("JPEG", "PNG", "WEBP", "TIFF")
    for orientation in (2, 3, 5, 6, 8)
}
EVERY = JPEGS | IN_GRAPH | FROM_FILE | TURNED
NAMED = dict.fromkeys(AWKWARD, files.JPEG)


def write(root, classes, contents_of):
    """Writes files to folders of classes in turn."""
    for number, (name, contents) in enumerate(contents_of.items()):
        # The suffix says nothing but that it is an image.
        path = root / classes[number % len(classes)] / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents)
    return root

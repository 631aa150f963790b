"""A model of two versions, and photographs for it, that tests of serving share."""

import contextlib
import functools
import pathlib
import tempfile

from keras_effnetv2 import export
from tests import engines
from tests.export import micro
from tests.export.conftest import LABELS
from tests.export.tf_serving import model_server
from tests.image_files import RGB, encode

_FOLDER = tempfile.TemporaryDirectory()  # Removed when Python ends.
SIZES = (1, 2, 4)
DAMAGED = b"\xff\xd8\xff\xe0 and no more of a JPEG file"


@functools.cache
def base():
    """Folder of two versions that differ in what they answer, and in image size."""
    path = pathlib.Path(_FOLDER.name, "goods")
    options = {"allowed_batch_sizes": SIZES, "server_path": str(path)}
    with engines.here():
        for size in (48, 32):
            model = micro.classifier(len(LABELS), size, LABELS)
            export.serving(model, path, fold=False, **options)
    return path


@contextlib.contextmanager
def server():
    """Addresses by gRPC and REST, and the REST server."""
    with model_server.running(base() / "models.config") as running:
        yield running


@functools.cache
def photographs():
    """Folder of files of several kinds and sizes."""
    folder = pathlib.Path(_FOLDER.name, "photographs")
    folder.mkdir()
    for number, (kind, size) in enumerate(
        [("JPEG", (64, 48)), ("PNG", (31, 70)), ("BMP", (50, 50)), ("JPEG", (200, 90))]
    ):
        image = RGB.resize(size).rotate(90 * number)
        (folder / f"{number}.{kind.lower()}").write_bytes(encode(image, kind))
    return folder

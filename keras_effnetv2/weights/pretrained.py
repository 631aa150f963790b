"""Finds and loads the weights that a user names."""

import contextlib
import dataclasses
import logging
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from keras_effnetv2 import preprocessing as records
from keras_effnetv2.errors import DownloadError, InputError, UserError
from keras_effnetv2.files import on_this_machine
from keras_effnetv2.networks.architecture import Variant
from keras_effnetv2.paths import is_in_bucket
from keras_effnetv2.preprocessing import Preprocessing
from keras_effnetv2.weights import (
    alternatives,
    loading,
    matching,
    packages,
    releases,
)
from keras_effnetv2.weights.downloads import download
from keras_effnetv2.weights.hub import addresses, architectures
from keras_effnetv2.weights.hub.configs import HubConfig
from keras_effnetv2.weights.hub.repositories import Repository, is_available

_EPSILON = 1e-7  # Keras's.

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class _Located:
    """Weights on this machine.

    Attributes:
        path: path of the file or folder.
        dataset: the dataset they were trained on, if known.
        config: configuration of their repository, if they are from one.
    """

    path: pathlib.Path
    dataset: str | None = None
    config: HubConfig | None = None


@dataclasses.dataclass(frozen=True)
class Pretrained:
    """Open weights, and the model they require.

    Attributes:
        source: the arrays.
        classes: width of the model's classifier; 0 without one.
        preprocessing: the record that the model is to carry.
        fresh_classifier: whether the classifier is not in the weights, and starts from
            scratch.
    """

    source: Any
    classes: int
    preprocessing: Preprocessing
    fresh_classifier: bool

    def assign(self, variables: Mapping[str, Any], adapt_stem: bool) -> None:
        """Assigns the arrays to `variables`, all or none."""
        loading.assign(
            self.source,
            variables,
            fresh_classifier=self.fresh_classifier,
            adapt_stem=adapt_stem,
        )


@contextlib.contextmanager
def open_pretrained(
    weights: str | os.PathLike | Repository,
    variant: Variant,
    include_top: bool,
    classes: int | None,
    preprocessing: str | Preprocessing | None,
) -> Iterator[Pretrained]:
    """Finds, downloads if need be, and opens `weights`.

    Args:
        weights: a dataset of `releases.DATASETS`, a file or folder, an https URL, a
            file in a bucket (`gs://`), or a repository of the Hub, by its address, its
            folder or open.
        variant: the network that they are for.
        include_top: whether the classifier is wanted.
        classes: width of the classifier; None for that of the weights.
        preprocessing: preprocessing that the weights were trained with; None to infer
            it.

    Raises:
        ValueError: no such weights, or weights of another network.
    """
    if not isinstance(weights, Repository) and is_in_bucket(weights):
        options = (variant, include_top, classes, preprocessing)
        with (
            on_this_machine(weights) as copy,
            open_pretrained(copy, *options) as opened,
        ):
            yield opened
        return
    found = _locate(weights, variant, include_top, classes)
    path = found.path
    with loading.open_weights(path, variant) as source:
        _check_config(found.config, source)
        around = ", ".join(source.around)
        if include_top and classes is None and source.num_classes is None:
            head = f" of {variant.name}, but a model around it ({around})"
            raise InputError(
                f"{path} has no classifier{head if around else ''}. Pass classes=N to "
                "start one from scratch, or include_top=False for the network "
                "without one."
            )
        if around:
            _LOG.warning(
                "%s is a model around %s, which is loaded without the rest: %s. To "
                "load all of it, use keras.models.load_model.",
                *(path, variant.name, around),
            )
        fresh = include_top and classes not in (None, source.num_classes)
        if isinstance(preprocessing, Preprocessing):
            record = preprocessing
        else:
            record = _record(preprocessing, found, source, variant)
            record = record.unlabelled() if fresh or not include_top else record
        if fresh:
            _LOG.info(
                "The classifier of %d classes starts from scratch: %s has %s.",
                classes,
                path,
                f"{source.num_classes} classes" if source.num_classes else "none",
            )
        yield Pretrained(source, classes or source.num_classes or 0, record, fresh)


def _locate(
    weights: str | os.PathLike | Repository,
    variant: Variant,
    include_top: bool,
    classes: int | None,
) -> _Located:
    if isinstance(weights, Repository):
        return _Located(weights.weights(), config=weights.config)
    name = os.fspath(weights)
    if name in releases.DATASETS:
        if installed := packages.find_installed(variant.name, name):
            return _Located(installed, name)
        release = releases.find(variant.name, name, include_top)
        if classes not in (None, release.num_classes):
            release = releases.find(variant.name, name, include_top=False)
        if not addresses.is_repository(release.url):
            return _Located(_fetch(release), name)
        name = release.url
    if addresses.is_repository(name):
        repository = Repository(name)
        _check_variant(repository, variant)
        return _Located(repository.weights(), config=repository.config)
    if "://" in name:
        known = alternatives.from_url(name)
        if known:
            path = download.fetch(known.url, known.digest, known.file_name)
            return _Located(path, known.dataset)
        dataset = releases.dataset_of(name.rpartition("/")[2])
        return _Located(download.fetch(name), dataset)
    check_exists(name)
    path = pathlib.Path(name).expanduser()
    return _Located(path, releases.dataset_of(path.name))


def check_exists(name: str) -> None:
    """Refuses what is neither a file or folder nor the prefix of a checkpoint.

    Raises:
        ValueError: it does not exist.
    """
    path = pathlib.Path(name).expanduser()
    if path.exists() or path.with_name(f"{path.name}.index").exists():
        return
    if path.suffix or path.name != name:
        raise InputError(
            f"There is no file or folder {name}. Expected weights in any known format."
        )
    raise InputError(
        f"Unknown weights {name!r}. Expected None, one of {releases.DATASETS}, an "
        "https URL, hf://USER/REPO, or a file or folder that exists."
    )


def _fetch(release: releases.Release) -> pathlib.Path:
    """The file of a release, or timm's conversion if it cannot be reached."""
    try:
        return download.fetch(release.url, release.digest, release.file_name)
    except DownloadError as error:
        name = architectures.converted_repository(release.variant, release.dataset)
        # A mirror, if set, is the only source.
        if name is None or not is_available() or download.MIRROR_VARIABLE in os.environ:
            raise
        address = f"{addresses.PREFIX}{name}"
        reason = str(error).partition(". ")[0]
        _LOG.warning("%s. Taking the same weights from %s.", reason, address)
        try:
            return Repository(address).weights()
        except UserError as other:
            raise DownloadError(f"{error} {other}") from None


def _check_variant(repository: Repository, variant: Variant) -> None:
    """Refuses weights of a network other than the variant's."""
    config = repository.config
    if not architectures.is_same_network(config.variant, variant):
        raise InputError(
            f"{repository.name} holds timm's {config.architecture!r}, which is "
            f"{config.variant.name!r} here. Received: {variant.name!r}. Pass that "
            "variant, or the address instead of a variant."
        )


def _check_config(config: HubConfig | None, source: Any) -> None:
    """Refuses weights that contradict their repository's configuration."""
    if config is None:
        return
    said = {"classes": config.num_classes, "channels": config.channels}
    held = {
        "classes": source.num_classes or 0,
        "channels": source.shapes[matching.STEM][2],
    }
    for what, number in said.items():
        if number != held[what]:
            raise InputError(
                f"{source.path} is for {held[what]} {what}, but its config.json says "
                f"{number}. One of the two belongs to another network."
            )


def _record(
    given: str | None, found: _Located, source: Any, variant: Variant
) -> Preprocessing:
    """The record of the given dataset, the file's own, or an inferred one."""
    if given is None and found.config:
        return found.config.preprocessing
    if given is None and source.preprocessing:
        return Preprocessing(**source.preprocessing)
    dataset = given or found.dataset
    if dataset is None:
        by_classes = {number: name for name, number in records.NUM_LABELS.items()}
        dataset = by_classes.get(source.num_classes, "imagenet")
        _LOG.warning(
            "%s does not say how its images were made: preprocessing as for the "
            "released %s weights of %s. If that is wrong, pass preprocessing.",
            source.path,
            dataset,
            variant.name,
        )
    record = records.record(variant.name, dataset, variant.eval_size)
    if given is None and source.statistics is not None:
        record = _with_statistics(record, source)
    return record if source.num_classes == record.num_labels else record.unlabelled()


def _with_statistics(record: Preprocessing, source: Any) -> Preprocessing:
    """Normalises like keras.applications in V1, by mean and variance of pixels 0..1.

    In its released weights the variances are ImageNet's standard deviations, and
    another layer divides by their square roots again.
    """
    mean, variance = source.statistics
    is_good = len(mean) == len(variance) and np.isfinite(mean).all()
    if not is_good or not np.all((variance >= 0) & (variance < np.inf)):
        raise InputError(
            f"{source.path} normalises pixels by a mean of {mean} and a variance of "
            f"{variance}, which is impossible. Pass preprocessing."
        )
    if len(mean) == len(record.std) and np.allclose(variance * 255, record.std):
        return record
    std = np.maximum(np.sqrt(variance), _EPSILON) * 255
    return dataclasses.replace(record, mean=tuple(mean * 255), std=tuple(std))

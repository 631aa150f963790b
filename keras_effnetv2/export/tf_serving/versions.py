"""Version folders of a model for TF Serving."""

import contextlib
import dataclasses
import errno
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import keras

from keras_effnetv2.errors import InputError
from keras_effnetv2.export.classifier import Classifier
from keras_effnetv2.export.manifests import Manifest
from keras_effnetv2.export.publishing import MANIFEST, check_base, scratch_folder
from keras_effnetv2.export.saved_models import Signatures, write_checked
from keras_effnetv2.export.tf_serving import server_config
from keras_effnetv2.export.tf_serving.warmup import write_warmup
from keras_effnetv2.files import replace_file

# Each is warmed up; smaller batches are padded.
BATCH_SIZES = (1, 2, 4, 8, 16)

# Errors of renaming a folder to an existing name.
_TAKEN = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR)


@dataclasses.dataclass(frozen=True)
class ServedVersion:
    """The result of `serving`.

    Attributes:
        path: folder of the version, named by its number.
        manifest: its manifest, in it as `model.json`.
        name: name of the model on the server.
        labels: label -> version, from `models.config`.
    """

    path: pathlib.Path
    manifest: Manifest
    name: str
    labels: Mapping[str, int]

    @property
    def version(self) -> int:
        """The version's number."""
        return int(self.path.name)


def serving(
    model: keras.Model,
    base_path: str | os.PathLike,
    version: int | None = None,
    *,
    keep: int | None = None,
    name: str | None = None,
    server_path: str | None = None,
    allowed_batch_sizes: Sequence[int] = BATCH_SIZES,
    image_size: int | None = None,
    input_dtype: str = "float32",
    fold: bool = True,
    top: int = 5,
    classifier_activation: str = "auto",
    source: Mapping[str, str] | None = None,
) -> ServedVersion:
    """Exports a classifier as the next version of a model for TF Serving.

    The version is a SavedModel as from `saved_model`, checked as there, with warm-up
    requests and batching parameters. Then the base folder's `models.config` serves the
    kept versions, with the newest as `canary` and the one before as `stable`; other
    models and labels in it stay. If the process is killed, the base folder serves what
    it did before, or also the new version.

    Args:
        model: a classifier of `create_model`, or built on one.
        base_path: folder of the versions.
        version: number of the new version. None: after the largest.
        keep: number of newest versions to keep, besides those that labels name, or
            named until now, as running servers still send requests to these.
        name: name of the model. None: the name of `base_path`.
        server_path: `base_path` as the server sees it. None: `/models/NAME`.
        allowed_batch_sizes: sizes of the batches that the server forms from requests.
        image_size: side of `images`, pixels. None: the evaluation size, since the
            server cannot batch images of several sizes.
        input_dtype: dtype of `images`, `"float32"` or `"uint8"`.
        fold: whether to fold batch norms into convolutions.
        top: number of classes that `classify` returns; fewer if there are fewer.
        classifier_activation: turns logits of a model into probabilities: `"softmax"`
            or `"sigmoid"`. `"auto"`: that of the loss that it is compiled with, or of
            released weights.
        source: variant and weights, for the manifest.

    Raises:
        ValueError: as for `saved_model`; the version already exists; or the base
            folder's contents cannot be read.
        ImportError: tensorflow-serving-api is not installed.
    """
    base, name, sizes = check_options(
        base_path, version, keep, name, allowed_batch_sizes
    )
    classifier = Classifier.open(model, fold, classifier_activation)
    if image_size is None:
        image_size = classifier.evaluation.image_size
    signatures = Signatures(classifier, image_size, input_dtype, top)
    manifest = Manifest.of(
        classifier, "TF Serving", source, {"batch_norm_folded": fold}
    )
    with scratch_folder(base) as scratch:
        fresh = scratch / "fresh"
        fresh.mkdir()
        manifest = write_checked(signatures, manifest, fresh)
        write_warmup(fresh, signatures, name, sizes)
        batching = server_config.batching_text(sizes)
        (fresh / server_config.MODEL_BATCHING).write_text(batching)
        with _locked(base):
            path = _take(fresh, base, version)
            replace_file(base / server_config.BATCHING, batching.encode())
            path_of_server = server_path or f"/models/{name}"
            labels, old = _publish(base, name, path_of_server, int(path.name), keep)
            _remove(base, old, scratch)
    return ServedVersion(path, manifest, name, labels)


def check_options(
    base_path: str | os.PathLike,
    version: int | None,
    keep: int | None,
    name: str | None,
    allowed_batch_sizes: Sequence[int],
) -> tuple[pathlib.Path, str, tuple[int, ...]]:
    """Refuses invalid arguments of `serving`.

    Args:
        base_path: as for `serving`.
        version: as for `serving`.
        keep: as for `serving`.
        name: as for `serving`.
        allowed_batch_sizes: as for `serving`.

    Returns:
        The base folder, the model's name and the batch sizes.

    Raises:
        ValueError: an invalid argument, an existing version, or a base folder that
            cannot be read or written.
    """
    base = check_base(base_path)
    name = server_config.check_name(base.name if name is None else name)
    sizes = server_config.check_batch_sizes(allowed_batch_sizes)
    _check_numbers(base, version, keep)
    server_config.read_models(base)  # For its errors.
    return base, name, sizes


def versions(base: pathlib.Path) -> list[int]:
    """Numbers of the versions in a base folder that can be served, in order."""
    numbers = [int(path.name) for path in base.iterdir() if _is_number(path.name)]
    return sorted(x for x in numbers if (base / str(x) / "saved_model.pb").is_file())


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdecimal()


def _check_numbers(base: pathlib.Path, version: int | None, keep: int | None) -> None:
    for key, value in {"version": version, "keep": keep}.items():
        if value is not None and value < 1:
            raise InputError(f"{key} must be at least 1. Received: {value}.")
    if version is not None and (base / str(version)).exists():
        raise _version_error(base, version)


def _version_error(base: pathlib.Path, version: int) -> ValueError:
    return InputError(
        f"{base} already has a version {version}, and servers may serve it. Choose "
        "another version, or none for the next."
    )


@contextlib.contextmanager
def _locked(base: pathlib.Path) -> Iterator[None]:
    """Locks the base folder's files; other exports wait."""
    import filelock

    with filelock.FileLock(base / f".{server_config.MODELS}.lock"):
        yield


def _take(fresh: pathlib.Path, base: pathlib.Path, version: int | None) -> pathlib.Path:
    """Renames a finished folder to a new version number."""
    there = (int(path.name) for path in base.iterdir() if _is_number(path.name))
    number = version or max(there, default=0) + 1
    while True:
        try:
            os.rename(fresh, base / str(number))
            return base / str(number)
        except OSError as error:
            if error.errno not in _TAKEN:
                raise
            if version is not None:
                raise _version_error(base, version) from error
            number += 1


def _publish(
    base: pathlib.Path, name: str, server_path: str, number: int, keep: int | None
) -> tuple[dict[str, int], list[int]]:
    """Writes `models.config`; returns its labels and the versions not in it."""
    config = server_config.read_models(base)
    before = server_config.labelled_versions(config, name)
    there = versions(base)
    others = {label: value for label, value in before.items() if value in there}
    labels = others | server_config.default_labels(there)
    newest = there if keep is None else there[-keep:]
    kept = {number, *labels.values(), *before.values(), *newest}
    # A version without a manifest is not from an export, and must not be removed.
    kept |= {x for x in there if not (base / str(x) / MANIFEST).is_file()}
    served = [x for x in there if x in kept]
    server_config.set_model(config, name, server_path, served, labels)
    server_config.write_models(base, config)
    return labels, [x for x in there if x not in kept]


def _remove(base: pathlib.Path, old: list[int], scratch: pathlib.Path) -> None:
    """Moves versions into the scratch folder at once, which is removed later."""
    for number in old:
        os.rename(base / str(number), scratch / str(number))

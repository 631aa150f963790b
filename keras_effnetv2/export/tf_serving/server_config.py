"""Configuration files of TF Serving: models to serve, and batching.

A server moves a label only to a version that it has loaded, and checks labels before it
loads anything: `models.config` is for servers that read it when they start, with
`--allow_version_labels_for_unavailable_models`. A running server that re-reads it
refuses a file with a label on a new version, and keeps what it has. Source:
tensorflow/serving, `model_servers/server_core.cc`, `ReloadConfig`.
"""

import importlib
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf import text_format

from keras_effnetv2.errors import InputError, require_modules
from keras_effnetv2.files import replace_file

MODELS = "models.config"
BATCHING = "batching.config"
MODEL_BATCHING = "batching_params.pbtxt"

STABLE, CANARY = "stable", "canary"

# Valid names in /v1/models/NAME/labels/stable:predict.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")

# Longest wait to fill a batch: little compared with running a network on a CPU.
_BATCH_TIMEOUT_MICROS = 1000
# Batches that may wait before the server answers "unavailable", so clients retry.
_MAX_ENQUEUED_BATCHES = 100


def serving_protos(module: str) -> Any:
    """A module of TF Serving's protocol, such as `"apis.predict_pb2"`.

    Raises:
        ImportError: the protocol's package is not installed.
    """
    require_modules("Exports for TF Serving need", "export", "tensorflow_serving")
    return importlib.import_module(f"tensorflow_serving.{module}")


def check_name(name: str) -> str:
    """Checks the name of a model.

    Raises:
        ValueError: URLs cannot contain it.
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            "A served model's name consists of letters, digits, and _ . - in between. "
            f"Received: {name!r}. Pass another name."
        )
    return name


def check_batch_sizes(sizes: Sequence[int]) -> tuple[int, ...]:
    """Checks the sizes of batches that the server may form.

    Raises:
        ValueError: they do not increase from 1 or more.
    """
    sizes = tuple(sizes)
    grows = all(a < b for a, b in zip(sizes, sizes[1:], strict=False))
    if not sizes or sizes[0] < 1 or not grows:
        raise InputError(
            "allowed_batch_sizes must be increasing whole numbers from 1, as in "
            f"(1, 2, 4, 8). Received: {sizes}."
        )
    return sizes


def batching_text(sizes: Sequence[int]) -> str:
    """TF Serving's `BatchingParameters` as text.

    Images are never padded to a common size, which would change them. The thread pool,
    one thread per core unless set here, is the server's.
    """
    lines = [
        "# Requests of more images than max_batch_size are refused.",
        f"max_batch_size {{ value: {sizes[-1]} }}",
        f"batch_timeout_micros {{ value: {_BATCH_TIMEOUT_MICROS} }}",
        f"max_enqueued_batches {{ value: {_MAX_ENQUEUED_BATCHES} }}",
        *(f"allowed_batch_sizes: {size}" for size in sizes),
    ]
    return "\n".join(lines) + "\n"


def read_models(base: pathlib.Path) -> Any:
    """The `ModelServerConfig` of a base folder; an empty one if there is none.

    Raises:
        ValueError: the file is damaged.
    """
    config = serving_protos("config.model_server_config_pb2").ModelServerConfig()
    path = base / MODELS
    if path.is_file():
        try:
            text_format.Parse(path.read_text(encoding="utf-8"), config)
        except (text_format.ParseError, UnicodeDecodeError) as error:
            raise InputError(
                f"{path} is not a configuration of TF Serving: {error}. Repair it, or "
                "remove it to have it written again."
            ) from error
    return config


def labelled_versions(config: Any, name: str) -> dict[str, int]:
    """Label -> version of the model `name`."""
    for model in config.model_config_list.config:
        if model.name == name:
            return dict(model.version_labels)
    return {}


def default_labels(versions: Sequence[int]) -> dict[str, int]:
    """The labels: `canary` for the newest version, `stable` for the one before.

    A single version has both labels, so that clients of either get an answer.
    """
    newest = sorted(versions)[-2:]
    return {STABLE: newest[0], CANARY: newest[-1]}


def set_model(
    config: Any,
    name: str,
    server_path: str,
    versions: Sequence[int],
    labels: Mapping[str, int],
) -> None:
    """Sets what a `ModelServerConfig` serves of one model; others stay."""
    models = config.model_config_list.config
    known = [model for model in models if model.name == name]
    model = known[0] if known else models.add(name=name)
    model.base_path = server_path
    model.model_platform = "tensorflow"
    model.model_version_policy.Clear()
    model.model_version_policy.specific.versions.extend(sorted(versions))
    model.version_labels.clear()
    model.version_labels.update(labels)


def write_models(base: pathlib.Path, config: Any) -> None:
    """Writes `models.config` atomically."""
    replace_file(base / MODELS, text_format.MessageToString(config).encode())

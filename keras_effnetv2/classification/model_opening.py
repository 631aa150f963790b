"""Opens the model that a user names, in its engine."""

import json
import os
import pathlib
import re
from collections.abc import Callable

import keras

from keras_effnetv2 import training
from keras_effnetv2.classification.engines import exports
from keras_effnetv2.classification.engines.engine import Engine
from keras_effnetv2.classification.engines.keras_models import KerasEngine
from keras_effnetv2.data.printable import printable, shown
from keras_effnetv2.errors import InputError, expected
from keras_effnetv2.export.lite.conversion import FORMATS
from keras_effnetv2.export.onnx_models import FILE
from keras_effnetv2.export.tf_hub.module_archives import SUFFIXES
from keras_effnetv2.export.tf_serving.versions import versions
from keras_effnetv2.models import create_model
from keras_effnetv2.networks.variant_files import is_variant_file
from keras_effnetv2.networks.variants import VARIANTS
from keras_effnetv2.paths import AnyPath, RemotePath, as_path
from keras_effnetv2.weights import releases
from keras_effnetv2.weights.hub import addresses

# Released weights; the first that a variant has is used.
_USUAL_WEIGHTS = ("imagenet", "imagenet21k-ft1k", "imagenet21k")
_SAVED_MODEL = "saved_model.pb"

_EXPECTED = (
    "a .keras file, a work folder of train (config.json), an export (saved_model.pb, "
    f"{exports.CLASSIFICATION}/, {FILE}, a .tflite file, numbered versions) or a "
    "repository of the Hub (config.json of timm)"
)


def open_engine(
    model: str | os.PathLike | keras.Model,
    weights: str | os.PathLike | None = None,
    checkpoint: str | None = None,
    image_size: int | None = None,
) -> Engine:
    """Opens the model that a user names; arguments are those of `Classifier`.

    Raises:
        ValueError: there is no such model, or it is not a classifier of RGB images.
    """
    if not isinstance(model, str | os.PathLike):
        _refuse_checkpoint(model.name, checkpoint)
        if weights is not None:
            raise InputError(
                f"The model {model.name!r} has its weights. Received: weights="
                f"{weights!r} too. Leave them out."
            )
        return KerasEngine(model, image_size)
    name = os.fspath(model)
    path = as_path(name)
    is_name = name in VARIANTS or addresses.is_address(name) or weights is not None
    if not is_name and _is_workdir(path):
        options = {} if checkpoint is None else {"checkpoint": checkpoint}
        return _compiled(training.load_run(path, **options), image_size)
    _refuse_checkpoint(name, checkpoint)
    if not is_name:
        if isinstance(path, RemotePath):
            raise InputError(
                f"{name} is not a work folder of train. Other models are only read "
                "from this machine: copy it here."
            )
        return _open_path(path, name, image_size)
    if weights is None and name in VARIANTS:
        weights = _usual_weights(name)
    return _compiled(create_model(name, weights=weights), image_size)


def _compiled(model: keras.Model, image_size: int | None) -> KerasEngine:
    """The engine of a model that is not shared and whose weights do not change."""
    engine = KerasEngine(model, image_size)
    engine.compile()
    return engine


def read_model(path: str | os.PathLike) -> keras.Model:
    """The model in a `.keras` file.

    Raises:
        ValueError: there is no such file, or it is damaged.
    """
    if not pathlib.Path(path).is_file():
        raise InputError(f"There is no file {path}. Expected a .keras file.")
    try:
        return keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras raises anything for files that it cannot read.
        raise InputError(f"{path} cannot be read as a Keras model: {error}") from error


def _refuse_checkpoint(name: str, checkpoint: str | None) -> None:
    if checkpoint is not None:
        raise InputError(
            f"checkpoint={checkpoint!r} chooses among the weights of a work folder. "
            f"Received: {name!r}. Leave it out."
        )


def _usual_weights(variant: str) -> str:
    known = releases.datasets(variant)
    return next((x for x in _USUAL_WEIGHTS if x in known), _USUAL_WEIGHTS[0])


def _unknown(name: str) -> InputError:
    if re.search(r"[/\\]|\.\w{1,6}$", name):
        return InputError(f"There is no file or folder {name}. Expected {_EXPECTED}.")
    return InputError(
        f"Unknown model {name!r}. {expected(name, VARIANTS)} Or pass hf://USER/REPO, "
        "or the path of a model."
    )


def _is_workdir(path: AnyPath) -> bool:
    """Whether a folder has a run's configuration, not a repository's."""
    try:
        values = json.loads((path / addresses.CONFIG).read_bytes())
    except OSError:
        return False
    except ValueError:
        return True  # The run's own reader reports what is wrong.
    return not (isinstance(values, dict) and "architecture" in values)


def _open_path(path: pathlib.Path, name: str, image_size: int | None) -> Engine:
    """Opens a file, or a folder, recognised by its contents."""
    if not path.exists():
        raise _unknown(name)
    if is_variant_file(name) and path.is_file():
        raise InputError(
            f"{name} holds a network without weights. Pass them too (weights=FILE, on "
            "the command line --weights)."
        )
    if path.is_dir():
        return _open_folder(path, image_size)
    if path.suffix == ".keras":
        return _compiled(read_model(path), image_size)
    for suffixes, open_file in _FILES.items():
        if path.name.endswith(suffixes):
            return open_file(path, image_size)
    raise InputError(f"{printable(path)} is not a model. Expected {_EXPECTED}.")


def _open_folder(folder: pathlib.Path, image_size: int | None) -> Engine:
    if addresses.is_folder(folder):
        return _compiled(create_model(folder), image_size)
    if (folder / _SAVED_MODEL).is_file():
        if folder.name == exports.CLASSIFICATION:
            return exports.HubEngine(folder, image_size)
        return exports.SavedModelEngine(folder, image_size)
    module = folder / exports.CLASSIFICATION
    if (module / _SAVED_MODEL).is_file():
        return exports.HubEngine(module, image_size)
    archive = module.with_name(f"{module.name}.tar.gz")
    if archive.is_file():
        return exports.HubEngine(archive, image_size)
    if (folder / FILE).is_file():
        return exports.OnnxEngine(folder / FILE, image_size)
    for name in FORMATS:  # The most exact one available.
        if (folder / f"{name}.tflite").is_file():
            return exports.LiteEngine(folder / f"{name}.tflite", image_size)
    if numbers := versions(folder):
        return exports.SavedModelEngine(folder / str(numbers[-1]), image_size)
    found = shown(sorted(os.listdir(folder))) or "nothing"
    raise InputError(
        f"{printable(folder)} contains no model. Expected {_EXPECTED}. Found: {found}."
    )


# Suffixes of export files.
_FILES: dict[tuple[str, ...], Callable[[pathlib.Path, int | None], Engine]] = {
    (".tflite",): exports.LiteEngine,
    (".onnx",): exports.OnnxEngine,
    SUFFIXES: exports.HubEngine,
}

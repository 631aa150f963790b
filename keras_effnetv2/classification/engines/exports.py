"""Exports of this package, each in its own engine.

They share the manifest `model.json`, which has the preprocessing and the names of the
classes.
"""

import json
import os
import pathlib
import tempfile
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_effnetv2.classification.engines.engine import sized
from keras_effnetv2.errors import InputError, require_modules
from keras_effnetv2.export.checks import engines
from keras_effnetv2.export.manifests import read_preprocessing, recorded
from keras_effnetv2.export.publishing import MANIFEST
from keras_effnetv2.export.tf_hub import module_archives
from keras_effnetv2.preprocessing import Preprocessing

# Names of the modules in an export for TF Hub.
CLASSIFICATION, FEATURES = "classification", "feature_vector"


class SavedModelEngine:
    """A SavedModel from `export.saved_model`, or a version from `export.serving`.

    Args:
        path: its folder.
        image_size: side of the images, pixels; None: the evaluation size.

    Raises:
        ValueError: it is damaged, has no manifest, or takes another size.
    """

    def __init__(self, path: pathlib.Path, image_size: int | None) -> None:
        self.name = path.name
        record = read_preprocessing(path / MANIFEST)
        self._loaded = _load(path)
        scores = self._loaded.signatures["serving_default"]
        (pixels,) = scores.structured_input_signature[1].values()
        self._dtype = pixels.dtype.as_numpy_dtype
        self.record = sized(record, tuple(pixels.shape[1:3]), image_size)
        self.num_classes = scores.structured_outputs["probabilities"].shape[-1]

    def scores(self, images: np.ndarray) -> np.ndarray:
        """Probabilities `(batch, classes)`."""
        return self._run("serving_default", images)["probabilities"].numpy()

    def features(self, images: np.ndarray) -> np.ndarray:
        """The input of the classifier, `(batch, channels)`."""
        return self._run("features", images)["features"].numpy()

    def _run(self, signature: str, images: np.ndarray) -> Any:
        pixels = tf.constant(as_pixels(images, self._dtype))
        return self._loaded.signatures[signature](images=pixels)


class HubEngine:
    """Modules from `export.hub`: pixels in [0, 1] to logits, and to features.

    Args:
        path: folder or archive of the module `classification`; its parent folder is the
            export, with the manifest.
        image_size: side of the images, pixels; None: the evaluation size.

    Raises:
        ValueError: it is damaged, has no manifest, or takes another size.
    """

    def __init__(self, path: pathlib.Path, image_size: int | None) -> None:
        self._folder, self.name = path.parent, path.parent.name
        record = read_preprocessing(self._folder / MANIFEST)
        self._modules = {CLASSIFICATION: _load(path)}
        function = self._modules[CLASSIFICATION].signatures["serving_default"]
        (pixels,) = function.structured_input_signature[1].values()
        self.record = sized(record, tuple(pixels.shape[1:3]), image_size)
        self.num_classes = function.structured_outputs["logits"].shape[-1]

    def scores(self, images: np.ndarray) -> np.ndarray:
        """Probabilities `(batch, classes)`."""
        logits = keras.ops.convert_to_tensor(self._run(CLASSIFICATION, images))
        activation = keras.activations.get(self.record.activation)
        return keras.ops.convert_to_numpy(activation(logits))

    def features(self, images: np.ndarray) -> np.ndarray:
        """The input of the classifier, `(batch, channels)`, from the other module."""
        if FEATURES not in self._modules:
            folder = self._folder / FEATURES
            archive = folder.with_name(f"{FEATURES}.tar.gz")
            self._modules[FEATURES] = _load(folder if folder.is_dir() else archive)
        return self._run(FEATURES, images)

    def _run(self, name: str, images: np.ndarray) -> np.ndarray:
        return self._modules[name](tf.constant(images / 255), training=False).numpy()


class OnnxEngine:
    """A graph from `export.onnx` in ONNX Runtime.

    Args:
        path: the file. Its metadata contain what a manifest does.
        image_size: side of the images, pixels; None: the evaluation size.

    Raises:
        ImportError: ONNX Runtime is not installed.
        ValueError: it is damaged, has no metadata, or takes another size.
    """

    def __init__(self, path: pathlib.Path, image_size: int | None) -> None:
        require_modules("ONNX graphs need", "export", "onnxruntime")
        import onnxruntime

        self.name = path.stem
        try:
            self._session = onnxruntime.InferenceSession(
                os.fspath(path), providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # It raises its own classes.
            raise _unreadable(path, "an ONNX graph", error) from error
        record = self._record(path)
        (pixels,) = self._session.get_inputs()
        height, width = (x if isinstance(x, int) else None for x in pixels.shape[1:3])
        self._dtype = np.uint8 if "uint8" in pixels.type else np.float32
        self.record = sized(record, (height, width), image_size)
        (scores,) = (
            x for x in self._session.get_outputs() if x.name == "probabilities"
        )
        self.num_classes = scores.shape[-1]

    def scores(self, images: np.ndarray) -> np.ndarray:
        """Probabilities `(batch, classes)`."""
        return self._run("probabilities", images)

    def features(self, images: np.ndarray) -> np.ndarray:
        """The input of the classifier, `(batch, channels)`."""
        return self._run("features", images)

    def _record(self, path: pathlib.Path) -> Preprocessing:
        entries = self._session.get_modelmeta().custom_metadata_map
        try:
            labels = json.loads(entries.get("labels", "null"))
            return recorded({**json.loads(entries["preprocessing"]), "labels": labels})
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{path} does not say how its images are made: its metadata have no "
                "preprocessing, unlike those of exports of this package."
            ) from error

    def _run(self, output: str, images: np.ndarray) -> np.ndarray:
        inputs = {"images": as_pixels(images, self._dtype)}
        return np.asarray(self._session.run([output], inputs)[0])


class LiteEngine:
    """A model from `export.litert`, which takes one image at a time.

    Args:
        path: the file; the manifest is next to it.
        image_size: side of the images, pixels; None: the only one that it takes.

    Raises:
        ValueError: it is damaged, has no manifest, or takes another size.
    """

    def __init__(self, path: pathlib.Path, image_size: int | None) -> None:
        self.name = path.stem
        record = read_preprocessing(path.parent / MANIFEST)
        try:
            self._model = engines.litert_interpreter(
                os.fspath(path), num_threads=os.cpu_count() or 1
            )
            runner = self._model.get_signature_runner()
        except (ValueError, RuntimeError) as error:
            raise _unreadable(path, "a LiteRT model", error) from error
        _, height, width, _ = runner.get_input_details()["images"]["shape"]
        self.record = sized(record, (int(height), int(width)), image_size)
        shape = runner.get_output_details()["probabilities"]["shape"]
        self.num_classes = int(shape[-1])

    def scores(self, images: np.ndarray) -> np.ndarray:
        """Probabilities `(batch, classes)`."""
        rows = [engines.run_litert_model(self._model, x)[0] for x in images]
        return np.stack([row["probabilities"] for row in rows])

    def features(self, images: np.ndarray) -> np.ndarray:
        """Refused, as the file has no features.

        Raises:
            ValueError: always.
        """
        raise InputError(
            "LiteRT models give only scores. For features, pass the model that this "
            "one was exported from, or another export of it."
        )


def as_pixels(images: np.ndarray, dtype: Any) -> np.ndarray:
    """Images in the dtype that a graph takes, rounded if that is uint8."""
    if np.issubdtype(dtype, np.integer):
        images = np.clip(np.round(images), 0, 255)
    return images.astype(dtype)


def _load(path: pathlib.Path) -> Any:
    """The SavedModel in a folder or archive.

    Raises:
        ValueError: it is damaged, or not a SavedModel.
    """
    try:
        if path.is_dir():
            return tf.saved_model.load(os.fspath(path))
        with tempfile.TemporaryDirectory() as scratch:
            module_archives.unpack(path, pathlib.Path(scratch))
            return tf.saved_model.load(scratch)
    except InputError:
        raise
    except Exception as error:  # TensorFlow raises anything on damaged files.
        raise _unreadable(path, "a SavedModel", error) from error


def _unreadable(path: pathlib.Path, kind: str, error: Exception) -> InputError:
    reason = " ".join(str(error).split())
    return InputError(f"{path} cannot be read as {kind}: {reason}")

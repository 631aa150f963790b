"""Compares exports, run by their engines in another process, with the model."""

import contextlib
import os
import pathlib
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_effnetv2.data.decoding import cropping, images
from keras_effnetv2.errors import InputError
from keras_effnetv2.export.checks import engines
from keras_effnetv2.export.classifier import Classifier
from keras_effnetv2.networks.heads import find_head, logits
from keras_effnetv2.networks.transfer import feature_pyramid

# Maximum difference of float32 formats, relative to the largest number of an output.
# Trained networks stay below 1e-5; random weights can magnify rounding a hundredfold.
MAX_DIFFERENCE = 1e-3
_NUM_SAMPLES = 3

# Seconds that an engine may take; any positive number.
TIME_VARIABLE = "KERAS_EFFNETV2_ENGINE_SECONDS"
_START_SECONDS = 600.0
_IMAGE_SECONDS = 30.0


def run_engine(
    engine: str,
    path: str | os.PathLike,
    inputs: engines.Arrays,
    seconds: float | None = None,
) -> engines.Arrays:
    """Outputs of an export in another process, which does not import this package.

    Args:
        engine: a name of `engines.ENGINES`.
        path: path of the export.
        inputs: signature -> name of an input -> array.
        seconds: time limit. None: that of the variable `KERAS_EFFNETV2_ENGINE_SECONDS`,
            or 10 minutes plus half a minute per image.

    Raises:
        ValueError: the engine refuses the export, or takes longer.
    """
    seconds = seconds or _time_limit(inputs)
    with tempfile.TemporaryDirectory() as folder:
        files = [pathlib.Path(folder, name) for name in ("inputs", "outputs")]
        files[0].write_bytes(pickle.dumps(inputs))
        command = [sys.executable, engines.__file__, engine, os.fspath(path)]
        try:
            code, errors = _run([*command, *map(str, files)], seconds)
        except subprocess.TimeoutExpired:
            raise InputError(
                f"{engine} did not finish {path} within {seconds:g} s, and was "
                f"stopped. Set {TIME_VARIABLE} to more seconds if the machine is that "
                "slow."
            ) from None
        if code:
            lines = errors.strip().splitlines() or ["it was killed"]
            raise InputError(f"{engine} cannot run {path}: {lines[-1]}")
        return pickle.loads(files[1].read_bytes())


def _run(command: list[str], seconds: float) -> tuple[int, str]:
    """Exit status and standard error of a program; leaves no processes behind."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env={"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ},
        start_new_session=True,  # So that its children end with it.
    )
    with process:
        try:
            _, errors = process.communicate(timeout=seconds)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, errors


def _time_limit(inputs: engines.Arrays) -> float:
    """Seconds from the environment, or else more than any sound export needs."""
    text = os.environ.get(TIME_VARIABLE)
    if text is None:
        arrays = (x for named in inputs.values() for x in named.values())
        return _START_SECONDS + _IMAGE_SECONDS * sum(len(x) for x in arrays)
    with contextlib.suppress(ValueError):
        if 0 < float(text) < threading.TIMEOUT_MAX:
            return float(text)
    raise InputError(
        f"{TIME_VARIABLE} must be a positive number of seconds. Received: {text!r}."
    )


def compare(wanted: engines.Arrays, found: engines.Arrays) -> dict[str, float]:
    """Largest differences by `signature/output`, relative to the largest number."""
    return {
        f"{name}/{key}": relative_difference(array, found[name][key])
        for name, arrays in wanted.items()
        for key, array in arrays.items()
    }


def relative_difference(
    wanted: np.ndarray, found: np.ndarray, least: float = 0.0
) -> float:
    """The largest difference relative to the largest number of `wanted`, or `least`."""
    if wanted.shape != found.shape:
        return float("inf")
    largest = max(np.max(np.abs(wanted)), least)
    return float(np.max(np.abs(wanted - found)) / largest)


def check_signatures(folder: pathlib.Path, signatures: Any) -> dict[str, float]:
    """Differences of a SavedModel's signatures from the model.

    Raises:
        ValueError: they are too large for rounding.
    """
    classifier = signatures.classifier
    pixels = sample_images(classifier, signatures.pixels.shape[1:3])
    inputs = {
        name: {"images": pixels.astype(specs["images"].dtype.as_numpy_dtype)}
        for name, specs in signatures.specs.items()
        if "images" in specs
    }
    wanted = keras_outputs(classifier, pixels)
    if "serving_bytes" in signatures.specs:
        encoded = sample_bytes()
        prepared = np.stack(
            [
                cropping.evaluation_image(images.to_rgb(x), classifier.evaluation)
                for x in encoded
            ]
        )
        of_bytes = keras_outputs(classifier, prepared)["serving_default"]
        inputs["serving_bytes"] = {"image_bytes": np.array(encoded, dtype=object)}
        wanted["serving_bytes"] = of_bytes
    wanted = {name: wanted[name] for name in inputs}
    differences = compare(wanted, run_engine("saved_model", folder, inputs))
    check_differences(differences, MAX_DIFFERENCE)
    return differences


def check_differences(differences: dict[str, float], largest: float) -> None:
    """Refuses an export that differs from the model.

    Raises:
        ValueError: a difference above `largest`.
    """
    for name, difference in differences.items():
        if not difference <= largest:  # NaN does not agree either.
            raise InputError(
                f"The export is not kept: its {name} differs from the model's by "
                f"{difference:.2g} of the largest number, more than {largest:g}."
            )


def keras_outputs(classifier: Classifier, pixels: np.ndarray) -> engines.Arrays:
    """The expected outputs of the signatures of pixels, from the model itself."""
    model = classifier.model
    outputs = {"scores": model.outputs[0], "features": find_head(model).features}
    if "reduction_1" in classifier.network.output:
        outputs["pyramid"] = feature_pyramid(model).output
    results = keras.Model(model.inputs[0], outputs).predict(pixels, verbose=0)
    scores, features = results.pop("scores"), results.pop("features")
    # Probabilities near 0 and 1 would hide differences.
    default = {"logits": _logits(classifier, scores, features)}
    if classifier.activation is not None:
        default["probabilities"] = np.asarray(classifier.probabilities(scores))
    return {
        "serving_default": default,
        "features": {"features": features},
        **results,
    }


def _logits(
    classifier: Classifier, scores: np.ndarray, features: np.ndarray
) -> np.ndarray:
    """Logits: the model's outputs, if they are logits, or from its own last layers."""
    if classifier.is_added:
        return scores
    head = find_head(classifier.model)
    x = logits(head.dense, features)
    for function in head.activations[:-1]:
        x = function(x)
    return keras.ops.convert_to_numpy(x)


def sample_images(
    classifier: Classifier, sides: Sequence[int | None] = (None, None)
) -> np.ndarray:
    """Smooth random pictures as float32, integer pixels 0..255.

    Args:
        classifier: the classifier, which determines the channels.
        sides: height and width; None: the model's, or its evaluation size.
    """
    size = classifier.preprocessing.image_size
    *own, channels = classifier.input_shape
    height, width = (x or y or size for x, y in zip(sides, own, strict=True))
    return np.stack(
        [_picture(seed, height, width, channels) for seed in range(_NUM_SAMPLES)]
    ).astype("float32")


def sample_bytes() -> list[bytes]:
    """Random pictures of odd sizes as JPEG and PNG files."""
    encoders = (tf.io.encode_jpeg, tf.io.encode_png)
    sides = ((97, 131), (180, 75))
    return [
        encode(_picture(seed, *shape, 3)).numpy()
        for seed, (encode, shape) in enumerate(zip(encoders, sides, strict=True))
    ]


def _picture(seed: int, height: int, width: int, channels: int) -> np.ndarray:
    """uint8 `(height, width, channels)`: coarse and fine random patches, added."""
    random = np.random.default_rng(seed)
    layers = [
        tf.image.resize(random.uniform(0, 1, (side, side, channels)), (height, width))
        for side in (3, 9, 27)
    ]
    mean = np.mean([np.asarray(x) for x in layers], axis=0)
    low, high = mean.min(), mean.max()
    return ((mean - low) / (high - low) * 255).round().astype("uint8")

"""`model.json`, the manifest next to every export: its contents and checks."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from keras_effnetv2.errors import InputError
from keras_effnetv2.export.classifier import Classifier
from keras_effnetv2.export.publishing import MANIFEST
from keras_effnetv2.networks.heads import activation_name
from keras_effnetv2.preprocessing import ACTIVATIONS, Preprocessing
from keras_effnetv2.version import __version__


@dataclasses.dataclass(frozen=True)
class Manifest:
    """The manifest of an export.

    Attributes:
        contents: contents of `model.json`.
    """

    contents: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        classifier: Classifier,
        kind: str,
        source: Mapping[str, str] | None,
        options: Mapping[str, Any],
    ) -> "Manifest":
        """The manifest of a classifier's export.

        Args:
            classifier: the exported classifier.
            kind: `"SavedModel"`, `"LiteRT"` and so on.
            source: `variant` and `weights`, as far as known.
            options: options of the export.
        """
        record = dataclasses.asdict(classifier.evaluation)
        activation = classifier.activation
        record["activation"] = activation and activation_name(activation)
        record["labels"] = classifier.labels and list(classifier.labels)
        return cls(
            {
                "format": kind,
                "name": classifier.model.name,
                **(source or {}),
                "classes": classifier.num_classes,
                "input_range": [0, 255],
                "preprocessing": record,
                "options": dict(options),
                "versions": {
                    "keras_effnetv2": __version__,
                    "tensorflow": tf.__version__,
                    "keras": keras.__version__,
                },
            }
        )

    def extended(self, **entries: Any) -> "Manifest":
        """The manifest with more entries."""
        return Manifest({**self.contents, **entries})

    def write(self, folder: pathlib.Path) -> None:
        """Writes `model.json` to `folder`."""
        text = json.dumps(self.contents, indent=2, ensure_ascii=False)
        (folder / MANIFEST).write_text(f"{text}\n", encoding="utf-8")


def read_preprocessing(path: pathlib.Path) -> Preprocessing:
    """The preprocessing from the manifest next to an export.

    Raises:
        ValueError: there is no manifest, or it is damaged.
    """
    try:
        contents = json.loads(path.read_text(encoding="utf-8"))
        return recorded(contents["preprocessing"])
    except FileNotFoundError:
        raise InputError(
            f"{path} is missing, which says how images are prepared. Pass the export's "
            "original path, or copy the whole folder."
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is not the manifest of an export: {error}."
        ) from error


def recorded(values: Mapping[str, Any]) -> Preprocessing:
    """The preprocessing recorded in a manifest or an ONNX graph.

    Raises:
        ValueError: a value is invalid.
        KeyError: a value is missing.
        TypeError: a value has another type.
    """
    record = dict(values)
    if record["activation"] not in ACTIVATIONS:  # None, or already applied.
        record["activation"] = ACTIVATIONS[0]
    return Preprocessing(**record)

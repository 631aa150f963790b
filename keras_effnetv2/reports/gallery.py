"""The images that a report shows, with information on each."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from keras_effnetv2.classification.engines.keras_models import KerasEngine
from keras_effnetv2.classification.explanations import Explainer
from keras_effnetv2.classification.predictions import class_names
from keras_effnetv2.errors import InputError
from keras_effnetv2.explanation import heat_maps
from keras_effnetv2.reports.evaluated_images import Evaluation, RunNetwork
from keras_effnetv2.reports.thumbnails import Thumbnails, enlarged

_MAX_IMAGES = 320
_HEAT_SIDE = 224  # Side of heat maps, pixels.


class Gallery:
    """Images by key, each with a thumbnail, as long as there is room.

    Args:
        temperature: divisor of the logits for the scores shown.
    """

    def __init__(self, temperature: float) -> None:
        self.images: dict[str, dict[str, Any]] = {}
        self.thumbnails = Thumbnails()
        self.temperature = temperature
        self._scores: dict[str, np.ndarray] = {}

    def scores(self, evaluation: Evaluation) -> np.ndarray:
        """Calibrated probabilities `(images, classes)`, computed once."""
        if evaluation.split not in self._scores:
            found = evaluation.probabilities(self.temperature)
            self._scores[evaluation.split] = found
        return self._scores[evaluation.split]

    def add(self, evaluation: Evaluation, rows: Iterable[int]) -> list[str]:
        """Adds images of a split; returns the keys of those that fit."""
        keys = (self._add(evaluation, int(row)) for row in rows)
        return [key for key in keys if key is not None]

    def _add(self, evaluation: Evaluation, row: int) -> str | None:
        key = f"{evaluation.split}-{evaluation.indices[row]}"
        if key in self.images:
            return key
        if len(self.images) >= _MAX_IMAGES or self.thumbnails.is_full:
            return None
        if not self.thumbnails.add(key, evaluation.pixels(row)):
            return None
        names, scores = evaluation.run.class_names, self.scores(evaluation)[row]
        predicted, labels = int(evaluation.predicted[row]), _labels(evaluation, row)
        self.images[key] = {
            "name": evaluation.name(row),
            "labels": [names[x] for x in labels],
            "own": [float(scores[x]) for x in labels],
            "predicted": names[predicted],
            "score": float(scores[predicted]),
            "heat": [],
        }
        return key

    def explain(self, evaluation: Evaluation, row: int, explainer: Explainer) -> None:
        """Adds heat maps of an image's predicted and true class."""
        (key,) = self.add(evaluation, [row]) or [None]
        if key is None or self.images[key]["heat"]:
            return
        predicted = int(evaluation.predicted[row])
        others = [x for x in _labels(evaluation, row) if x != predicted]
        classes = [predicted, *others[:1]]
        found = explainer(evaluation.pixels(row), None, classes, 0, "hirescam")
        if found.maps[0].size == 1:
            return  # The feature map has only one position.
        image = enlarged(found.image, _HEAT_SIDE)
        factor = image.shape[0] / found.image.shape[0]
        top, left, height, width = (factor * x for x in found.window)
        scale = float(found.maps.max()) or 1.0
        for index, heat in zip(classes, found.maps, strict=True):
            drawn = heat_maps.overlay(image, heat / scale, (top, left, height, width))
            name = f"{key}-heat-{index}"
            pixels = (255 * np.clip(drawn, 0, 1)).astype("uint8")
            if self.thumbnails.add(name, pixels, _HEAT_SIDE):
                entry = {"image": name, "class": evaluation.run.class_names[index]}
                self.images[key]["heat"].append(entry)


def open_explainer(run: RunNetwork) -> Explainer | None:
    """A function that draws heat maps; None if the network cannot be explained."""
    names = class_names(run.record.labels, run.num_classes)
    try:
        return Explainer(KerasEngine(run.network), names)
    except InputError:
        return None


def _labels(evaluation: Evaluation, row: int) -> list[int]:
    found = evaluation.labels[row]
    return np.flatnonzero(found).tolist() if evaluation.is_multi_label else [int(found)]

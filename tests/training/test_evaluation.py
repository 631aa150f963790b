"""Measuring a network on all of a feed."""

import types
import warnings

from keras_effnetv2.training import evaluation
from keras_effnetv2.training.devices import Devices


def test_the_end_of_the_images_is_no_warning(monkeypatch):
    """Keras, on several devices: that they ended, once they all were counted."""

    def evaluate(data, verbose):
        warnings.warn("Your input ran out of data.", stacklevel=1)

    monkeypatch.setattr(evaluation, "evaluation_data", lambda *_: None)
    layer = types.SimpleNamespace(preprocessing=None)
    monkeypatch.setattr(evaluation, "find_normalization", lambda _: layer)
    learner = types.SimpleNamespace(
        result=None, evaluate=evaluate, measured=lambda: {"loss": 1.0}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = evaluation.measure(learner, None, 8, Devices("mirrored"))
    assert found == {"loss": 1.0}

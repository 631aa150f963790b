"""Classes have their names, and the best come first."""

import dataclasses

import numpy as np

from keras_effnetv2.classification.predictions import Prediction, class_names
from keras_effnetv2.weights.labels import decode_predictions


def test_the_best_come_first_and_equals_in_order():
    names = class_names(("a", "b", "c"), 3)
    found = Prediction(None, np.array([0.25, 0.5, 0.25], "float32"), names)
    assert [dataclasses.astuple(x) for x in found.top(9)] == [
        (1, "b", 0.5),
        (0, "a", 0.25),
        (2, "c", 0.25),
    ]
    assert (found.index, found.name, found.score) == (1, "b", 0.5)
    assert repr(found) == "<Prediction b 0.5000, a 0.2500, c 0.2500>"


def test_classes_without_names_have_numbers():
    wanted = [("", "class 0"), ("", "class 1")]
    assert [*class_names(None, 2)] == wanted
    # Names of another number of classes are those of the pretrained body.
    assert [*class_names("imagenet", 2)] == [*class_names(("cat",), 2)] == wanted


def test_known_classes_have_ids_also_where_an_export_has_their_names_alone():
    for title, num in (("imagenet", 1000), ("imagenet21k", 21843)):
        known = class_names(title, num)
        scores = np.zeros((1, num))
        scores[0, 7] = 1
        assert decode_predictions(scores, top=1)[0][0][:2] == known[7]
        assert class_names(tuple(x.name for x in known), num) == known

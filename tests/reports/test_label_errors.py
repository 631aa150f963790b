"""Wrong labels that were planted are found, and few others."""

import numpy as np
import pytest
from scipy import special

from keras_effnetv2.reports.label_errors import find_label_errors


@pytest.fixture(scope="module")
def planted():
    """Scores of 400 images of 4 classes, labels of which 20 are wrong, and which."""
    random = np.random.default_rng(0)
    classes = np.arange(400) % 4
    logits = random.normal(0, 1, (400, 4)) + 5 * np.eye(4)[classes]
    wrong = random.choice(400, 20, replace=False)
    labels = classes.copy()
    labels[wrong] = (classes[wrong] + random.integers(1, 4, 20)) % 4
    return special.softmax(logits, axis=1).astype("float32"), labels, classes, wrong


def test_planted_errors_are_found(planted):
    scores, labels, classes, wrong = planted
    found = find_label_errors(scores, labels)
    rows = {x.row for x in found}
    # Of those that are right, about four in five are over the mean of their class.
    assert len(rows & {*wrong}) >= 15 and len(rows - {*wrong}) <= 2
    assert all(x.suggested == classes[x.row] for x in found if x.row in wrong)
    assert all(x.label == labels[x.row] != x.suggested for x in found)
    gaps = [x.score - x.own_score for x in found]
    assert gaps == sorted(gaps, reverse=True)


def test_what_a_network_did_not_learn_is_suspect(planted):
    scores, labels, _, wrong = planted
    found = {x.row for x in find_label_errors(scores, labels, trained_on=True)}
    assert found >= {x.row for x in find_label_errors(scores, labels)}
    assert len(found & {*wrong}) >= 18 and len(found - {*wrong}) <= 4


def test_a_class_without_images_suggests_nothing(planted):
    scores, labels, _, _ = planted
    with_more = np.concatenate([scores * 0.1, np.full((400, 1), 0.9)], axis=1)
    found = find_label_errors(with_more, labels)
    assert not any(x.suggested == 4 for x in found)


def test_what_is_right_is_not_suspect():
    scores = np.array([[0.9, 0.1], [0.2, 0.8]])
    assert find_label_errors(scores, np.array([0, 1])) == []

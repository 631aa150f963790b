"""Tables of a report against scikit-learn, SciPy and counting."""

import numpy as np
import pytest
from scipy import special, stats
from sklearn import metrics

from keras_effnetv2.reports import measures
from tests.reports import small_runs


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """Of a network of 7 classes."""
    return small_runs.write_network(tmp_path_factory.mktemp("runs"), "abcdefg")


@pytest.fixture(scope="module")
def multi_workdir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("multi")
    return small_runs.write_network(folder, "abcdefg", "loss=sigmoid")


@pytest.fixture(scope="module")
def evaluation(workdir):
    random = np.random.default_rng(0)
    labels = random.integers(0, 6, 300)  # None of the last class.
    logits = random.normal(0, 1, (300, 7)) + 1.5 * np.eye(7)[labels]
    return small_runs.evaluation(workdir, logits, labels)


@pytest.fixture(scope="module")
def multi_label(multi_workdir):
    random = np.random.default_rng(1)
    labels = (random.uniform(size=(200, 7)) < 0.3).astype("uint8")
    labels[:, 6] = 0
    logits = random.normal(0, 1, labels.shape) + 2 * labels - 1
    return small_runs.evaluation(multi_workdir, logits, labels)


@pytest.mark.parametrize(("hits", "total"), [(7, 10), (0, 20), (20, 20), (450, 500)])
def test_wilson_intervals(hits, total):
    wanted = stats.binomtest(hits, total).proportion_ci(method="wilson")
    found = measures.wilson_interval(hits, total)
    np.testing.assert_allclose(found, (wanted.low, wanted.high), atol=1e-12)


def test_accuracies_and_loss(evaluation):
    found = measures.summarize(evaluation, 1.0)
    labels = evaluation.labels
    scores = special.softmax(evaluation.logits.astype("float64"), axis=1)
    columns = range(7)
    assert found["accuracy"] == metrics.accuracy_score(labels, scores.argmax(1))
    top5 = metrics.top_k_accuracy_score(labels, scores, k=5, labels=columns)
    assert found["top5_accuracy"] == pytest.approx(top5)
    loss = metrics.log_loss(labels, scores, labels=columns)
    assert found["loss"] == pytest.approx(loss, rel=1e-5)
    assert measures.summarize(evaluation, 2.0)["accuracy"] == found["accuracy"]


def test_class_table(evaluation):
    rows = measures.measure_classes(evaluation)
    labels, predicted = evaluation.labels, evaluation.predicted
    for row in rows[:6]:
        own, taken = labels == row.index, predicted == row.index
        assert row.name == "abcdefg"[row.index] and row.support == own.sum()
        assert row.precision == pytest.approx((own & taken).sum() / taken.sum())
        assert row.recall == pytest.approx((own & taken).sum() / own.sum())
    assert rows[6].support == 0 and rows[6].recall is None


def test_confusion(evaluation):
    found = measures.confusion(evaluation)
    wanted = metrics.confusion_matrix(
        evaluation.labels, evaluation.predicted, labels=range(7)
    )
    np.testing.assert_array_equal(found, wanted)
    assert measures.most_confused(found, 7).tolist() == list(range(7))


def test_most_confused_classes():
    counts = np.diag(np.full(50, 100))
    counts[3, 40] = 9
    counts[12, 3] = 5
    counts[20, 21] = 1
    assert measures.most_confused(counts, 3).tolist() == [3, 12, 40]
    assert measures.most_confused(counts, 4).tolist() == [3, 12, 20, 40]


def test_several_labels(multi_label):
    rows = measures.measure_classes(multi_label)
    for row in rows[:6]:
        labels = multi_label.labels[:, row.index]
        logits = multi_label.logits[:, row.index]
        wanted = metrics.average_precision_score(labels, logits)
        assert row.average_precision == pytest.approx(wanted)
        assert row.f1 == pytest.approx(metrics.f1_score(labels, logits > 0))
    assert rows[6].average_precision is None
    best = multi_label.logits.argmax(1)
    hits = multi_label.labels[np.arange(200), best] > 0
    assert measures.summarize(multi_label, 1.0)["accuracy"] == hits.mean()


def test_several_labels_that_share_a_mass(workdir):
    """Of softmax, at most one class has a score above one half."""
    random = np.random.default_rng(2)
    labels = (random.uniform(size=(200, 7)) < 0.3).astype("uint8")
    logits = random.normal(0, 1, labels.shape) + 3 * labels
    rows = measures.measure_classes(small_runs.evaluation(workdir, logits, labels))
    scores = special.softmax(logits, axis=1)
    for row in rows:
        taken, own = scores[:, row.index] > 0.5, labels[:, row.index] > 0
        assert row.recall == pytest.approx((own & taken).sum() / own.sum())
        assert row.precision == pytest.approx((own & taken).sum() / taken.sum())


def test_scores_of_own_labels(evaluation, multi_label):
    own = measures.own_scores(evaluation, 1.0)
    scores = evaluation.probabilities()
    np.testing.assert_array_equal(own, scores[np.arange(300), evaluation.labels])
    own, scores = measures.own_scores(multi_label, 1.0), multi_label.probabilities()
    for row in range(20):
        of_labels = scores[row][multi_label.labels[row] > 0]
        wanted = of_labels.min() if len(of_labels) else 1 - scores[row].max()
        assert own[row] == pytest.approx(wanted)


def test_coverage_by_hand():
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05])
    is_hit = np.array([1, 1, 1, 0, 1, 0, 1, 0, 0, 0], bool)
    curve = measures.coverage_curve(scores[::-1], is_hit[::-1])
    np.testing.assert_allclose(curve[[0, 4, 9]], [1, 4 / 5, 5 / 10])
    rows = measures.coverage_table(scores, is_hit)
    everything, half = rows[0], rows[-1]
    assert (everything.coverage, everything.threshold) == (1.0, 0.0)
    assert everything.accuracy == 0.5
    assert (half.num_images, half.threshold, half.accuracy) == (5, 0.5, 0.8)


def test_equal_scores_are_answered_together():
    rows = measures.coverage_table(np.full(10, 0.5), np.ones(10, bool))
    assert [row.num_images for row in rows] == [10]

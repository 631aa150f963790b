"""The learner's loss, moving average and accumulation, against worked numbers."""

import dataclasses

import keras
import numpy as np
import pytest

from keras_effnetv2.layers import BatchNorm
from keras_effnetv2.layers.nesting import inner_layers
from keras_effnetv2.training.learner import losses
from keras_effnetv2.training.learner.building import build_learner
from keras_effnetv2.training.learner.network import (
    build_network,
    freeze_layers,
    variable_depths,
)
from tests.tiny_experiments import tiny_experiment

IMAGES = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3)).astype("uint8")
LABELS = np.eye(10, dtype="float32")[np.arange(8)]


def experiment(*assignments):
    settings = (
        "data.num_train_images=80",
        "batch_size=8",
        "progressive.dropout_rate=0,0",
        "optimizer.name=sgd",
        "optimizer.learning_rate=0.1",
        "optimizer.momentum=0",
        "schedule.name=constant",
        "schedule.warmup_epochs=0",
        "regularization.label_smoothing=0",
    )
    return tiny_experiment(*settings, *assignments)


def learner_of(settings):
    keras.utils.set_random_seed(0)
    return build_learner(settings, settings.stages(80), 80)


def fit(learner, steps=1):
    learner.fit(
        IMAGES,
        LABELS,
        batch_size=8,
        epochs=steps,
        shuffle=False,
        verbose=0,
    )


@pytest.mark.long
def test_rematerialization_learns_the_same():
    learners = [learner_of(experiment(f"model.remat={x}")) for x in ("false", "true")]
    for learner in learners:
        fit(learner, 2)
    for a, b in zip(*(x.network.get_weights() for x in learners), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-5)
    blocks = [x for x in learners[1].network.layers if hasattr(x, "remat")]
    assert blocks and all(block.remat for block in blocks)


@pytest.mark.parametrize("num_classes", [5, 6])
def test_of_five_classes_the_best_five_are_not_measured(num_classes):
    learner = learner_of(experiment(f"data.num_classes={num_classes}"))
    names = {"loss", "accuracy"} | ({"top5_accuracy"} if num_classes > 5 else set())
    assert learner.measured().keys() == names


def test_average_follows_weights_and_batch_statistics_with_the_official_warm_up():
    learner = learner_of(experiment("optimizer.ema_momentum=0.5"))
    expected = [np.array(w) for w in learner.network.get_weights()]
    for step in range(1, 9):
        fit(learner)
        momentum = min(0.5, (1 + step) / (10 + step))
        weights = learner.network.get_weights()
        expected = [
            momentum * a + (1 - momentum) * w
            for a, w in zip(expected, weights, strict=True)
        ]
    names = [w.path for w in learner.averaged.weights]
    assert any("moving_variance" in name for name in names)
    for average, wanted in zip(learner.averaged.get_weights(), expected, strict=True):
        np.testing.assert_allclose(average, wanted, rtol=1e-4, atol=1e-6)


def test_evaluation_looks_at_the_average():
    # Slowly: large scores would magnify rounding.
    settings = experiment("optimizer.ema_momentum=0.5", "optimizer.learning_rate=1e-3")
    learner = learner_of(settings)
    fit(learner, 2)
    weights = np.array([1, 1, 1, 1, 1, 0, 0, 0], "float32")
    learner.evaluate(IMAGES, LABELS, sample_weight=weights, batch_size=3, verbose=0)
    scores = keras.ops.convert_to_numpy(
        learner.averaged(IMAGES[:5].astype("float32"), training=False)
    )
    shifted = scores - scores.max(axis=1, keepdims=True)
    losses_ = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(5), np.arange(5)]
    measured = learner.measured()
    assert measured["loss"] == pytest.approx(losses_.mean(), rel=1e-4)
    hits = scores.argmax(axis=1) == np.arange(5)
    assert measured["accuracy"] == pytest.approx(hits.mean())


def test_l2_is_half_the_sum_of_squares_of_kernels_only():
    learner = learner_of(experiment("regularization.weight_decay=0.01"))
    kernels = [
        v for v in learner.network.trainable_variables if v.path.endswith("kernel")
    ]
    assert len(kernels) == len(learner.losses)
    expected = 0.01 * sum((np.array(v) ** 2).sum() / 2 for v in kernels)
    assert float(sum(learner.losses)) == pytest.approx(expected, rel=1e-5)


def test_gradient_of_the_step_includes_l2():
    plain, decayed = (
        learner_of(experiment(f"regularization.weight_decay={x}", "model.frozen="))
        for x in (0, 0.5)
    )
    before = np.array(plain.network.get_layer("predictions").kernel)
    for learner in (plain, decayed):
        fit(learner)
    after = [
        np.array(x.network.get_layer("predictions").kernel) for x in (plain, decayed)
    ]
    # One step of SGD at 0.1.
    np.testing.assert_allclose(after[0] - after[1], 0.1 * 0.5 * before, atol=1e-6)


def test_pieces_give_the_gradient_of_the_whole():
    """Without batch statistics, which are those of a piece."""
    frozen = "model.frozen=stem*,block*,top*"
    whole, pieces = (
        learner_of(experiment(frozen, f"optimizer.accumulation_steps={n}"))
        for n in (1, 4)
    )
    for learner in (whole, pieces):
        fit(learner, 3)
    for a, b in zip(
        whole.network.get_weights(), pieces.network.get_weights(), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    assert whole.measured()["loss"] == pytest.approx(
        pieces.measured()["loss"], rel=1e-5
    )


def test_frozen_layers_keep_weights_and_statistics():
    learner = learner_of(experiment("model.frozen=stem*,block1*"))
    before = {w.path: np.array(w) for w in learner.network.weights}
    fit(learner, 2)
    for weight in learner.network.weights:
        is_frozen = weight.path.startswith(("stem", "block1"))
        assert np.array_equal(before[weight.path], np.array(weight)) == is_frozen, (
            weight.path
        )


def test_batch_norms_may_be_frozen_alone():
    network = build_network(experiment("model.frozen=*bn"), None)
    frozen = [x for x in inner_layers(network) if x.weights and not x.trainable]
    assert frozen == [x for x in inner_layers(network) if isinstance(x, BatchNorm)]
    assert {x.path.count("/") for x in frozen} == {0, 1}


def test_a_frozen_pattern_that_fits_nothing_is_refused():
    network = build_network(experiment(), None)
    with pytest.raises(ValueError, match="no layer is called 'blck\\*'"):
        freeze_layers(network, ("blck*",))


@pytest.mark.long
def test_layer_decay_slows_what_is_far_from_the_classifier():
    settings = experiment("optimizer.layer_decay=0.5", "regularization.weight_decay=0")
    plain = dataclasses.replace(
        settings, optimizer=dataclasses.replace(settings.optimizer, layer_decay=1.0)
    )
    changes = []
    for each in (plain, settings):
        learner = learner_of(each)
        before = [np.array(v) for v in learner.trainable_variables]
        fit(learner)
        changes.append(
            [
                np.array(v) - b
                for v, b in zip(learner.trainable_variables, before, strict=True)
            ]
        )
    depths = variable_depths(learner.network)
    variables = learner.network.trainable_variables
    depth_of = {
        variable.path.partition("/")[0]: depth
        for variable, depth in zip(variables, depths, strict=True)
    }
    num_blocks = sum(layer.startswith("block") for layer in depth_of)
    assert depth_of["stem_conv"] == depth_of["stem_bn"] == num_blocks + 2
    assert depth_of["top_conv"] == depth_of["top_bn"] == depth_of["block3b"] - 1 == 1
    assert depths[-1] == 0
    for depth, whole, slowed in zip(depths, *changes, strict=True):
        np.testing.assert_allclose(slowed, whole * 0.5**depth, rtol=1e-3, atol=1e-6)


def test_rmsprop_starts_like_tensorflow_1():
    settings = experiment(
        "optimizer.name=rmsprop", "optimizer.epsilon=0.001", "optimizer.rho=0.9"
    )
    learner = learner_of(dataclasses.replace(settings, name="x"))
    optimizer = learner.optimizer
    variable = learner.trainable_variables[0]
    before, gradient = np.array(variable), np.ones(variable.shape, "float32")
    gradients = [
        gradient if i == 0 else np.zeros(v.shape, "float32")
        for i, v in enumerate(learner.trainable_variables)
    ]
    optimizer.apply(
        [keras.ops.convert_to_tensor(g) for g in gradients],
        learner.trainable_variables,
    )
    # ms = 0.9 * 1 + 0.1 * g * g; step = lr * g / sqrt(ms + epsilon).
    np.testing.assert_allclose(
        before - np.array(variable), 0.1 / np.sqrt(1.0 + 1e-3), rtol=1e-5
    )


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_adam_has_the_experiments_settings(name):
    settings = ("optimizer.beta_2=0.98", "optimizer.epsilon=0.25")
    optimizer = learner_of(experiment(f"optimizer.name={name}", *settings)).optimizer
    assert isinstance(optimizer, keras.optimizers.Adam)
    assert (optimizer.beta_2, optimizer.epsilon) == (0.98, 0.25)


@pytest.mark.parametrize("decay", [1.0, 0.5])
def test_adamw_decays_kernels_only(decay):
    learner = learner_of(
        experiment(
            "optimizer.name=adamw",
            f"optimizer.layer_decay={decay}",
            "regularization.weight_decay=0.5",
        )
    )
    variables = learner.trainable_variables
    for variable in variables:
        variable.assign(keras.ops.ones_like(variable))
    learner.optimizer.apply([keras.ops.zeros_like(x) for x in variables], variables)
    for variable in variables:
        is_kernel = variable.name.endswith("kernel")
        assert (np.max(variable) < 1) == is_kernel, variable.path
        assert is_kernel or np.min(variable) == 1, variable.path


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_softmax_loss_shares_a_mass_of_one_among_several_labels(smoothing):
    scores = np.array([[2.0, 1.0, 0.0, -1.0]], "float32")
    labels = np.array([[1, 1, 0, 0]], "float32")
    loss = losses.build_loss("softmax", smoothing)(labels, scores)
    wanted = np.array([0.5, 0.5, 0, 0]) * (1 - smoothing) + smoothing / 4
    logs = scores[0] - np.log(np.exp(scores[0]).sum())
    assert float(loss[0]) == pytest.approx(-(wanted * logs).sum(), rel=1e-5)


def test_sigmoid_loss_sums_a_yes_or_no_for_each_class():
    scores = np.array([[2.0, -1.0, 0.5]], "float32")
    labels = np.array([[1, 0, 1]], "float32")
    loss = losses.build_loss("sigmoid")(labels, scores)
    share = 1 / (1 + np.exp(-scores[0]))
    wanted = -(np.log(share[0]) + np.log(1 - share[1]) + np.log(share[2]))
    assert float(loss[0]) == pytest.approx(wanted, rel=1e-5)


def test_a_hit_is_the_largest_label_or_any_of_several():
    scores = np.array([[0.1, 0.9, 0.5], [0.9, 0.1, 0.5]], "float32")
    labels = np.array([[0.3, 0.7, 0], [0, 1, 1]], "float32")
    hits = [np.array(losses.top_k_hits(labels, scores, k)) for k in (1, 2, 5)]
    np.testing.assert_array_equal(hits, [[1, 0], [1, 1], [1, 1]])


def test_softmax_over_a_single_class_is_refused():
    with pytest.raises(ValueError, match="always 0.*Set loss=sigmoid"):
        build_network(experiment("data.num_classes=1"), None)
    network = build_network(experiment("data.num_classes=1", "loss=sigmoid"), None)
    assert network.preprocessing.activation == "sigmoid"


def test_a_classifier_alone_learns_from_zeros_as_in_evaluation():
    learner = learner_of(experiment("optimizer.head_epochs=1"))
    head = learner.network.get_layer("predictions")
    assert not np.any(head.kernel) and not np.any(head.bias)
    before = learner.network.get_weights()
    learner.train_head_only(True)
    fit(learner)
    after = learner.network.get_weights()
    changed = {
        weight.path
        for weight, one, other in zip(
            learner.network.weights, before, after, strict=True
        )
        if (one != other).any()
    }
    assert changed == {head.kernel.path, head.bias.path}
    # One step of SGD at 0.1: the gradient of softmax from even scores.
    mean_label = LABELS.mean(axis=0)
    expected = 0.1 * (mean_label - 0.1)
    np.testing.assert_allclose(np.array(head.bias), expected, atol=1e-6)
    learner.train_head_only(False)
    fit(learner)
    stem = learner.network.get_layer("stem_conv").kernel
    assert (np.array(stem) != before[0]).any()


@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
def test_class_weights_multiply_the_loss_by_the_mean_of_the_labels(kind):
    scores = np.random.default_rng(1).normal(size=(4, 3)).astype("float32")
    labels = np.array([[1, 0, 0], [0, 0, 1], [0.5, 0.5, 0], [0, 0, 0]], "float32")
    plain = losses.build_loss(kind)(labels, scores)
    weighed = losses.build_loss(kind, class_weights=[2, 4, 0.5])(labels, scores)
    np.testing.assert_allclose(weighed, plain * np.array([2, 0.5, 3, 1]), rtol=1e-5)


def test_balanced_classes_count_alike_and_an_image_1_on_average():
    weights = losses.balanced_weights([80, 20, 0])
    assert weights == [0.625, 2.5, 1.0]
    assert 80 * weights[0] == 20 * weights[1] == 50

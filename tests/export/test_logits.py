"""Models of logits: what makes probabilities of them is said, and never guessed."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_effnetv2 import create_model, export, name_classes
from keras_effnetv2.export.checks.roundtrip import keras_outputs, run_engine
from keras_effnetv2.export.classifier import Classifier
from keras_effnetv2.preprocessing import Preprocessing, record
from tests.commands.running import run_command
from tests.export import micro
from tests.tiny_networks import NANO

layers, losses = keras.layers, keras.losses
PIXELS = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype("float32")
# The shares of three labels that an image may have together.
LABELS = np.array([0.72, 0.06, 0.51])
LOGITS = np.log(LABELS / (1 - LABELS)).astype("float32")


def ending_in(*end):
    """A model of pixels whose last layers are given, the first for 8 features."""
    model = micro.classifier()
    x = model.layers[-1].input
    for layer in end:
        x = layer(x)
    return keras.Model(model.input, x)


def of_logits(*after):
    """Gives the same three numbers for every image."""
    dense = layers.Dense(3, kernel_initializer="zeros")
    model = ending_in(dense, *after)
    dense.bias.assign(LOGITS)
    return model


def compiled(loss, *after):
    model = of_logits(*after)
    model.compile(loss=loss)
    return model


def probabilities(model, **options):
    """By the graph of the exports, and by what these are compared with."""
    classifier = Classifier.open(model, False, **options)
    scores = classifier.outputs(PIXELS)
    found, logits = (np.asarray(scores[x]) for x in ("probabilities", "logits"))
    wanted = keras_outputs(classifier, PIXELS)["serving_default"]
    np.testing.assert_allclose(found, wanted["probabilities"], rtol=1e-5)
    np.testing.assert_allclose(logits, wanted["logits"], rtol=1e-4, atol=1e-6)
    return found


SIGMOID = [
    losses.BinaryCrossentropy(from_logits=True),
    losses.BinaryFocalCrossentropy(from_logits=True),
    [losses.BinaryCrossentropy(from_logits=True)],
]
SOFTMAX = [
    losses.CategoricalCrossentropy(from_logits=True),
    losses.SparseCategoricalCrossentropy(from_logits=True),
    losses.CategoricalFocalCrossentropy(from_logits=True),
]


@pytest.mark.parametrize("loss", SIGMOID)
def test_losses_of_yes_or_no_make_sigmoids(loss):
    np.testing.assert_allclose(probabilities(compiled(loss)), [LABELS] * 2, rtol=1e-5)


@pytest.mark.parametrize("loss", SOFTMAX)
def test_losses_of_one_class_make_softmaxes(loss):
    expected = np.exp(LOGITS) / np.exp(LOGITS).sum()
    found = probabilities(compiled(loss))
    np.testing.assert_allclose(found, [expected] * 2, rtol=1e-5)


def test_losses_by_the_outputs_name_are_found():
    model = of_logits()
    name = model.layers[-1].name
    model.compile(loss={name: losses.BinaryCrossentropy(from_logits=True)})
    np.testing.assert_allclose(probabilities(model), [LABELS] * 2, rtol=1e-5)


def test_an_argument_says_it_too():
    found = probabilities(of_logits(), activation="sigmoid")
    np.testing.assert_allclose(found, [LABELS] * 2, rtol=1e-5)
    model = compiled(SOFTMAX[0])
    found = probabilities(model, activation="sigmoid")
    np.testing.assert_allclose(found, [LABELS] * 2, rtol=1e-5)


@pytest.mark.parametrize(
    "loss",
    [None, "binary_crossentropy", "mse", losses.BinaryCrossentropy(), lambda y, x: x],
)
@pytest.mark.parametrize("after", [[], [layers.Activation("tanh")]])
def test_what_nothing_says_is_refused_before_work_starts(loss, after, tmp_path):
    model = compiled(loss, *after)
    for write in (export.saved_model, export.serving, export.onnx):
        with pytest.raises(ValueError, match="returns logits.*_activation='so"):
            write(model, tmp_path / "export")
    with pytest.raises(ValueError, match="returns logits"):
        export.litert(model, tmp_path / "export", formats=["float32"])
    assert not list(tmp_path.glob("export/*"))


def test_names_of_classes_say_nothing_of_logits():
    model = of_logits()
    name_classes(model, ["cat", "dog", "hen"])
    with pytest.raises(ValueError, match="returns logits"):
        Classifier.open(model, False)


def test_names_of_another_number_of_classes_are_those_of_the_body_alone():
    names = ("cat", "dog")
    contract = Preprocessing((128,), (128,), "bilinear", "center", 32, names)
    for classes, labels in ((2, names), (3, None)):
        model = micro.classifier_of(contract, classes)
        assert Classifier.open(model, False).labels == labels


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_released_weights_know_what_they_were_trained_with(activation):
    contract = record("efficientnetv2-s", "imagenet", 32)
    model = create_model(
        NANO,
        classes=1000,
        classifier_activation=None,
        preprocessing=contract.__class__(
            **{**vars(contract), "activation": activation}
        ),
    )
    function = keras.activations.get(activation)
    expected = function(model(PIXELS))
    np.testing.assert_allclose(probabilities(model), expected, rtol=1e-4)


def test_one_logit_has_no_softmax():
    model = ending_in(layers.Dense(1))
    with pytest.raises(ValueError, match="softmax is always 1.*'sigmoid'"):
        Classifier.open(model, False, activation="softmax")
    model.compile(loss=losses.BinaryCrossentropy(from_logits=True))
    expected = tf.sigmoid(model(PIXELS))
    np.testing.assert_allclose(probabilities(model), expected, rtol=1e-5)


@pytest.mark.parametrize(
    "end",
    [
        [layers.Dense(3, activation="sigmoid")],
        [layers.Dense(3), layers.Activation("sigmoid", dtype="float32")],
        [layers.Dense(3), layers.Activation("linear"), layers.Softmax()],
        [layers.Dense(8, activation="relu"), layers.Dense(3, activation="softmax")],
        [layers.Dense(3, activation="relu"), layers.Softmax()],
        [layers.Dense(1, activation="sigmoid")],
    ],
)
def test_probabilities_are_left_alone(end):
    model = ending_in(*end)
    # What a loss of logits would make of them.
    model.compile(loss=losses.BinaryCrossentropy(from_logits=True))
    np.testing.assert_allclose(probabilities(model), model(PIXELS), rtol=1e-5)


def test_an_activation_that_contradicts_the_models_is_refused():
    model = ending_in(layers.Dense(3, activation="softmax"))
    with pytest.raises(ValueError, match="by softmax. .*'sigmoid'. Leave"):
        Classifier.open(model, False, activation="sigmoid")
    assert Classifier.open(model, False, activation="softmax")
    with pytest.raises(ValueError, match="must be one of .*Received: 'tanh'"):
        Classifier.open(model, False, activation="tanh")


@pytest.mark.parametrize(
    ("end", "message"),
    [
        ([layers.Dense(3), layers.Rescaling(0.5), layers.Softmax()], "ends in Rescal"),
        ([layers.Reshape((1, 1, 8)), layers.Conv2D(3, 1)], "ends in Conv2D"),
        ([layers.Dense(3), layers.Dropout(0.5)], "ends in Dropout"),
    ],
)
def test_other_ends_are_refused_by_name(end, message):
    with pytest.raises(ValueError, match=message):
        Classifier.open(ending_in(*end), False)


def test_several_outputs_are_refused():
    model = of_logits()
    both = keras.Model(model.input, [model.output, model.layers[-1].input])
    with pytest.raises(ValueError, match="with one output. Received: .* with 2"):
        Classifier.open(both, False)


def test_a_network_as_the_last_layer_is_refused_by_name():
    inner = micro.classifier()
    images = keras.Input((32, 32, 3))
    outer = keras.Model(images, inner(images))
    with pytest.raises(ValueError, match=rf"itself a model \('{inner.name}'\). Export"):
        Classifier.open(outer, False)


def test_logits_that_may_stay_unknown_have_no_probabilities():
    classifier = Classifier.open(of_logits(), False, needs_probabilities=False)
    logits = classifier.logits(classifier.network(PIXELS)["features"])
    np.testing.assert_allclose(logits, [LOGITS] * 2, rtol=1e-5)
    with pytest.raises(ValueError, match="returns logits.*_activation='softmax'"):
        classifier.probabilities(logits)


def test_models_of_images_that_are_not_square_have_no_evaluation():
    contract = Preprocessing((128,), (128,), "bilinear", "center", 32)
    classifier = Classifier.open(micro.classifier_of(contract, 3, side=40), False)
    assert classifier.evaluation.image_size == 40
    model = micro.classifier()
    images = keras.Input((40, 60, 3))
    x = images
    for layer in model.layers[1:]:
        x = layer(x)
    classifier = Classifier.open(keras.Model(images, x), False)
    with pytest.raises(ValueError, match="square images. Received: .* 40x60 pixels"):
        _ = classifier.evaluation


def check_manifest(manifest, tolerance=1e-4):
    assert manifest.contents["preprocessing"]["activation"] == "sigmoid"
    named = {x: y for x, y in manifest.contents["differences"].items() if "probab" in x}
    assert named and max(named.values()) < tolerance


@pytest.mark.long
def test_every_format_gives_the_probabilities_that_were_trained(tmp_path, engines_here):
    model = compiled(SIGMOID[0])
    check_manifest(export.saved_model(model, tmp_path / "saved", fold=False))
    inputs = {"serving_default": {"images": PIXELS}}
    found = run_engine("saved_model", tmp_path / "saved", inputs)["serving_default"]
    np.testing.assert_allclose(found["probabilities"], [LABELS] * 2, rtol=1e-5)
    manifest = export.litert(model, tmp_path / "lite", formats=["float32"], fold=False)
    check_manifest(manifest)
    pytest.importorskip("tensorflow_hub")
    check_manifest(export.hub(model, tmp_path / "hub"))
    pytest.importorskip("tf2onnx")
    pytest.importorskip("onnxruntime")
    check_manifest(export.onnx(model, tmp_path / "onnx", fold=False))


def test_modules_to_fine_tune_need_no_probabilities(tmp_path, engines_here):
    pytest.importorskip("tensorflow_hub")
    manifest = export.hub(of_logits(), tmp_path / "hub")
    assert manifest.contents["preprocessing"]["activation"] is None
    assert set(manifest.contents["differences"]) == {
        "classification/logits",
        "feature_vector/features",
    }


def test_the_command_knows_the_loss_of_a_file(tmp_path, capsys, engines_here):
    words = ["export", "saved_model", "--no-fold", "--top", "2", "--weights"]
    words += [str(tmp_path / "model.keras"), "--output", str(tmp_path / "out")]
    of_logits().save(tmp_path / "model.keras")
    assert run_command(*words) != 0
    assert "--classifier_activation" in capsys.readouterr().err
    compiled(SIGMOID[0]).save(tmp_path / "model.keras")
    assert run_command(*words) == 0
    assert "serving_default/probabilities" in capsys.readouterr().out
    loaded = tf.saved_model.load(tmp_path / "out")
    found = loaded.signatures["serving_default"](images=tf.constant(PIXELS))
    np.testing.assert_allclose(found["probabilities"], [LABELS] * 2, rtol=1e-5)
    classes = loaded.signatures["classify"].structured_outputs["classes"]
    assert classes.shape.as_list() == [None, 2]

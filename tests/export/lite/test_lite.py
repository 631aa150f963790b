"""LiteRT models do what the model does, as far as their numbers allow."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.lite.tools import flatbuffer_utils

from keras_effnetv2 import create_model, export
from keras_effnetv2.data.sources import open_source
from keras_effnetv2.export.checks.roundtrip import relative_difference, run_engine
from keras_effnetv2.export.folding import fold_batch_norm
from keras_effnetv2.export.lite import conversion, format_reports, lite_models
from keras_effnetv2.preprocessing import record
from tests.export import micro
from tests.export.conftest import LABELS, PYRAMID
from tests.tiny_networks import NANO, spread_weights, tiny

interpreter = pytest.importorskip("ai_edge_litert.interpreter")
pytest.importorskip("sklearn")

# Numbers of types in the schema of LiteRT.
FLOAT32, INT8, UINT8 = 0, 9, 3


@pytest.fixture(scope="module")
def digits():
    return open_source("digits", "train[:24]", num_classes=10)


def pixels(size, num=64):
    """Digits as float32 `(num, size, size, 3)`, whole pixels 0..255."""
    digits = open_source("digits", "train", num_classes=10)
    found = [tf.image.resize(digits.read(i)[0], (size, size)) for i in range(num)]
    return np.round(found).astype("float32").repeat(3, axis=-1)


@pytest.fixture(scope="module")
def images():
    return pixels(48, num=4)


@pytest.fixture(scope="module")
def classifier():
    """The same in every run, with statistics of digits, and worth to be compressed."""
    keras.utils.set_random_seed(0)
    contract = record("efficientnetv2-s", "imagenet21k-ft1k", 48).unlabelled()
    model = create_model(
        dataclasses.replace(PYRAMID, width_coefficient=2.0),
        classes=len(LABELS),
        preprocessing=dataclasses.replace(contract, labels=LABELS),
    )
    spread_weights(model, pixels(48))
    # Random networks magnify the rounding of float16, trained ones do not.
    head = model.layers[-1]
    head.set_weights([0.25 * x for x in head.get_weights()])
    return model


@pytest.fixture(scope="module")
def exported(classifier, digits, tmp_path_factory):
    """Folder of all formats, and the manifest that was returned."""
    folder = tmp_path_factory.mktemp("lite") / "shop"
    source = {"variant": "tiny-s"}
    manifest = export.litert(classifier, folder, representative=digits, source=source)
    return folder, manifest


@pytest.fixture(scope="module")
def integers(classifier, digits, tmp_path_factory):
    """Folder of a model in integers from end to end, with logits."""
    folder = tmp_path_factory.mktemp("lite") / "integers"
    export.litert(
        classifier,
        folder,
        formats=["int8"],
        representative=digits,
        input_type="uint8",
        output_type="int8",
        logits=True,
    )
    return folder


def run(folder, images, name="float32"):
    """Probabilities of whole pixels by another process."""
    return run_engine("litert", folder, {name: {"images": images}})[name]


def graph(folder, name="int8"):
    contents = (folder / f"{name}.tflite").read_bytes()
    return flatbuffer_utils.convert_bytearray_to_object(contents).subgraphs[0]


def tensors(graph, layer):
    """Types of what the operators of a layer give."""
    found = [graph.tensors[x.outputs[0]] for x in graph.operators]
    return {x.type for x in found if layer in x.name.decode().partition(";")[0]}


def test_there_is_a_file_for_each_format(exported):
    folder, manifest = exported
    models = [f"{name}.tflite" for name in lite_models.FORMATS]
    others = ["labels.txt", "model.json", "report.md"]
    assert sorted(x.name for x in folder.iterdir()) == sorted(models + others)
    assert (folder / "labels.txt").read_text().split() == list(LABELS)
    written = json.loads((folder / "model.json").read_text())
    assert written == json.loads(json.dumps(manifest.contents))
    assert written["format"] == "LiteRT" and written["variant"] == "tiny-s"
    assert written["preprocessing"]["image_size"] == 48


@pytest.mark.parametrize("name, largest", [("float32", 1e-4), ("float16", 1e-2)])
def test_in_float_it_does_what_the_model_does(
    classifier, exported, images, name, largest
):
    found = run(exported[0], images, name)["probabilities"]
    wanted = np.asarray(classifier(images))
    assert relative_difference(wanted, found) < largest


def test_the_report_says_what_each_format_costs(exported):
    folder, manifest = exported
    rows = manifest.contents["formats"]
    assert list(rows) == list(lite_models.FORMATS)
    for name, row in rows.items():
        size = (folder / f"{name}.tflite").stat().st_size
        assert row["megabytes"] == size / 1e6
        assert 0 <= row["agreement"] <= 1
        assert row["accuracy"] is None
        times = row["milliseconds"] / rows["float32"]["milliseconds"]
        assert row["times_float32"] == pytest.approx(times) and times > 0
    sizes = [rows[x]["megabytes"] for x in ("dynamic", "float16", "float32")]
    assert sizes == sorted(sizes) and rows["float32"]["times_float32"] == 1
    assert rows["float32"]["agreement"] == 1 and rows["float16"]["agreement"] > 0.9
    assert rows["float32"]["largest_difference"] < rows["int8"]["largest_difference"]
    text = (folder / "report.md").read_text()
    assert text.count(".tflite |") == len(rows)
    assert "24 representative images" in text and "Accuracy" not in text


def test_batch_norms_are_folded_and_no_operator_is_tensorflows(exported):
    for name in lite_models.FORMATS:
        contents = (exported[0] / f"{name}.tflite").read_bytes()
        model = flatbuffer_utils.convert_bytearray_to_object(contents)
        assert not any(code.customCode for code in model.operatorCodes)
    operators = [
        flatbuffer_utils.opcode_to_name(model, i)
        for i in range(len(model.operatorCodes))
    ]
    assert "CONV_2D" in operators and "BATCH_MATMUL" not in operators


def test_more_images_at_a_time(exported, images):
    folder, _ = exported
    model = interpreter.Interpreter(str(folder / "float32.tflite"))
    (details,) = model.get_input_details()
    assert details["shape"].tolist() == [1, 48, 48, 3]
    model.resize_tensor_input(details["index"], images.shape)
    model.allocate_tensors()
    model.set_tensor(details["index"], images)
    model.invoke()
    found = model.get_tensor(model.get_output_details()[0]["index"])
    one_by_one = run(folder, images)["probabilities"]
    np.testing.assert_allclose(found, one_by_one, rtol=1e-4)


def test_integers_from_end_to_end(integers):
    found = graph(integers)
    assert FLOAT32 not in {x.type for x in found.tensors}
    (images,) = [found.tensors[i] for i in found.inputs]
    assert images.type == UINT8
    # Pixels as they are.
    scale, zero = images.quantization.scale, images.quantization.zeroPoint
    assert (scale.tolist(), zero.tolist()) == ([1.0], [0])
    assert {found.tensors[i].type for i in found.outputs} == {INT8}


def test_integers_agree_with_int8_of_float_inputs(exported, integers, images):
    ours = run(integers, images, "int8")
    wanted = run(exported[0], images, "int8")["probabilities"]
    np.testing.assert_allclose(ours["probabilities"], wanted, atol=1 / 128)
    exponentials = np.exp(ours["logits"])
    probabilities = exponentials / exponentials.sum(1, keepdims=True)
    np.testing.assert_allclose(ours["probabilities"], probabilities, atol=1 / 64)


@pytest.mark.long
def test_layers_stay_in_float(classifier, digits, tmp_path, exported):
    export.litert(
        classifier,
        tmp_path / "mixed",
        formats=["int8"],
        representative=digits,
        input_type="uint8",
        float_layers=["se", "top_*"],
    )
    mixed, whole = graph(tmp_path / "mixed"), graph(exported[0])
    for layer in ("/se", "/top_conv"):
        assert tensors(mixed, layer) == {FLOAT32}
        assert tensors(whole, layer) == {INT8}
    assert tensors(mixed, "/block1a") == {INT8}
    assert mixed.tensors[mixed.inputs[0]].type == UINT8


def test_accuracy_of_a_source_with_the_models_classes(tmp_path):
    model = create_model(NANO, classes=10)
    # Whatever the image, it is a five.
    model.get_layer("predictions").set_weights([np.zeros((32, 10)), np.eye(10)[5]])
    digits = open_source("digits", "test[:30]", num_classes=10)
    manifest = export.litert(
        model,
        tmp_path / "digits",
        formats=["float32"],
        evaluation=digits,
        image_size=32,
    )
    assert manifest.contents["preprocessing"]["image_size"] == 32
    labels = [int(digits.read(i)[1]) for i in range(30)]
    assert manifest.contents["compared_on"] == "30 evaluation images"
    accuracy = manifest.contents["formats"]["float32"]["accuracy"]
    assert accuracy == manifest.contents["keras_accuracy"]
    assert accuracy == np.mean(np.equal(labels, 5)) > 0
    assert "Accuracy" in (tmp_path / "digits" / "report.md").read_text()
    assert not (tmp_path / "digits" / "labels.txt").exists()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({}, "int8 is calibrated on real images. Received: none"),
        ({"formats": "int8"}, "Pass a list"),
        ({"formats": []}, "formats must be some of"),
        ({"formats": ["int4"]}, "formats must be some of"),
        ({"input_type": "int16"}, "input_type must be one of"),
        ({"formats": ["float32"], "output_type": "int8"}, "only for the format int8"),
        ({"formats": ["float32"], "float_layers": ["se"]}, "only for the format int8"),
        ({"float_layers": "se"}, "float_layers must be a list"),
        (
            {"float_layers": ["block9"], "representative": np.zeros((1, 8, 8, 3))},
            "no layer is called 'block9'",
        ),
        ({"formats": ["int8"]}, "other formats: float32"),
        ({"formats": ["float32"], "image_size": 0}, "at least 1"),
        ({"formats": ["float32"], "evaluation": "nowhere"}, "There is no folder"),
        ({"representative": []}, "There are no images"),
        ({"representative": np.zeros((3, 8, 8))}, "Received: one of shape"),
    ],
)
def test_bad_input_is_refused_before_work(
    classifier, tmp_path, monkeypatch, arguments, message
):
    monkeypatch.setattr(conversion.Conversion, "convert", pytest.fail)
    with pytest.raises(ValueError, match=message):
        export.litert(classifier, tmp_path / "shop", **arguments)
    assert not any(tmp_path.iterdir())


def test_a_model_of_one_size_keeps_it(tmp_path):
    model = create_model(NANO, input_shape=(40, 40, 3))
    with pytest.raises(ValueError, match="40x40"):
        export.litert(model, tmp_path / "a", formats=["float32"], image_size=48)


def test_layers_that_are_not_there_are_named(exported):
    contents = (exported[0] / "float32.tflite").read_bytes()
    with pytest.raises(ValueError, match="'block9'.*block1a.*top_conv"):
        conversion.find_operators(contents, ("block9",))
    found = conversion.find_operators(contents, ("block4a/se", "predictions"))
    assert all("/block4a" in x or "predictions" in x for x in found)


def test_a_sure_answer_of_one_class_may_be_rounded():
    sure = 1 / (1 + np.exp(-np.array([[12], [14], [16]], "float32")))
    rounded = np.nextafter(sure, np.float32(0))
    for found, largest in ((rounded, 1e-6), (np.ones_like(sure), 1e-4)):
        difference = format_reports._difference("log_probabilities", sure, found)
        assert 0 < difference < largest
    assert format_reports._difference("log_probabilities", sure, 0.9 * sure) > 0.1


def test_another_function_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(
        format_reports,
        "keras_probabilities",
        lambda classifier, pixels: np.full((len(pixels), 3), 1 / 3),
    )
    with pytest.raises(ValueError, match="not kept: its float32/prob"):
        export.litert(
            micro.classifier(), tmp_path / "shop", formats=["float32"], fold=False
        )
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
def test_a_trained_network_keeps_its_accuracy_in_every_format(tmp_path):
    keras.utils.set_random_seed(0)
    model = create_model(
        tiny("tiny-b0"),
        weights=None,
        classes=10,
        bn_momentum=0.8,
        preprocessing="imagenet21k-ft1k",
    )
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
    digits = open_source("digits", "train[:600]", num_classes=10)
    labels = np.array([digits.read(i)[1] for i in range(600)])
    model.fit(pixels(32, num=600), labels, batch_size=50, epochs=10, verbose=0)
    manifest = export.litert(
        model, tmp_path / "x", representative=digits, image_size=32
    )
    for row in manifest.contents["formats"].values():
        assert row["agreement"] > 0.95
        assert abs(row["accuracy"] - manifest.contents["keras_accuracy"]) < 0.05


@pytest.mark.slow
def test_float_layers_help_where_channels_have_uneven_ranges(
    classifier, digits, tmp_path
):
    """One large channel leaves few of the 256 steps of int8 to all others."""
    model = fold_batch_norm(classifier)
    first, then = model.get_layer("block2a"), model.get_layer("block3a")
    kernel, bias = first.project_conv.get_weights()
    kernel[..., 0], bias[0] = 300 * kernel[..., 0], 300 * bias[0]
    first.project_conv.set_weights([kernel, bias])
    kernel, bias = then.expand_conv.get_weights()
    kernel[:, :, 0] /= 300
    then.expand_conv.set_weights([kernel, bias])
    differences = []
    for layers in ([], ["block2a/project_conv", "block3a/expand_conv"]):
        manifest = export.litert(
            model,
            tmp_path / "shop",
            formats=["float32", "int8"],
            representative=digits,
            float_layers=layers,
            fold=False,
        )
        differences.append(manifest.contents["formats"]["int8"]["mean_difference"])
    assert differences[1] < differences[0] / 2

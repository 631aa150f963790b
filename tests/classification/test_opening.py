"""Models of any kind are found by their names, or it is said what was looked for."""

import dataclasses

import keras
import numpy as np
import pytest

from keras_effnetv2 import create_model, export
from keras_effnetv2.classification.classifying import Classifier
from keras_effnetv2.data.decoding import cropping, images
from keras_effnetv2.errors import InputError
from keras_effnetv2.export.manifests import Manifest, read_preprocessing
from keras_effnetv2.export.tf_hub import module_archives
from keras_effnetv2.networks import variants
from keras_effnetv2.networks.variant_files import write_variant
from keras_effnetv2.preprocessing import Preprocessing
from keras_effnetv2.training import load_run
from tests import image_files as files
from tests.commands import finished_run
from tests.conftest import ROOT
from tests.export import micro
from tests.servers import mirror
from tests.tiny_networks import NANO, NANO_FILE

LABELS = ("cat", "dog", "cow")


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    path = tmp_path_factory.mktemp("photos") / "a.png"
    path.write_bytes(files.encode(files.RGB, "PNG"))
    return path


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return micro.classifier(labels=LABELS)


def by_hand(model, path, record):
    crop = cropping.evaluation_image(images.read(path), record).numpy()
    return np.asarray(model(crop[None]))[0]


def check(classifier, model, path, tolerance=1e-5):
    wanted = by_hand(model, path, classifier.preprocessing)
    np.testing.assert_allclose(
        classifier.scores([path, path])[1], wanted, atol=tolerance
    )
    assert classifier(path).name == LABELS[wanted.argmax()]


def test_keras_files(model, photo, tmp_path):
    model.save(tmp_path / "network.keras")
    check(Classifier(tmp_path / "network.keras"), model, photo)


def test_saved_models(model, photo, tmp_path, engines_here):
    export.saved_model(model, tmp_path / "flowers", input_dtype="uint8", fold=False)
    classifier = Classifier(tmp_path / "flowers", batch_size=2)
    # Crops are no whole pixels.
    check(classifier, model, photo, 1e-2)
    wanted = Classifier(model).features(photo)
    np.testing.assert_allclose(classifier.features(photo), wanted, atol=5e-3)
    assert classifier.model is None
    with pytest.raises(InputError, match="'flowers' is an export, which has no grad"):
        classifier.explain(photo)


def test_modules_of_tf_hub(model, photo, tmp_path, engines_here):
    pytest.importorskip("tensorflow_hub")
    folder = tmp_path / "modules"
    export.hub(model, folder)
    wanted = Classifier(model).features(photo)
    classifier = Classifier(folder)
    check(classifier, model, photo)
    module_archives.unpack(folder / "classification.tar.gz", folder / "classification")
    check(Classifier(folder / "classification"), model, photo)
    np.testing.assert_allclose(classifier.features(photo), wanted, rtol=1e-4)


def test_onnx_graphs(model, photo, tmp_path, engines_here):
    pytest.importorskip("tf2onnx")
    export.onnx(model, tmp_path / "graph", image_size=48, fold=False)
    wanted = Classifier(model, image_size=48).features(photo)
    (tmp_path / "alone.onnx").write_bytes((tmp_path / "graph/model.onnx").read_bytes())
    for path in (tmp_path / "graph", tmp_path / "alone.onnx"):
        classifier = Classifier(path)
        assert classifier.preprocessing.image_size == 48
        check(classifier, model, photo)
        np.testing.assert_allclose(classifier.features(photo), wanted, rtol=1e-4)
    with pytest.raises(InputError, match="takes images of 48x48 pixels"):
        Classifier(tmp_path / "graph", image_size=32)


def test_litert_models(model, photo, tmp_path, engines_here):
    folder = tmp_path / "phones"
    export.litert(model, folder, formats=["float32", "dynamic"], fold=False)
    check(Classifier(folder), model, photo)
    check(Classifier(folder / "dynamic.tflite"), model, photo, 0.05)
    with pytest.raises(InputError, match="LiteRT models give only scores"):
        Classifier(folder).features(photo)
    (tmp_path / "lost.tflite").write_bytes((folder / "float32.tflite").read_bytes())
    with pytest.raises(InputError, match="model.json is missing, which says how"):
        Classifier(tmp_path / "lost.tflite")


@pytest.mark.long
def test_versions_of_tf_serving_and_exports_of_earlier_versions(photo):
    written = ROOT / "tests" / "written" / "0.1.0"
    wanted = Classifier(written / "classifier.keras").scores(photo)
    for path in ("serving", "hub"):
        found = Classifier(written / path).scores(photo)
        np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_work_folders(photo, tmp_path):
    workdir = finished_run.write(tmp_path / "run")
    classifier = Classifier(workdir, checkpoint="last")
    wanted = by_hand(load_run(workdir, "last"), photo, classifier.preprocessing)
    np.testing.assert_allclose(classifier.scores(photo), wanted, rtol=1e-5)
    with pytest.raises(InputError, match="has no best checkpoint yet"):
        Classifier(workdir, checkpoint="best")


def test_variants_with_weights_of_their_own(photo, tmp_path):
    trained = create_model(NANO, classes=3)
    trained.save_weights(tmp_path / "nano.weights.h5")
    write_variant(NANO, tmp_path / "nano.json")
    classifier = Classifier(
        tmp_path / "nano.json", tmp_path / "nano.weights.h5", image_size=32
    )
    wanted = by_hand(trained, photo, classifier.preprocessing)
    np.testing.assert_allclose(classifier.scores(photo), wanted, rtol=1e-5)


def test_names_mean_released_weights(mirror_server):
    classifier = Classifier("efficientnetv2-b0")
    assert len(classifier.class_names) == 1000
    assert classifier.class_names[0] == ("n01440764", "tench")


def test_repositories_by_their_folder(photo, tmp_path, monkeypatch):
    # B0's name for a network with a block a stage.
    monkeypatch.setitem(variants.VARIANTS, mirror.VARIANT.name, mirror.VARIANT)
    trained = create_model(mirror.VARIANT, classes=3)
    folder = export.hugging_face(trained, tmp_path / "repository")
    classifier = Classifier(folder, image_size=32)
    wanted = by_hand(trained, photo, classifier.preprocessing)
    np.testing.assert_allclose(classifier.scores(photo), wanted, atol=1e-4)


def test_addresses_of_repositories_are_checked():
    with pytest.raises(InputError, match="hf://USER/REPO"):
        Classifier("hf://nobody")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "efficientnetv2-ss",
            "Unknown model 'efficientnetv2-ss'. Close to it: efficien",
        ),
        ("zzz", "Unknown model 'zzz'. Expected one of: efficientnetv2-b0"),
        ("absent.keras", "There is no file or folder absent.keras. Expected a .keras"),
        ("runs/absent", "There is no file or folder runs/absent"),
        (NANO_FILE, "nano.json holds a network without weights"),
        (
            str(ROOT / "setup.py"),
            "setup.py is not a model. Expected a .keras file, a work",
        ),
        (ROOT / "tests", r"tests contains no model. Expected .*\. Found: __init__.py"),
    ],
)
def test_what_is_no_model_is_said(name, message):
    with pytest.raises(InputError, match=message):
        Classifier(name)


@pytest.mark.parametrize("name", ["a.keras", "a.tflite", "a.onnx", "a.tar.gz"])
def test_damaged_files_are_named(tmp_path, name):
    (tmp_path / "model.json").write_text(
        (ROOT / "tests/written/0.1.0/hub/model.json").read_text()
    )
    (tmp_path / name).write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(InputError, match=f"{name} cannot be (read as|unpacked)"):
        Classifier(tmp_path / name)


@pytest.mark.parametrize("name", ["flowers", "classification"])
def test_damaged_folders_are_named(tmp_path, name):
    folder = tmp_path / "export" / name
    folder.mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"no graph")
    manifest = (ROOT / "tests/written/0.1.0/hub/model.json").read_text()
    (folder / "model.json").write_text(manifest)
    (folder.parent / "model.json").write_text(manifest)
    with pytest.raises(InputError, match=f"{name} cannot be read as a SavedModel: "):
        Classifier(folder)


@pytest.mark.parametrize(
    "entries", [{}, {"preprocessing": "{"}, {"preprocessing": "[]"}]
)
def test_graphs_that_do_not_say_how_their_images_are_made(tmp_path, entries):
    onnx = pytest.importorskip("onnx")
    kind = onnx.TensorProto.FLOAT
    ends = [
        onnx.helper.make_tensor_value_info(name, kind, [None, 4])
        for name in ("images", "probabilities")
    ]
    node = onnx.helper.make_node("Identity", ["images"], ["probabilities"])
    graph = onnx.helper.make_graph([node], "foreign", ends[:1], ends[1:])
    opset = onnx.helper.make_opsetid("", 17)
    foreign = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8)
    onnx.helper.set_model_props(foreign, entries)
    onnx.save(foreign, tmp_path / "foreign.onnx")
    with pytest.raises(InputError, match=r"foreign.onnx does not say how its images"):
        Classifier(tmp_path / "foreign.onnx")


def test_only_work_folders_are_read_from_afar():
    with pytest.raises(InputError, match="is not a work folder of train. .*copy it"):
        Classifier("ram://models/flowers.keras")


@pytest.mark.parametrize(
    ("contents", "reason"),
    [
        ("{", "Expecting property name"),
        ("[]", "list indices"),
        ("{}", "'preprocessing'"),
        ('{"preprocessing": {"activation": null}}', "missing 5 required"),
        ('{"preprocessing": null}', "not iterable"),
    ],
)
def test_damaged_manifests_are_named(tmp_path, contents, reason):
    (tmp_path / "model.json").write_text(contents)
    message = f"model.json is not the manifest of an export: .*{reason}"
    with pytest.raises(InputError, match=message):
        read_preprocessing(tmp_path / "model.json")


def test_activations_that_an_export_applies_itself_are_read_as_softmax(tmp_path):
    record = Preprocessing((128,), (128,), "bilinear", "center", 32, LABELS)
    for written, read in ((None, "softmax"), ("tanh", "softmax"), ("sigmoid",) * 2):
        values = {**dataclasses.asdict(record), "activation": written}
        Manifest({"preprocessing": values}).write(tmp_path)
        found = read_preprocessing(tmp_path / "model.json")
        assert found == dataclasses.replace(record, activation=read)


def test_models_and_other_weights_exclude_each_other(model, tmp_path):
    with pytest.raises(
        InputError, match="has its weights. Received: weights='imagenet'"
    ):
        Classifier(model, "imagenet")
    with pytest.raises(InputError, match="checkpoint='best' chooses among the weights"):
        Classifier(model, checkpoint="best")

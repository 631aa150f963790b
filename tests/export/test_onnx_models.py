"""ONNX Runtime and OpenVINO do what the model does, from the files alone."""

import importlib.util
import json

import keras
import numpy as np
import pytest

from keras_effnetv2 import create_model, export
from keras_effnetv2.export import onnx_models
from keras_effnetv2.export.checks.roundtrip import relative_difference, run_engine
from keras_effnetv2.export.classifier import Classifier
from keras_effnetv2.export.folding import in_float32
from keras_effnetv2.export.saved_models import Signatures
from tests.commands.running import run_command
from tests.export import micro
from tests.export.conftest import LABELS
from tests.tiny_networks import NANO, spread_weights

onnx = pytest.importorskip("onnx")
pytest.importorskip("tf2onnx")
pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def exported(classifier, tmp_path_factory):
    """Folder of the classifier's export, and the manifest that was returned."""
    folder = tmp_path_factory.mktemp("onnx") / "shop"
    return folder, export.onnx(classifier, folder, source={"variant": "tiny-s"})


def run(folder, images, engine="onnx"):
    """The outputs for one batch, by name."""
    found = run_engine(engine, folder / "model.onnx", {"batch": {"images": images}})
    return found["batch"]


def sides(tensor):
    dims = tensor.type.tensor_type.shape.dim
    return [dim.dim_param or dim.dim_value for dim in dims]


def test_its_outputs_are_the_models(classifier, exported, images):
    folder, _ = exported
    for batch in (images, images[:1, :33, :40]):
        found = run(folder, batch)
        wanted = np.asarray(classifier(batch))
        assert list(found) == ["probabilities", "logits", "features"]
        assert relative_difference(wanted, found["probabilities"]) < 1e-4
        kernel, bias = classifier.layers[-1].get_weights()
        logits = found["features"] @ kernel + bias
        assert relative_difference(found["logits"], logits) < 1e-4


def test_batch_and_sides_are_free_and_named(exported):
    graph = onnx.load(exported[0] / "model.onnx").graph
    (images,) = graph.input
    assert images.name == "images"
    assert sides(images) == ["batch", "height", "width", 3]
    assert sides(graph.output[0]) == ["batch", len(LABELS)]


def test_only_the_pixels_are_transposed(exported):
    """Any other transposition would move all activations through memory for nothing."""
    model = onnx.load(exported[0] / "model.onnx")
    operators = [node.op_type for node in model.graph.node]
    assert operators.count("Transpose") == 1
    assert "BatchNormalization" not in operators
    assert [(x.domain, x.version) for x in model.opset_import] == [("", 17)]


def test_the_metadata_say_how_to_prepare_and_to_read(classifier, exported):
    folder, manifest = exported
    model = onnx.load(folder / "model.onnx")
    metadata = {x.key: json.loads(x.value) for x in model.metadata_props}
    assert tuple(metadata["labels"]) == LABELS
    assert metadata["preprocessing"]["image_size"] == 48
    assert metadata["preprocessing"]["crop"] == "center_below_320"
    assert model.producer_name == "keras_effnetv2"
    assert (folder / "labels.txt").read_text().split() == list(LABELS)
    written = json.loads((folder / "model.json").read_text())
    assert written == json.loads(json.dumps(dict(manifest.contents)))
    assert written["format"] == "ONNX" and written["variant"] == "tiny-s"
    assert written["options"] == {"batch_norm_folded": True, "opset": 17}
    assert set(written["differences"]) == {
        f"{shape}/{output}"
        for shape in ("3 of 48x48", "1 of 34x39")
        for output in ("probabilities", "logits", "features")
    }


def test_the_newest_operators(tmp_path):
    manifest = export.onnx(micro.classifier(), tmp_path / "shop", opset=18, fold=False)
    assert max(manifest.contents["differences"].values()) < 1e-4
    versions = onnx.load(tmp_path / "shop" / "model.onnx").opset_import
    assert [x.version for x in versions] == [18]


@pytest.mark.slow
def test_a_users_model_of_mixed_precision_bytes_and_one_size(tmp_path, images):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        body = create_model(NANO, include_top=False, pooling="avg")
        head = keras.layers.Dense(3, activation="softmax")
        model = keras.Sequential([keras.Input((48, 48, 3)), body, head])
    finally:
        keras.config.set_dtype_policy("float32")
    spread_weights(body, images)
    manifest = export.onnx(model, tmp_path / "mine", image_size=48, input_dtype="uint8")
    assert manifest.contents["inputs"] == {"images": "uint8 (?, 48, 48, 3)"}
    assert max(manifest.contents["differences"].values()) < 1e-4
    found = run(tmp_path / "mine", images.astype("uint8"))["probabilities"]
    wanted = np.asarray(in_float32(model)(images))
    assert relative_difference(wanted, found) < 1e-4
    assert not (tmp_path / "mine" / "labels.txt").exists()
    metadata = onnx.load(tmp_path / "mine" / "model.onnx").metadata_props
    assert [x.key for x in metadata] == ["preprocessing"]


def test_openvino_reads_the_graph_and_the_saved_model(
    classifier, exported, images, tmp_path
):
    """1e-3: OpenVINO fuses operators and chooses kernels of its own, in float32."""
    pytest.importorskip("openvino")
    small = micro.classifier(len(LABELS))
    saved = Signatures(Classifier.open(small, fold=False), None, "float32", top=1)
    saved.write(tmp_path / "saved")
    inputs = {"batch": {"images": images}, "one": {"images": images[:1, :40]}}
    for model, path in (
        (classifier, exported[0] / "model.onnx"),
        (small, tmp_path / "saved"),
    ):
        found = run_engine("openvino", path, inputs)
        wanted = np.asarray(model(images))
        assert relative_difference(wanted, found["batch"]["probabilities"]) < 1e-3
        assert found["one"]["logits"].shape == (1, len(LABELS))


def test_the_command_writes_the_oldest_operators(tmp_path, capsys):
    micro.classifier().save(tmp_path / "shop.keras")
    words = ["export", "onnx", "--weights", str(tmp_path / "shop.keras")]
    words += ["--opset", "13", "--no-fold", "--output", str(tmp_path / "out")]
    assert run_command(*words) == 0
    assert "3 of 32x32/logits" in capsys.readouterr().out
    manifest = json.loads((tmp_path / "out" / "model.json").read_text())
    assert manifest["options"] == {"batch_norm_folded": False, "opset": 13}
    assert max(manifest["differences"].values()) < 1e-4


@pytest.mark.parametrize("opset", [12, 19, "17", None])
def test_unknown_operators_are_refused(classifier, tmp_path, opset):
    with pytest.raises(ValueError, match="opset must be 13 to 18. Received"):
        export.onnx(classifier, tmp_path / "shop", opset=opset)
    assert not list(tmp_path.iterdir())


def test_bad_sizes_and_dtypes_are_refused(classifier, tmp_path):
    for options in ({"image_size": 0}, {"input_dtype": "int32"}):
        with pytest.raises(ValueError, match=f"{next(iter(options))} must be"):
            export.onnx(classifier, tmp_path / "shop", **options)
    assert not list(tmp_path.iterdir())


def test_another_graph_than_the_models_is_not_kept(tmp_path, monkeypatch):
    def outputs(*args):
        return {
            "serving_default": {"logits": np.ones((3, 3), "float32")},
            "features": {},
        }

    monkeypatch.setattr(onnx_models, "keras_outputs", outputs)
    with pytest.raises(ValueError, match="The export is not kept: its 3 of 32x32/log"):
        export.onnx(micro.classifier(), tmp_path / "shop", fold=False)
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_named(classifier, tmp_path, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *args: None if name == "tf2onnx" else find_spec(name, *args),
    )
    with pytest.raises(ImportError, match=r"need tf2onnx: pip install .*\[export\]"):
        export.onnx(classifier, tmp_path / "shop")

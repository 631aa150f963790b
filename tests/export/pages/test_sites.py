"""What is in a site, and what is refused before it is made."""

import json

import numpy as np
import pytest
from PIL import Image

from keras_effnetv2 import Classifier, export
from keras_effnetv2.errors import InputError
from keras_effnetv2.export.pages import example_images
from tests.export import micro

pytest.importorskip("ai_edge_litert")


def test_a_site_has_all_that_its_page_asks_for(site):
    manifest = json.loads((site / "model.json").read_text())
    assert manifest["title"] == "Small" and manifest["not_sure_below"] == 0.3
    assert manifest["model_file"]["bytes"] == (site / "float16.tflite").stat().st_size
    assert len(manifest["probe"]) == 3 and not manifest["is_calibrated"]
    assert sum(manifest["probe"].values()) == pytest.approx(1, abs=1e-3)
    assert manifest["formats"]["float16"]["agreement"] == 1
    listed = (site / "files.js").read_text()
    assert json.loads(listed[listed.index("{") : listed.rindex("}") + 1])["files"] == [
        "icon.svg", "index.html", "model.json", "page/about.js", "page/bars.js",
        "page/camera.js", "page/classifier.js", "page/decoding.js", "page/engine.js",
        "page/errors.js", "page/evaluation.js", "page/gallery.js", "page/jpeg.js",
        "page/jpeg_pixels.js", "page/main.js", "page/messages.js", "page/offline.js",
        "page/resampling.js", "page/tables.js", "page/wasm_loading.js",
        "page/worker.js", "style.css", "sw.js",
    ]  # fmt: skip


def test_no_file_of_the_page_names_another_host(site):
    """But for the name space of SVG."""
    for path in [*site.glob("*.*"), *site.glob("page/*")]:
        if path.suffix in {".html", ".css", ".js", ".svg"}:
            text = path.read_text().replace("http://www.w3.org/2000/svg", "")
            assert "http:" not in text and "https:" not in text, path


def test_examples_are_small_and_say_nothing_of_the_camera(site, tmp_path):
    manifest = json.loads((site / "model.json").read_text())
    assert [x["name"] for x in manifest["examples"]] == ["turned", "upright"]
    with Image.open(site / manifest["examples"][0]["file"]) as turned:
        assert turned.size == (40, 56) and not turned.getexif()
    noise = np.random.default_rng(0).integers(0, 255, (1500, 3000, 3), "uint8")
    Image.fromarray(noise).save(tmp_path / "large.png")
    (example,) = example_images.read_examples(tmp_path)
    example_images.write_examples([example], tmp_path / "written")
    with Image.open(tmp_path / "written" / "01.jpg") as large:
        assert large.size == (1024, 512)


def test_a_site_is_a_model_for_the_classifier(site, model):
    pixels = np.random.default_rng(0).integers(0, 255, (40, 40, 3), "uint8")
    (wanted,) = [x.scores for x in [Classifier(model)(pixels)]]
    np.testing.assert_allclose(Classifier(site)(pixels).scores, wanted, atol=5e-3)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"format": "int8"}, "format must be one of"),
        ({"not_sure_below": 1.5}, "not_sure_below must be 0 to 1. Received: 1.5"),
        ({"examples": "none.jpg"}, "none.jpg cannot be read"),
        ({"examples": ["x.jpg"] * 25}, "up to 24 examples. Received: 25"),
        ({"runtime": "none.tgz"}, "npm pack @litertjs/core"),
    ],
)
def test_refused_before_any_work(model, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        export.web(model, tmp_path / "site", **options)
    assert not any(tmp_path.iterdir())


def test_gray_models_are_refused(tmp_path):
    import keras

    from keras_effnetv2.layers import PixelNormalization
    from keras_effnetv2.preprocessing import Preprocessing

    images = keras.Input((32, 32, 1))
    record = Preprocessing((128,), (128,), "bilinear", "center", 32)
    x = keras.layers.GlobalAveragePooling2D()(PixelNormalization(record)(images))
    gray = keras.Model(images, keras.layers.Dense(2, activation="softmax")(x))
    with pytest.raises(InputError, match="a model of 1 channels"):
        export.web(gray, tmp_path / "site")


def test_the_command(tmp_path, runtime_folder, capsys):
    from keras_effnetv2 import __main__ as command_line

    micro.classifier(3).save(tmp_path / "m.keras")
    flags = f"--weights {tmp_path}/m.keras --output {tmp_path}/site --no-fold"
    words = f" export web {flags} --runtime {runtime_folder} --title Mine"
    assert command_line.main(command_line.parse(words.split(" "))) == 0
    printed = capsys.readouterr().out
    assert "same best class as Keras for 100.00% of 3 random pictures" in printed
    assert f"python -m http.server --bind 127.0.0.1 --directory {tmp_path}" in printed

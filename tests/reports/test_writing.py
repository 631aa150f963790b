"""Reports are whole HTML that says what was measured, whatever things are called."""

import base64
import dataclasses
import html.parser
import io
import json
import re
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from keras_effnetv2 import __main__ as command_line
from keras_effnetv2.commands.shared.exported_models import open_model
from keras_effnetv2.errors import InputError
from keras_effnetv2.reports import (
    DataSurvey,
    gallery,
    report_contents,
    write_report,
    writing,
)
from keras_effnetv2.reports.calibration import measure_reliability
from keras_effnetv2.reports.thumbnails import Thumbnails, data_uri
from keras_effnetv2.training import evaluate_run, load_run
from keras_effnetv2.training.runs import temperature
from keras_effnetv2.training.runs.trained import describe_weights, fitted_temperature
from keras_effnetv2.training.runs.workdir import Workdir
from tests.reports import small_runs

pytest.importorskip("jinja2", reason="needs jinja2")

VOID = {"meta", "link", "img", "br", "hr", "input"}
IMAGES = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype("float32")


class Page(html.parser.HTMLParser):
    """A page's elements, text and scripts; every tag must be closed."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.texts, self.scripts = [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open
        (self.payload,) = (
            json.loads(x) for kind, x in self.scripts if kind == "application/json"
        )

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts.append((self.elements[-1][1].get("type"), data))
        elif self.open and self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())

    def attributes(self, name):
        return [x[name] for _, x in self.elements if name in x]


def read(path):
    return Page(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """Of a run whose classes and files have names that want to be code."""
    return small_runs.write(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def page(workdir):
    survey = DataSurvey(
        ["2 images are <the same>."], {"<i>one": {"train": 3, "validation": 1}}
    )
    path = write_report(workdir, tta=True, survey=survey, check_training_labels=True)
    assert path == workdir / "report.html"
    return read(path)


def test_the_figures_are_those_of_evaluate(page, workdir):
    measured = evaluate_run(workdir, strategy="cpu")
    assert f"{measured['accuracy']:.1%} accuracy 95% interval" in page.text
    assert f"{measured['loss']:.3f} loss" in page.text
    assert "images of validation" in page.text and "6 epochs" in page.text
    assert "top-5" not in page.text  # Of four classes.


def test_names_are_text_and_nothing_else(page):
    tags = [tag for tag, _ in page.elements]
    assert tags.count("script") == 2 and "b" not in tags and "i" not in tags
    assert "img" not in tags  # Thumbnails are made by the script.
    handlers = [x for _, found in page.elements for x in found if x.startswith("on")]
    assert not handlers
    for name in small_runs.HOSTILE:
        assert name in page.texts or " ".join(name.split()) in page.text
    names = {image["name"] for image in page.payload["images"].values()}
    assert f"validation/class0/{small_runs.HOSTILE_FILE}" in names
    assert "2 images are <the same>." in page.texts and "<i>one" in page.texts


def test_nothing_is_fetched(page):
    for name in ("src", "href", "xlink:href"):
        links = [x for x in page.attributes(name) if not x.startswith(("#", "data:"))]
        assert all(x.startswith("https://arxiv.org/") for x in links)
    assert [x for x in page.attributes("content") if x.startswith("default-src 'none'")]


def test_ids_are_of_one_element_and_links_go_to_one(page):
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))
    targets = page.attributes("href") + page.attributes("xlink:href")
    assert {x[1:] for x in targets if x.startswith("#")} <= {*ids}


def test_every_cell_has_its_images(page):
    payload = page.payload
    counted = [x for x in page.attributes("data-cell") if x in payload["cells"]]
    assert counted and len(counted) == len(page.attributes("data-cell"))
    assert (
        sum(x["count"] for x in payload["cells"].values()) == 36
    )  # All images of four classes.
    for cell in payload["cells"].values():
        assert 0 < len(cell["keys"]) <= cell["count"]
        for key in cell["keys"]:
            assert payload["images"][key]["predicted"] == cell["predicted"]
            assert payload["images"][key]["labels"] == [cell["label"]]


def test_mistakes_have_heat_maps(page):
    keys = page.attributes("data-image")
    image = page.payload["images"][keys[0]]
    assert [x["class"] for x in image["heat"]] == [image["predicted"], *image["labels"]]
    for key in (keys[0], *(x["image"] for x in image["heat"])):
        kind, _, data = page.payload["thumbnails"][key].partition(",")
        assert kind == "data:image/jpeg;base64"
        picture = Image.open(io.BytesIO(base64.b64decode(data)))
        assert 96 <= max(picture.size) <= 224


def test_the_temperature_stays_with_the_network(page, workdir):
    temperature = fitted_temperature(workdir)
    raw, calibrated = load_run(workdir, calibrated=False), load_run(workdir)
    before, after = (np.log(model(IMAGES)) for model in (raw, calibrated))
    gaps = [x - x[:, :1] for x in (before / temperature, after)]
    np.testing.assert_allclose(*gaps, atol=1e-4)
    assert f"Calibrated: logits / {temperature:.3g}." in describe_weights(workdir)
    assert f"temperature {temperature:.3g}" in page.text


def test_other_weights_have_no_temperature(page, workdir, tmp_path):
    copy = shutil.copytree(workdir, tmp_path / "run")
    assert fitted_temperature(copy) == fitted_temperature(workdir)
    model = load_run(copy, calibrated=False)
    model.layers[-1].bias.assign(np.arange(4.0))
    model.save_weights(Workdir(copy).weights)
    assert fitted_temperature(copy) is None
    assert "Calibrated" not in describe_weights(copy)
    np.testing.assert_array_equal(load_run(copy)(IMAGES), model(IMAGES))
    Workdir(copy).calibration.write_text('{"final.weights.h5": {"temperature": 0}}')
    with pytest.raises(ValueError, match="calibration.json is damaged"):
        load_run(copy)


def rendered(evaluation):
    fitted = report_contents.Fitted(1.0, is_here=True, is_held_out=True)
    return Page(
        writing._rendered(report_contents.gather(evaluation, fitted, None, None))
    )


@pytest.mark.long
def test_a_thousand_classes(tmp_path):
    random = np.random.default_rng(0)
    names = [f"class <{i}>" for i in range(1000)]
    workdir = small_runs.write_network(tmp_path / "run", names)
    labels = random.integers(0, 1000, 4000)
    logits = random.normal(0, 1, (4000, 1000)) + 4 * np.eye(1000)[labels]
    page = rendered(small_runs.evaluation(workdir, logits, labels))
    assert "980 others are left out" in page.text
    assert "top-5 accuracy" in page.text
    assert len(page.payload["images"]) <= 320
    assert sum(map(len, page.payload["thumbnails"].values())) <= 3_000_000


def test_several_labels_have_average_precision_and_no_confusion(tmp_path):
    random = np.random.default_rng(0)
    workdir = small_runs.write_network(tmp_path / "run", "abc", "loss=sigmoid")
    labels = (random.uniform(size=(40, 3)) < 0.4).astype("uint8")
    logits = random.normal(0, 1, labels.shape) + 2 * labels - 1
    page = rendered(small_runs.evaluation(workdir, logits, labels))
    assert "mean average precision" in page.text and "average precision" in page.texts
    assert "confusion" not in page.attributes("id")
    assert not page.attributes("data-cell") and "Likely wrong" not in page.text


def test_two_classes_without_an_error(tmp_path):
    workdir = small_runs.write_network(tmp_path / "run", "ab")
    labels = np.arange(20) % 2
    logits = 6.0 * np.eye(2)[labels]
    page = rendered(small_runs.evaluation(workdir, logits, labels))
    assert "100.0% accuracy 95% interval 83.9% to 100.0%" in page.text
    assert "None: every image is right." in page.text


def test_a_run_without_records_and_a_temperature_of_before(tmp_path):
    workdir = small_runs.write_network(tmp_path / "run", "ab")
    Workdir(workdir).metrics.unlink()
    labels = np.arange(20) % 2
    logits = 6.0 * np.eye(2)[(labels + (np.arange(20) > 16)) % 2]
    evaluation = small_runs.evaluation(workdir, logits, labels)
    evaluation = dataclasses.replace(evaluation, num_damaged=3)
    fitted = report_contents.Fitted(2.0, is_here=False, is_held_out=True)
    found = report_contents.gather(evaluation, fitted, None, None)
    assert found["course"] is None
    assert "3 images of 'validation' cannot be read" in found["data"]["warnings"][0]
    before, after = (
        measure_reliability(evaluation.probabilities(x).max(1), evaluation.is_hit)
        for x in (1.0, 2.0)
    )
    assert found["calibration"]["before"] == pytest.approx(before.error)
    assert found["calibration"]["after"] == pytest.approx(after.error)
    assert before.error != pytest.approx(after.error)


def test_weights_say_where_they_are_from(tmp_path):
    workdir = Workdir(small_runs.write_network(tmp_path / "run", "ab"))
    assert "final.weights.h5, of the end of the run." in describe_weights(workdir.path)
    workdir.best_weights.parent.mkdir(exist_ok=True)
    workdir.weights.replace(workdir.best_weights)
    with pytest.raises(InputError, match="is not finished"):
        describe_weights(workdir.path, "last")
    line = describe_weights(workdir.path, "best")
    assert "of the best evaluation: accuracy " in line
    workdir.metrics.unlink()
    line = describe_weights(workdir.path, "best")
    assert line.endswith("best.weights.h5, of the best evaluation.")


def test_a_report_has_room_for_so_many_images(tmp_path, monkeypatch):
    workdir = small_runs.write_network(tmp_path / "run", "ab")
    labels = np.arange(6) % 2
    evaluation = small_runs.evaluation(workdir, np.eye(2)[labels], labels)
    monkeypatch.setattr(gallery, "_MAX_IMAGES", 2)
    shown = gallery.Gallery(1.0)
    keys = ["validation-0", "validation-4"]
    assert shown.add(evaluation, [0, 4, 5]) == keys
    assert shown.add(evaluation, [4, 3, 0]) == keys[::-1]
    assert [*shown.images] == [*shown.thumbnails.uris] == keys
    shown = gallery.Gallery(1.0)
    shown.thumbnails = Thumbnails(len(data_uri(evaluation.pixels(0))) + 100)
    assert shown.add(evaluation, [0, 1, 2]) == ["validation-0"]
    assert [*shown.images] == ["validation-0"] and shown.thumbnails.is_full


def test_heat_maps_are_drawn_once_and_not_of_one_position(workdir, tmp_path):
    labels = np.arange(4) % 4
    evaluation = small_runs.evaluation(workdir, np.eye(4)[labels], labels)
    explainer = gallery.open_explainer(evaluation.run)
    shown = gallery.Gallery(1.0)
    shown.explain(evaluation, 1, explainer)
    (entry,) = shown.images["validation-1"]["heat"]
    assert entry["image"] in shown.thumbnails.uris
    shown.explain(evaluation, 1, explainer)
    assert len(shown.images["validation-1"]["heat"]) == 1
    full = gallery.Gallery(1.0)
    full.thumbnails = Thumbnails(0)
    full.explain(evaluation, 1, explainer)
    assert not full.images
    # Of three strides of 2, images of 8 pixels leave one position.
    tiny = small_runs.write_network(tmp_path / "run", "abcd", "model.eval_size=8")
    evaluation = small_runs.evaluation(tiny, np.eye(4)[labels], labels)
    shown = gallery.Gallery(1.0)
    shown.explain(evaluation, 1, gallery.open_explainer(evaluation.run))
    assert shown.images["validation-1"]["heat"] == []


@pytest.mark.parametrize(
    ("contents", "reason"),
    [
        ("{", "Expecting property name"),
        ("[]", "it is not an object"),
        ('{"a.weights.h5": 1}', "not subscriptable"),
        ('{"a.weights.h5": {"temperature": 1}}', "weights_sha256"),
        ('{"a.weights.h5": {"temperature": "x", "weights_sha256": ""}}', "'x'"),
        ('{"a.weights.h5": {"temperature": -1, "weights_sha256": ""}}', "is -1.0"),
        ('{"a.weights.h5": {"temperature": NaN, "weights_sha256": ""}}', "is nan"),
    ],
)
def test_damaged_temperatures_are_named(contents, reason, tmp_path):
    path, weights = tmp_path / "calibration.json", tmp_path / "a.weights.h5"
    weights.write_bytes(b"weights")
    temperature.write_temperature(path, weights, 1.5, 10)
    assert temperature.read_temperature(path, weights) == 1.5
    assert temperature.read_temperature(path, tmp_path / "b.weights.h5") is None
    path.write_text(contents)
    with pytest.raises(InputError, match="calibration.json is damaged: .*Remove") as e:
        temperature.read_temperature(path, weights)
    assert reason in str(e.value)


@pytest.mark.long
def test_images_that_were_trained_on_calibrate_nothing(workdir, tmp_path, capsys):
    copy, path = shutil.copytree(workdir, tmp_path / "run"), tmp_path / "a.html"
    Workdir(copy).calibration.unlink(missing_ok=True)
    words = ["", "evaluate", "--workdir", str(copy), "--report", str(path)]
    words += ["--set", "data.eval_split=train"]
    assert command_line.main(command_line.parse(words)) == 0
    page, found = read(path), capsys.readouterr()
    assert f"Report: {path}" in found.err and "Calibrated" not in found.err
    accuracy, loss = re.fullmatch(r"accuracy (.*)%  loss (.*)\n", found.out).groups()
    assert f"{float(accuracy):.1f}% accuracy" in page.text
    assert f"{float(loss):.3f} loss" in page.text
    assert "was trained on some or all of these images" in page.text
    assert "No temperature is fitted" in page.text
    assert not Workdir(copy).calibration.exists()


def test_exports_have_the_temperature(page, workdir):
    words = ["", "export", "onnx", "--workdir", str(workdir), "--output", "x"]
    model, source = open_model(command_line.parse(words))
    assert source["temperature"] == fitted_temperature(workdir)
    np.testing.assert_array_equal(model(IMAGES), load_run(workdir)(IMAGES))


def test_what_is_missing_is_said_before_anything_is_done(
    workdir, monkeypatch, tmp_path
):
    with pytest.raises(ValueError, match="not the work folder of a run"):
        write_report(tmp_path)
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ImportError, match=r"A report needs jinja2.*\[train\]"):
        write_report(workdir)


def test_diagrams_take_the_colours_of_the_page(page, workdir):
    text = (workdir / "report.html").read_text(encoding="utf-8")
    diagrams = re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL)
    assert len(diagrams) == 3
    for diagram in diagrams:
        assert "var(--blue)" in diagram and "<style" not in diagram
        assert "#000000" not in diagram and "#ffffff" not in diagram

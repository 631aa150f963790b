"""The page in Chromium: what visitors do, also with bad files, and offline."""

import csv
import io
import json
import shutil
import urllib.parse
import zlib

import numpy as np
import pytest
from PIL import Image

from keras_effnetv2 import Classifier
from keras_effnetv2 import __main__ as command_line
from tests import browsers, image_files
from tests.commands import finished_run
from tests.export.pages import sites

pytestmark = pytest.mark.long
KINDS = {"wasm": "WebAssembly, 1 thread", "threads": "WebAssembly, "}


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    random = np.random.default_rng(1)
    paths = [folder / f"{name}.png" for name in ("first", "second", "=1+1")]
    for path in paths:
        pixels = random.integers(0, 256, (6, 6, 3), "uint8").repeat(10, 0).repeat(9, 1)
        Image.fromarray(pixels).save(path)
    return paths


def cards(browser):
    return [x.text for x in browser.find_elements("css selector", "#cards li")]


def click(browser, css):
    browser.find_element("css selector", css).click()


def test_scores_are_those_of_keras(page, site, model, photographs):
    wanted = np.stack([x.scores for x in Classifier(model)(photographs)])
    folder = site / "given"
    folder.mkdir(exist_ok=True)
    for path in photographs:
        (folder / path.name).write_bytes(path.read_bytes())
    names = [f"/given/{urllib.parse.quote(path.name)}" for path in photographs]
    for kind, title in KINDS.items():
        scores, found = sites.classified(page, names, kind)
        np.testing.assert_allclose(scores, wanted, atol=2e-3)
        assert found.startswith(title)


@pytest.mark.long
def test_digits_of_a_run(chromium, runtime_folder, tmp_path, capsys):
    """Eight pixels become what the network was evaluated with; by the command line."""
    datasets = pytest.importorskip("sklearn.datasets")
    workdir = finished_run.write(tmp_path / "run")
    folder = tmp_path / "site"
    words = f" export web --workdir {workdir} --output {folder} --format float32"
    words = f"{words} --runtime {runtime_folder}".split(" ")
    assert command_line.main(command_line.parse(words)) == 0
    assert "100.00% of 360 evaluation images" in capsys.readouterr().out
    paths = [folder / f"digit_{number}.png" for number in range(20)]
    for path, image in zip(paths, datasets.load_digits().images, strict=False):
        Image.fromarray((image * 255 / 16).round().astype("uint8")).save(path)
    wanted = np.stack([x.scores for x in Classifier(workdir)(paths)])
    with sites.served(folder) as address:
        sites.open_page(chromium, address)
        scores, _ = sites.classified(chromium, [f"/{path.name}" for path in paths])
    np.testing.assert_allclose(scores, wanted, atol=1e-4)


def test_pictures_are_chosen_shown_and_downloaded(page, model, photographs, tmp_path):
    sites.give(page, *photographs)
    predictions = Classifier(model)(photographs)
    best = [x.top(1)[0] for x in predictions]
    shown = cards(page)
    assert len(shown) == 3 and best[-1].name.replace("_", " ") in shown[0]
    click(page, "#cards li:last-child button")
    bars = page.find_elements("css selector", "#bars li")
    names, shares = zip(*(bar.text.split("\n") for bar in bars), strict=True)
    assert names == tuple(x.name.replace("_", " ") for x in predictions[0].top(3))
    found = [float(x.rstrip("%")) / 100 for x in shares]
    assert found == pytest.approx([x.score for x in predictions[0].top(3)], abs=2e-3)
    assert "first.png, 54 x 60 pixels" in sites.text(page, "#facts")
    assert "ms per picture" in sites.text(page, "#engine")

    page.execute_cdp_cmd(
        "Browser.setDownloadBehavior",
        {"behavior": "allow", "downloadPath": str(tmp_path)},
    )
    click(page, "#download")
    sites.wait_for((tmp_path / "results.csv").exists)
    sites.wait_for(lambda: (tmp_path / "results.csv").stat().st_size)
    rows = [*csv.DictReader(io.StringIO((tmp_path / "results.csv").read_text()))]
    assert [x["file"] for x in rows] == ["first.png", "second.png", "'=1+1.png"]
    assert [x["class_1"].replace(" ", "_") for x in rows] == [
        x.name.replace(" ", "_") for x in best
    ]
    click(page, "#clear")
    assert not cards(page)
    assert not page.find_element("css selector", "#result").is_displayed()


def test_below_the_threshold_it_is_not_sure(page, photographs):
    """Of three classes the best has more than 0.3; so the page is told otherwise."""
    script = """
    const [threshold, done] = arguments;
    import("/page/gallery.js").then(({ Gallery }) => {
      const gallery = new Gallery({ not_sure_below: threshold }, () => {});
      done(gallery.isUnsure({ classes: [{ score: 0.5 }] }));
    });
    """
    assert page.execute_async_script(script, 0.6)
    assert not page.execute_async_script(script, 0.5)


def test_pasted_dropped_and_examples(page):
    script = """
    const [kind, done] = arguments;
    const canvas = new OffscreenCanvas(40, 30);
    canvas.getContext("2d").fillRect(0, 0, 9, 9);
    canvas.convertToBlob().then((blob) => {
      const data = new DataTransfer();
      data.items.add(new File([blob], `${kind}.png`, { type: blob.type }));
      const values = { dataTransfer: data, clipboardData: data, bubbles: true };
      const Kind = kind === "drop" ? DragEvent : ClipboardEvent;
      document.dispatchEvent(new Kind(kind, values));
      done();
    });
    """
    for kind in ("drop", "paste"):
        page.execute_async_script(script, kind)
    sites.wait_for(lambda: len(cards(page)) == 2)
    click(page, "#examples li:first-child button")
    sites.wait_for(lambda: sum("turned" in x for x in cards(page)) == 1)
    sites.wait_for(lambda: all("%" in x for x in cards(page)))
    image = page.find_element("css selector", "#picture")
    sites.wait_for(lambda: image.get_property("naturalWidth") == 40)


def test_all_of_it_by_keyboard(page):
    """In the order of the page; what has the focus shows it."""
    reached = []
    for _ in range(6):
        page.switch_to.active_element.send_keys("\ue004")
        focus = page.switch_to.active_element
        style = focus.value_of_css_property("outline-style")
        reached.append((focus.get_attribute("id") or focus.tag_name, style))
    assert reached == [
        ("choose", "solid"), ("open-camera", "solid"), ("button", "solid"),
        ("button", "solid"), ("summary", "solid"), ("body", "none"),
    ]  # fmt: skip
    example = page.find_elements("css selector", "#examples button")[1]
    example.send_keys("\ue007")
    sites.wait_for(lambda: "upright" in "".join(cards(page)))


def png_header(width, height):
    """A PNG that says how large it is, and has no pixels."""

    def chunk(name, data):
        body = name + data
        return len(data).to_bytes(4) + body + zlib.crc32(body).to_bytes(4)

    sides = width.to_bytes(4) + height.to_bytes(4)
    chunks = chunk(b"IHDR", sides + b"\x08\x02\0\0\0") + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def test_bad_files_are_named_and_the_page_goes_on(page, photographs, tmp_path):
    whole = image_files.encode(image_files.RGB, "PNG")
    files = {
        "paper.pdf": (b"%PDF-1.7\n" + bytes(500), "This is a PDF."),
        "huge.png": (png_header(10_000, 10_000), "has 10000 x 10000 pixels"),
        "text.jpg": (b"hello", "cannot read this as an image"),
        "empty.jpg": (b"", "The file is empty."),
        "cut.webp": (
            image_files.encode(image_files.RGB, "WEBP")[:60],
            "cannot read this",
        ),
        "cut.jpg": (
            image_files.encode(image_files.RGB, "JPEG")[:-90],
            "cannot read this",
        ),
        "good.png": (whole, "%"),
    }
    for name, (contents, _) in files.items():
        (tmp_path / name).write_bytes(contents)
    sites.give(page, *(tmp_path / name for name in files))
    shown = cards(page)[::-1]
    for card, (name, (_, message)) in zip(shown, files.items(), strict=True):
        assert name in card and message in card
    assert browsers.errors(page) == []


def test_no_camera_is_a_message(page):
    click(page, "#open-camera")
    sites.wait_for(lambda: "No camera." in sites.text(page, "#messages"))
    click(page, "#messages button")
    assert sites.text(page, "#messages") == ""


@pytest.mark.long
def test_a_camera_is_classified_and_kept(address, runtime_folder):
    flags = ("use-fake-device-for-media-stream", "use-fake-ui-for-media-stream")
    with browsers.opened(*flags) as browser:
        sites.open_page(browser, address)
        click(browser, "#open-camera")
        sites.wait_for(lambda: "%" in sites.text(browser, "#camera .bars"))
        click(browser, "#shoot")
        click(browser, "#close-camera")
        sites.wait_for(lambda: "camera 1" in "".join(cards(browser)))
        assert browsers.errors(browser) == []


def test_without_webassembly_a_message(site, tmp_path):
    copy = tmp_path / "site"
    shutil.copytree(site, copy)
    worker = copy / "page" / "worker.js"
    worker.write_text("delete self.WebAssembly;\n" + worker.read_text())
    with browsers.opened() as browser, sites.served(copy) as address:
        browser.get(address)
        sites.wait_for(lambda: "no WebAssembly" in sites.text(browser, "#messages"))
        assert sites.text(browser, "#engine") == "The network is not loaded"
        assert browser.find_element("css selector", "#choose").is_enabled()


def test_a_model_cut_short_is_loaded_again(site, chromium, photographs):
    file = site / "float16.tflite"
    contents = file.read_bytes()
    with sites.served(site) as address:
        file.write_bytes(contents[: len(contents) // 2])
        try:
            chromium.get(address)
            sites.wait_for(lambda: "is damaged" in sites.text(chromium, "#messages"))
            sites.give_without_waiting(chromium, photographs[0])
        finally:
            file.write_bytes(contents)
        click(chromium, "#messages button")  # Try again.
        sites.wait_for(lambda: "ms per picture" in sites.text(chromium, "#engine"))
        assert "%" in cards(chromium)[0]


def test_offline_after_the_first_visit(site, photographs):
    with browsers.opened() as browser:
        with sites.served(site) as address:
            sites.open_page(browser, address)
            # The service worker's headers allow threads, which this server does not.
            assert browser.execute_script("return crossOriginIsolated")
            sites.give(browser, photographs[0])
            browser.find_element("css selector", "summary").click()
            assert "from now on" in sites.text(browser, "#offline")
        browser.execute_script("location.reload()")
        sites.wait_for(lambda: not cards(browser))
        sites.wait_for(lambda: "ready" in sites.text(browser, "#engine"))
        sites.give(browser, *photographs)
        click(browser, "#examples li:first-child button")
        sites.wait_for(lambda: len(cards(browser)) == 4)
        sites.wait_for(lambda: all("%" in x for x in cards(browser)))
        hosts = {urllib.parse.urlsplit(x).netloc for x in browsers.requested(browser)}
        assert hosts <= {urllib.parse.urlsplit(address).netloc, ""}
        assert browsers.errors(browser) == []


def test_the_security_policy_holds(page):
    """What is not in the site's own files does not run, and nothing goes elsewhere."""
    script = """
    const done = arguments[0];
    const found = [];
    document.addEventListener("securitypolicyviolation", (event) => {
      found.push(event.effectiveDirective);
    });
    const inline = document.createElement("script");
    inline.textContent = "window.ran = true";
    document.body.append(inline);
    fetch("http://localhost:9/").catch(() => {}).then(() =>
      setTimeout(() => done([found, window.ran ?? false]), 100));
    """
    found, ran = page.execute_async_script(script)
    assert sorted(found) == ["connect-src", "script-src-elem"] and not ran
    browsers.errors(page)  # These two.


@pytest.mark.long
def test_nothing_serious_for_axe(page, photographs, axe, chromium):
    sites.give(page, *photographs)
    click(page, "summary")
    for scheme in ("light", "dark"):
        feature = {"name": "prefers-color-scheme", "value": scheme}
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        page.execute_script(axe)
        found = page.execute_async_script("axe.run(document, {}).then(arguments[0])")
        problems = [
            (x["id"], x["impact"], x["nodes"][0]["html"]) for x in found["violations"]
        ]
        assert problems == [], json.dumps(problems, indent=1)


def test_it_fits_a_phone(page, photographs):
    metrics = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        sites.give(page, *photographs)
        click(page, "summary")
        wide = "return document.documentElement.scrollWidth > window.innerWidth"
        assert not page.execute_script(wide)
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
